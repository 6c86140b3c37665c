package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/testenv"
)

// staleConfig returns an AWS config file for another Region, with an unreachable endpoint and missing files.
func staleConfig(missing string) string {
	return strings.ReplaceAll(`[default]
region = mars-north-1
endpoint_url = http://127.0.0.1:1
ca_bundle = MISSING
[profile stale]
region = mars-north-1
credential_process = MISSING
endpoint_url = http://127.0.0.1:1
retry_mode = nonsense
`, "MISSING", missing)
}

// The control API returns pages of two, throttles every fourth call and is slow, one key appears
// under traffic, and the environment points AWS clients elsewhere. The real function, which reads
// that API over HTTP, still attributes all keys.
func TestFaultyAPIAndHostileEnvironment(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") }))
	t.Cleanup(upstream.Close)
	write(t, dir, "stale", staleConfig(filepath.Join(dir, "missing")))
	write(t, dir, "stagelog.yaml", fmt.Sprintf(`name: hand
bucket: hand-api-logs
readers: ["111122223333"]
format: '{"request_id":"$context.requestId","key_id":"$context.identity.apiKeyId","api_id":"$context.apiId","stage":"$context.stage"}'
deliver: {interval: 1s}
local:
  apis: [{id: shop, upstream: %q, stages: [prod]}]
  usage_plans:
    - {name: Gold, stages: [shop/prod], customers: [{name: A, key: %s}, {name: B, key: %s}, {name: C, key: %s}, {name: Late, key: %s}]}
  faults: {page_size: 2, throttle_every: 4, delay: 20ms, new_key_after: 4s}
`, upstream.URL, keyValue("a"), keyValue("b"), keyValue("c"), keyValue("late")))
	stale := filepath.Join(dir, "stale")
	u := startUp(t, dir, append(append(cleanEnv(), hostileEnv(t)...), "AWS_CONFIG_FILE="+stale, "AWS_SHARED_CREDENTIALS_FILE="+stale))
	began := time.Now()
	admin := sdk(t, u, "stagelog")
	if status := u.call(t, "/shop/prod/x", keyValue("late")); status != http.StatusForbidden && time.Since(began) < 2*time.Second {
		t.Errorf("status %d for the key that appears later, want 403", status)
	}

	admin.createBucket("lambda-logs")
	admin.createFunction("enrich", bin.bootstrap)
	admin.createStream("amazon-apigateway-lambda", "lambda-logs", func(d *types.ExtendedS3DestinationConfiguration) {
		d.ProcessingConfiguration = through(functionARN + "enrich")
	})
	// Lines of three known keys make the function load its index before the fourth key exists.
	for _, key := range []string{"a", "b", "c"} {
		if status := u.call(t, "/shop/prod/x", keyValue("%s", key)); status != http.StatusOK {
			t.Errorf("customer %s: status %d, want 200", key, status)
		}
	}
	customers := func(bucket string) map[string]string {
		plans := map[string]string{}
		for _, l := range admin.lines(bucket, "logs/") {
			plans[l["customer"]] = l["usage_plan"]
		}
		return plans
	}
	eventually(t, "the first three customers in the bucket", func() bool { return len(customers("hand-api-logs")) >= 3 })
	must(admin.gateway.UpdateStage(t.Context(), &apigateway.UpdateStageInput{RestApiId: aws.String("shop"), StageName: aws.String("prod"), PatchOperations: []apitypes.PatchOperation{
		{Op: apitypes.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: aws.String("arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-lambda")}}}))(t, "log to the stream with the real function")
	for _, key := range []string{"a", "b", "c"} {
		u.call(t, "/shop/prod/x", keyValue("%s", key))
	}
	eventually(t, "the first three customers through the function", func() bool { return len(customers("lambda-logs")) >= 3 })
	eventually(t, "the later key to be accepted", func() bool { return u.call(t, "/shop/prod/x", keyValue("late")) == http.StatusOK })
	eventually(t, "the later customer in the bucket", func() bool {
		u.call(t, "/shop/prod/x", keyValue("late"))
		return customers("lambda-logs")["Late"] == "Gold"
	})
	for _, customer := range []string{"A", "B", "C", "Late"} {
		if plan := customers("lambda-logs")[customer]; plan != "Gold" {
			t.Errorf("customer %s is on plan %q in the bucket, want Gold", customer, plan)
		}
	}

	one := must(admin.gateway.GetApiKeys(t.Context(), &apigateway.GetApiKeysInput{Limit: aws.Int32(500)}))(t, "get keys")
	if len(one.Items) != 2 || one.Position == nil {
		t.Errorf("a page has %d keys (position %v), want 2 and a position", len(one.Items), one.Position)
	}
	throttled := 0
	for range 8 {
		_, err := admin.gateway.GetApiKeys(t.Context(), &apigateway.GetApiKeysInput{}, func(o *apigateway.Options) { o.RetryMaxAttempts = 1 })
		var too *apitypes.TooManyRequestsException
		if errors.As(err, &too) {
			throttled++
		} else if err != nil {
			t.Error(err)
		}
	}
	if throttled == 0 {
		t.Error("none of eight calls was throttled, want every fourth")
	}
}

// Without --for the demo runs until Ctrl-C, then prints its summary and exits with 0.
func TestDemoRunsUntilInterrupted(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	cmd := exec.Command(bin.stagelog, "demo")
	var out, errs lockedBuffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = t.TempDir(), cleanEnv(), &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { once.Do(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) }
	t.Cleanup(kill)
	// The demo prints the first object after reading it as the reader.
	eventually(t, "the first enriched object", func() bool { return strings.Contains(out.String()+errs.String(), `"usage_plan"`) })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var err error
	once.Do(func() { err = cmd.Wait() })
	text := out.String() + errs.String()
	if err != nil {
		t.Fatalf("the demo ended with %v, want 0:\n%s", err, text)
	}
	for _, want := range []string{"Acme Corp", "Globex", "Initech", "AccessDenied", `(?i)delivered`, `(?i)requests`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the demo does not print %s:\n%s", want, text)
		}
	}
}

// The bench's figures are consistent: every accepted record is delivered.
func TestBenchAddsUp(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	stdout, stderr, code := runBinary(t, t.TempDir(), append(cleanEnv(), hostileEnv(t)...), "bench", "--for", "500ms", "--clients", "8", "--batch", "50", "--json")
	var got struct {
		Accepted  int64   `json:"records_accepted"`
		Delivered int64   `json:"records_delivered"`
		Failed    int64   `json:"records_failed"`
		P50       float64 `json:"put_p50_ms"`
		P99       float64 `json:"put_p99_ms"`
		Memory    int64   `json:"resident_max_bytes"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
		t.Fatalf("bench ended with %d (%v)\n%s\n%s", code, err, stdout, stderr)
	}
	if got.Accepted == 0 || got.Delivered+got.Failed != got.Accepted || got.Failed != 0 || got.P50 <= 0 || got.P99 < got.P50 || got.Memory == 0 {
		t.Errorf("bench reports %+v, want accepted = delivered above 0, and all figures", got)
	}
}

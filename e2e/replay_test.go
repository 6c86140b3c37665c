package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/testenv"
)

const replayYAML = `name: again
bucket: again-logs
readers: ["111122223333"]
deliver: {interval: 1s, size: 1MiB}
local:
  apis: [{id: shop, upstream: "http://127.0.0.1:9", stages: [prod]}]
`

// requestOf returns the log line of request n with a key id.
func requestOf(n int, keyID string) string {
	return fmt.Sprintf(`{"api_id":"shop","stage":"prod","key_id":%q,"response_status":"200","request_id":"r%d"}`, keyID, n)
}

// Requests with a key that is in no plan are delivered without a plan. Once the key has one, replay
// adds it and keeps the other fields.
func TestReplayAddsUsagePlan(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", replayYAML)
	u := startUp(t, dir, cleanEnv())
	c := sdk(t, u, "stagelog")
	key := must(c.gateway.CreateApiKey(t.Context(), &apigateway.CreateApiKeyInput{Name: aws.String("Acme"), Enabled: true}))(t, "create key")
	var records []string
	for n := range 700 {
		records = append(records, requestOf(n, *key.Id))
	}
	c.put("amazon-apigateway-again", records...)
	eventually(t, "the records to be delivered", func() bool { return len(c.lines("again-logs", "logs/")) == len(records) })
	for _, l := range c.lines("again-logs", "logs/") {
		if l["usage_plan"] != "-" || l["customer"] != "Acme" {
			t.Fatalf("before: %v", l)
		}
	}
	plan := must(c.gateway.CreateUsagePlan(t.Context(), &apigateway.CreateUsagePlanInput{
		Name: aws.String("Gold"), ApiStages: []types.ApiStage{{ApiId: aws.String("shop"), Stage: aws.String("prod")}},
	}))(t, "create plan")
	must(c.gateway.CreateUsagePlanKey(t.Context(), &apigateway.CreateUsagePlanKeyInput{KeyId: key.Id, KeyType: aws.String("API_KEY"), UsagePlanId: plan.Id}))(t, "add key")

	args := []string{"replay", "--prefix", "logs/", "--into", "fixed/", "--since", "1h", "--endpoint-url", u.Endpoints.AWS, "--json"}
	stdout, stderr, code := runBinary(t, dir, u.clientEnv("stagelog"), append(args, "--dry-run")...)
	if code != 0 || len(c.keys("again-logs", "fixed/")) != 0 {
		t.Fatalf("--dry-run = %d: %s%s", code, stdout, stderr)
	}
	for _, want := range []int{len(records), 0} { // the second run has nothing to do
		var sum struct{ Records, Failed int }
		stdout, stderr, code := runBinary(t, dir, u.clientEnv("stagelog"), args...)
		if err := json.Unmarshal([]byte(stdout), &sum); code != 0 || err != nil || sum.Records != want || sum.Failed != 0 {
			t.Fatalf("replay = %d: %s%s, want %d records", code, stdout, stderr, want)
		}
	}
	seen := map[string]int{}
	for _, l := range c.lines("again-logs", "fixed/") {
		seen[l["request_id"]]++
		if l["usage_plan"] != "Gold" || l["usage_plan_id"] != *plan.Id || l["customer"] != "Acme" {
			t.Fatalf("after: %v", l)
		}
	}
	for n := range records {
		if id := fmt.Sprintf("r%d", n); seen[id] != 1 {
			t.Errorf("%s found %d times", id, seen[id])
		}
	}
}

// deadly is a proxy for an AWS endpoint that kills the calling process at the third call of each run
// that changes something, before forwarding the request or before returning the response.
type deadly struct {
	to      *httputil.ReverseProxy
	mu      sync.Mutex // guards the fields below
	process *exec.Cmd  // to kill; may be nil
	calls   int
	after   bool
}

func (d *deadly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method != http.MethodPut && r.Method != http.MethodDelete || d.process == nil {
		d.to.ServeHTTP(w, r)
		return
	}
	d.calls++
	if d.calls < 3 {
		d.to.ServeHTTP(w, r)
		return
	}
	if d.after {
		d.to.ServeHTTP(httptest.NewRecorder(), r)
	}
	_ = d.process.Process.Kill()
	d.process = nil
}

// Error objects are replayed by a process that is killed repeatedly: in the end each record is
// replayed exactly once, and those that fail again are in the error output.
func TestReplayResumesAfterKill(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", replayYAML)
	u := startUp(t, dir, cleanEnv())
	c := sdk(t, u, "stagelog")
	const objects, each = 20, 50
	for o := range objects {
		var body bytes.Buffer
		for i := range each {
			rec := requestOf(o*each+i, "unknown")
			if i == 0 && o%2 == 0 {
				rec = fmt.Sprintf(`{"request_id":"r%d"`, o*each) // truncated
			}
			fmt.Fprintf(&body, `{"rawData":%q,"errorCode":"Lambda.FunctionError","attemptsMade":4}`+"\n", base64.StdEncoding.EncodeToString([]byte(rec)))
		}
		key := fmt.Sprintf("errors/processing-failed/2026/11/23/08/o%02d", o)
		must(c.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("again-logs"), Key: &key, Body: bytes.NewReader(body.Bytes())}))(t, "put "+key)
	}
	target := must(url.Parse(u.Endpoints.AWS))(t, "parse endpoint")
	way := &deadly{to: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}}
	server := httptest.NewServer(way)
	t.Cleanup(server.Close)

	killed := 0
	for ; ; killed++ {
		cmd := exec.CommandContext(t.Context(), bin.stagelog, "replay", "--into", "logs/replayed/", "--endpoint-url", server.URL, "--parallel", "1")
		var stderr bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stderr = dir, u.clientEnv("stagelog"), &stderr
		way.mu.Lock()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		way.process, way.calls, way.after = cmd, 0, killed%2 == 1
		way.mu.Unlock()
		if err := cmd.Wait(); err == nil {
			break
		} else if err.Error() != "signal: killed" || killed > 4*objects {
			t.Fatalf("replay %d: %v\n%s", killed, err, stderr.String())
		}
	}
	if killed < objects/3 {
		t.Errorf("killed only %d times", killed)
	}
	seen := map[string]int{}
	for _, l := range c.lines("again-logs", "logs/replayed/") {
		seen[l["request_id"]]++
	}
	failed := c.text("again-logs", "errors/replay/")
	for o := range objects {
		for i := range each {
			id, want := fmt.Sprintf("r%d", o*each+i), 1
			if i == 0 && o%2 == 0 {
				want = 0
				raw := base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(`{"request_id":"r%d"`, o*each)))
				if n := strings.Count(failed, raw); n != 1 {
					t.Errorf("%s failed, found %d times in the error output", id, n)
				}
			}
			if seen[id] != want {
				t.Errorf("%s found %d times, want %d", id, seen[id], want)
			}
		}
	}
	t.Logf("%d objects with %d records, killed %d times", objects, objects*each, killed)
	// Readers can get replayed objects but no error objects.
	reader := sdk(t, u, "reader-111122223333")
	reader.object("again-logs", "logs/replayed/processing-failed/2026/11/23/08/o00")
	_, err := reader.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("again-logs"), Key: aws.String("errors/replay/errors/processing-failed/2026/11/23/08/o00")})
	denied(t, "the reader gets an error object", err)
}

func TestReplayUsageErrors(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", replayYAML)
	u := startUp(t, dir, cleanEnv())
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 3, "--into is required"},
		{"--into logs", 3, "use logs/"},
		{"--into logs/again/ --prefix logs/", 3, "counted twice"},
		{"--into errors/", 3, "is reserved; choose another prefix"},
		{"--into x/ --since tomorrow", 3, "expected 2026-11-23"},
	} {
		args := append([]string{"replay", "--endpoint-url", u.Endpoints.AWS}, strings.Fields(c.args)...)
		if _, stderr, code := runBinary(t, dir, u.clientEnv("stagelog"), args...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("replay %s = %d: %s, want %d: %s", c.args, code, stderr, c.code, c.want)
		}
	}
}

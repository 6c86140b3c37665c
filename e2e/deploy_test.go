package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

const deployBucket = "acme-api-logs-e2e"

// deployYAML returns a pipeline for one stage of an API.
func deployYAML(api, stage string) string {
	return fmt.Sprintf(`name: acme
bucket: %s
region: %s
readers: ["111122223333"]
stages: [{api: %s, stage: %s}]
aws: {expire_days: 400, error_days: 30, log_days: 14}
`, deployBucket, moto.Region, api, stage)
}

// deployDir creates a folder with a stagelog.yaml for a new API of m, and the function's zip.
func deployDir(t *testing.T, m *account) (dir, api string) {
	t.Helper()
	dir = t.TempDir()
	api = m.api("shop", "prod")
	write(t, dir, "stagelog.yaml", deployYAML(api, "prod"))
	exportZip(t, dir)
	return dir, api
}

// exportZip writes function.zip for this machine's architecture, which local endpoints run.
func exportZip(t *testing.T, dir string) {
	t.Helper()
	arch := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "export", "zip", "--out", "function.zip", "--arch", arch); code != 0 {
		t.Fatalf("export zip: %d\n%s", code, stderr)
	}
}

// planOf is the document of `plan --json`.
type planOf struct {
	Steps []struct {
		Kind, Name, Action string
		Changes            []struct{ Field, Have, Want string }
	}
	ToDo int `json:"to_do"`
}

func (m *account) plan(dir string, wantCode int) (p planOf) {
	m.t.Helper()
	stdout, stderr, code := runBinary(m.t, dir, m.env(), "plan", "--json", "--function-zip", "function.zip")
	if code != wantCode {
		m.t.Fatalf("plan ended with %d, want %d\n%s\n%s", code, wantCode, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &p); err != nil {
		m.t.Fatalf("plan --json: %v\n%s", err, stdout)
	}
	return p
}

// todo returns the changes of a plan, one line per resource: "change IAM role x: trust policy".
func (p planOf) todo() (lines []string) {
	for _, s := range p.Steps {
		if s.Action == "no-op" {
			continue
		}
		var fields []string
		for _, c := range s.Changes {
			fields = append(fields, c.Field)
		}
		line := s.Action + " " + s.Kind + " " + s.Name
		if s.Action == "change" {
			line += ": " + strings.Join(fields, ", ")
		}
		lines = append(lines, line)
	}
	return lines
}

func (m *account) deploy(dir string, args ...string) string {
	m.t.Helper()
	_, stderr, code := runBinary(m.t, dir, m.env(), append([]string{"deploy", "--yes", "--function-zip", "function.zip"}, args...)...)
	if code != 0 {
		m.t.Fatalf("deploy ended with %d\n%s", code, stderr)
	}
	return stderr
}

func TestDeployPlanDriftDestroyAgainstMoto(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "the AWS CLI", "aws", "--version")
	m := startMoto(t)
	dir, api := deployDir(t, m)

	if p := m.plan(dir, 2); p.ToDo != len(p.Steps) || p.ToDo == 0 {
		t.Errorf("the first plan has %d to do of %d steps: %v", p.ToDo, len(p.Steps), p.todo())
	}
	m.deploy(dir)
	if todo := m.plan(dir, 0).todo(); todo != nil {
		t.Errorf("after a deploy the plan has changes: %v", todo)
	}
	settled := m.state(api, "prod", deployBucket)

	for _, d := range drifts(m, api) {
		d.by(t)
		if diff := cmp.Diff(d.plan, m.plan(dir, 2).todo()); diff != "" {
			t.Errorf("%s: plan (-want +got):\n%s", d.name, diff)
		}
		m.deploy(dir)
		if diff := cmp.Diff(settled, m.state(api, "prod", deployBucket)); diff != "" {
			t.Errorf("%s: after the repair (-want +got):\n%s", d.name, diff)
		}
	}

	m.put("amazon-apigateway-acme", `{"request_id":"1"}`)
	stdout, stderr, code := runBinary(t, dir, m.env(), "destroy", "--yes", "--no-drain", "--delete-bucket")
	if code != 0 || !strings.Contains(stderr, "delete with all objects: ") {
		t.Fatalf("destroy ended with %d, want 0 and the number of objects\n%s\n%s", code, stdout, stderr)
	}
	m.checkNothingLeft(moto.Region)
}

// drift is a manual change and the exact plan to repair it.
type drift struct {
	name string
	by   func(t *testing.T)
	plan []string
}

func drifts(m *account, api string) []drift {
	stream := "amazon-apigateway-acme"
	return []drift{
		{"public access allowed", func(t *testing.T) {
			must(m.s3.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: aws.String(deployBucket)}))(t, "delete public access block")
		}, []string{"change S3 bucket " + deployBucket + ": public access block"}},
		{"lifecycle removed", func(t *testing.T) {
			must(m.s3.DeleteBucketLifecycle(t.Context(), &s3.DeleteBucketLifecycleInput{Bucket: aws.String(deployBucket)}))(t, "delete lifecycle")
		}, []string{"change S3 bucket " + deployBucket + ": lifecycle"}},
		{"bucket policy deleted", func(t *testing.T) {
			must(m.s3.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String(deployBucket)}))(t, "delete bucket policy")
		}, []string{"create S3 bucket policy " + deployBucket}},
		{"log retention unlimited", func(t *testing.T) {
			must(m.logs.DeleteRetentionPolicy(t.Context(), &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String("/aws/lambda/stagelog-acme")}))(t, "delete retention")
		}, []string{"change CloudWatch log group /aws/lambda/stagelog-acme: retention"}},
		{"role may do everything", func(t *testing.T) {
			must(m.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("stagelog-acme-function.eu-west-1"), PolicyName: aws.String("stagelog"),
				PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)}))(t, "put role policy")
		}, []string{"change IAM role stagelog-acme-function.eu-west-1: policy stagelog"}},
		{"trust policy too wide", func(t *testing.T) {
			must(m.iam.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("stagelog-acme-firehose.eu-west-1"),
				PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)}))(t, "update trust")
		}, []string{"change IAM role stagelog-acme-firehose.eu-west-1: trust policy"}},
		{"function has less memory", func(t *testing.T) {
			must(m.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("stagelog-acme"), MemorySize: aws.Int32(128)}))(t, "update function")
		}, []string{"change Lambda function stagelog-acme: memory"}},
		{"stream delivers elsewhere", func(t *testing.T) {
			d := must(m.firehose.DescribeDeliveryStream(t.Context(), &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &stream}))(t, "describe stream").DeliveryStreamDescription
			must(m.firehose.UpdateDestination(t.Context(), &firehose.UpdateDestinationInput{DeliveryStreamName: &stream, CurrentDeliveryStreamVersionId: d.VersionId, DestinationId: d.Destinations[0].DestinationId,
				ExtendedS3DestinationUpdate: &firehosetypes.ExtendedS3DestinationUpdate{Prefix: aws.String("elsewhere/")}}))(t, "update destination")
		}, []string{"change Firehose delivery stream " + stream + ": prefix"}},
		{"format changed", func(t *testing.T) {
			must(m.gateway.UpdateStage(t.Context(), &apigateway.UpdateStageInput{RestApiId: &api, StageName: aws.String("prod"), PatchOperations: []types.PatchOperation{
				{Op: types.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: aws.String("$context.requestId")}}}))(t, "update stage")
		}, []string{"change API stage " + api + "/prod: format"}},
	}
}

// killer is a proxy for moto that kills a process right after a call that changes something.
type killer struct {
	mu      sync.Mutex
	after   int // number of such calls to forward; negative for all
	calls   []string
	process *os.Process
}

func (k *killer) serve(t *testing.T, m *account) string {
	target := must(url.Parse(m.URL))(t, "parse URL")
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := callName(r)
		if k.dead() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
		if name != "" {
			k.count(name)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (k *killer) dead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.after >= 0 && len(k.calls) >= k.after
}

func (k *killer) count(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, name)
	if k.after >= 0 && len(k.calls) == k.after {
		_ = k.process.Signal(syscall.SIGKILL)
	}
}

// callName returns the name of a call that changes something, or "" for one that reads.
func callName(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, op, _ := strings.Cut(target, ".")
		if strings.HasPrefix(op, "Describe") || strings.HasPrefix(op, "List") || strings.HasPrefix(op, "Get") {
			return ""
		}
		return op
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		// The calls of IAM and STS are in the body, which is not parsed here: reads count, too.
		return "query"
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ""
	}
	return r.Method + " " + r.URL.Path + "?" + r.URL.RawQuery
}

func TestDeployResumesAfterKill(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	whole := &killer{after: -1}
	dir, api := deployDir(t, m)
	run := func(k *killer) (ended error) {
		cmd := exec.Command(bin.stagelog, "deploy", "--yes", "--function-zip", "function.zip")
		cmd.Dir, cmd.Env = dir, append(m.env(), "AWS_ENDPOINT_URL="+k.serve(t, m))
		k.mu.Lock()
		if err := cmd.Start(); err != nil {
			k.mu.Unlock()
			t.Fatal(err)
		}
		k.process = cmd.Process
		k.mu.Unlock()
		return cmd.Wait()
	}
	if err := run(whole); err != nil {
		t.Fatalf("deploy through the proxy: %v", err)
	}
	want := m.state(api, "prod", deployBucket)
	t.Logf("a deploy makes %d calls that change something (or may): %v", len(whole.calls), whole.calls)
	for after := 1; after < len(whole.calls); after++ {
		m.Reset()
		api = m.api("shop", "prod")
		write(t, dir, "stagelog.yaml", deployYAML(api, "prod"))
		if err := run(&killer{after: after}); err == nil {
			t.Fatalf("the deploy was not killed after call %d (%s)", after, whole.calls[after-1])
		}
		m.deploy(dir)
		got := m.state(api, "prod", deployBucket)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("killed after call %d (%s) and repeated (-want +got):\n%s", after, whole.calls[after-1], diff)
		}
	}
}

// The function's zip is the same in every build environment.
func TestFunctionZipIsReproducible(t *testing.T) {
	testenv.Need(t, testenv.Zip)
	for _, arch := range []string{"arm64", "x86_64"} {
		var sums []string
		for i, env := range [][]string{cleanEnv(), cleanEnv("GOFLAGS=-race", "CGO_ENABLED=1", "GOAMD64=v3", "TZ=Asia/Tokyo")} {
			out := filepath.Join(t.TempDir(), fmt.Sprintf("%d.zip", i))
			stdout, stderr, code := runBinary(t, ".", env, "export", "zip", "--out", out, "--arch", arch, "--json")
			var built struct {
				SHA256 string
				Bytes  int
			}
			if err := json.Unmarshal([]byte(stdout), &built); code != 0 || err != nil {
				t.Fatalf("export zip: %d %v\n%s", code, err, stderr)
			}
			if built.Bytes > 8<<20 {
				t.Errorf("the %s zip has %d bytes, want at most 8 MiB for a fast start", arch, built.Bytes)
			}
			sums = append(sums, built.SHA256)
		}
		if sums[0] != sums[1] {
			t.Errorf("two builds of the %s zip differ: %v", arch, sums)
		}
	}
}

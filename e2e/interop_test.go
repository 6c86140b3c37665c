package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// handYAML is a pipeline next to which the tests build another one with AWS clients. Its reader is
// the account in readerPolicy.
const handYAML = "name: hand\nbucket: hand-api-logs\nreaders: [\"111122223333\"]\n"

// curlyFormat is the seed's exact format, including its curly quotes.
const curlyFormat = `{“api_id”: “$context.apiId”,“api_key”: “$context.identity.apiKey”,“key_id”: “$context.identity.apiKeyId”,“ip”: “$context.identity.sourceIp”,“method”: “$context.httpMethod”,“uri”: “$context.path”,“response_size”:“$context.responseLength”,“response_status”: “$context.status”,“resource_id”: “$context.resourceId”,“request_id”: “$context.requestId”,“request_latency”: “$context.responseLatency”,“request_time”:“$context.requestTime”,“stage”: “$context.stage”}`

func startHand(t *testing.T) (u *up, upstream string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stagelog.yaml"), []byte(handYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	t.Cleanup(api.Close)
	return startUp(t, dir, cleanEnv()), api.URL
}

type line map[string]string

func TestBoto3BuildsPipeline(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "boto3", "python3", "-c", "import boto3")
	u, upstream := startHand(t)
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/chain.py", "boto-logs", "amazon-apigateway-boto", upstream,
		strings.NewReplacer("“", `"`, "”", `"`).Replace(curlyFormat)+"\n")
	cmd.Env = u.clientEnv("stagelog")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("chain.py: %v\n%s", err, stderr.String())
	}
	var got struct {
		Statuses []int
		Lines    []line
		Objects  []string
		Used     int
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("parse the output of chain.py: %v\n%s", err, stdout.String())
	}
	// The last of the 30 keys are on a second page of the plan's keys, and all were created after the start.
	byCustomer := map[string]int{}
	for _, l := range got.Lines {
		byCustomer[l["customer"]]++
		if l["customer"] != "-" && l["usage_plan"] != "Hand Plan" {
			t.Errorf("customer %s is on plan %q, want Hand Plan", l["customer"], l["usage_plan"])
		}
	}
	for n := range 30 {
		if got.Statuses[n] != 200 || byCustomer[fmt.Sprintf("Customer %d", n)] != 1 {
			t.Errorf("Customer %d: status %d, %d lines; want 200 and one", n, got.Statuses[n], byCustomer[fmt.Sprintf("Customer %d", n)])
		}
	}
	if got.Statuses[30] != 403 || got.Statuses[31] != 403 || byCustomer["-"] != 2 {
		t.Errorf("wrong and missing key: statuses %v, %d lines without a customer; want 403 twice and two lines", got.Statuses[30:], byCustomer["-"])
	}
	if got.Used != 30 {
		t.Errorf("GetUsage counts %d requests, want 30", got.Used)
	}
}

func TestAWSCLIBuildsPipeline(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	testenv.NeedTool(t, "AWS CLI", "aws", "--version")
	testenv.NeedTool(t, "curl", "curl", "--version")
	u, upstream := startHand(t)
	cli := awsCLI{t: t, env: u.clientEnv("stagelog"), dir: u.dir}
	reader := awsCLI{t: t, env: u.clientEnv("reader-111122223333"), dir: u.dir}

	cli.run("s3api", "create-bucket", "--bucket", "cli-logs")
	cli.run("s3api", "put-bucket-policy", "--bucket", "cli-logs", "--policy", readerPolicy("cli-logs"))
	cli.run("firehose", "create-delivery-stream", "--delivery-stream-name", "amazon-apigateway-x", "--extended-s3-destination-configuration", destination("cli-logs", "stagelog-hand"))
	arn := cli.text("firehose", "describe-delivery-stream", "--delivery-stream-name", "amazon-apigateway-x", "--query", "DeliveryStreamDescription.DeliveryStreamARN")
	api := cli.text("apigateway", "create-rest-api", "--name", "by hand", "--query", "id")
	root := cli.text("apigateway", "get-resources", "--rest-api-id", api, "--query", "items[0].id")
	res := cli.text("apigateway", "create-resource", "--rest-api-id", api, "--parent-id", root, "--path-part", "{proxy+}", "--query", "id")
	cli.run("apigateway", "put-method", "--rest-api-id", api, "--resource-id", res, "--http-method", "ANY", "--authorization-type", "NONE", "--api-key-required")
	cli.run("apigateway", "put-integration", "--rest-api-id", api, "--resource-id", res, "--http-method", "ANY", "--type", "HTTP_PROXY", "--integration-http-method", "ANY", "--uri", upstream+"/{proxy}")
	cli.run("apigateway", "create-deployment", "--rest-api-id", api, "--stage-name", "prod")
	key := cli.text("apigateway", "create-api-key", "--name", "Acme Corp", "--enabled", "--value", "acme-key-acme-key-acme-key", "--query", "id")
	plan := cli.text("apigateway", "create-usage-plan", "--name", "Gold", "--api-stages", "apiId="+api+",stage=prod", "--query", "id")
	cli.run("apigateway", "create-usage-plan-key", "--usage-plan-id", plan, "--key-id", key, "--key-type", "API_KEY")
	cli.run("apigateway", "update-stage", "--rest-api-id", api, "--stage-name", "prod", "--patch-operations", accessLogPatch(t, u.dir, arn))

	if out := curl(t, u.Endpoints.Stages+"/"+api+"/prod/orders/7", "acme-key-acme-key-acme-key"); !strings.Contains(out, "/orders/7") {
		t.Fatalf("curl through the stage: got %q", out)
	}
	var objects []string
	eventually(t, "an object in the bucket", func() bool {
		objects = strings.Fields(cli.text("s3api", "list-objects-v2", "--bucket", "cli-logs", "--prefix", "logs/", "--query", "Contents[].Key"))
		return len(objects) > 0 && objects[0] != "None"
	})
	lines := reader.lines("cli-logs", objects[0])
	if len(lines) != 1 || lines[0]["customer"] != "Acme Corp" || lines[0]["usage_plan"] != "Gold" || lines[0]["uri"] != "/prod/orders/7" {
		t.Errorf("the reader found %v, want one line of Acme Corp on Gold", lines)
	}
	if k := lines[0]["api_key"]; strings.Contains(k, "acme-key-acme") {
		t.Errorf("api_key = %q is not masked", k)
	}
	if out, err := reader.try("s3api", "put-object", "--bucket", "cli-logs", "--key", "logs/x"); err == nil || !strings.Contains(out, "AccessDenied") {
		t.Errorf("the reader's put ended with %v: %s; want AccessDenied", err, out)
	}
}

// awsCLI runs the AWS CLI in one environment.
type awsCLI struct {
	t   *testing.T
	env []string
	dir string
}

func (c awsCLI) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), "aws", args...)
	cmd.Env, cmd.Dir = c.env, c.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c awsCLI) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (c awsCLI) text(args ...string) string {
	c.t.Helper()
	return strings.TrimSpace(c.run(append(args, "--output", "text")...))
}

// lines fetches an object and reads its lines.
func (c awsCLI) lines(bucket, key string) []line {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "object")
	c.run("s3api", "get-object", "--bucket", bucket, "--key", key, path)
	f, err := os.Open(path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		c.t.Fatalf("%s is not gzip: %v", key, err)
	}
	var all []line
	for dec := json.NewDecoder(z); ; {
		var l line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			c.t.Fatalf("%s: %v", key, err)
		}
		all = append(all, l)
	}
}

func curl(t *testing.T, url, key string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", "-sS", "-H", "x-api-key: "+key, url).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %s: %v\n%s", url, err, out)
	}
	return string(out)
}

func readerPolicy(bucket string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Sid":"List","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::%[1]s"},
		{"Sid":"Get","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::%[1]s/logs/*"}]}`, bucket)
}

func destination(bucket, function string) string {
	return fmt.Sprintf(`{"RoleARN":"arn:aws:iam::000000000000:role/firehose","BucketARN":"arn:aws:s3:::%s","Prefix":"logs/",
		"ErrorOutputPrefix":"errors/!{firehose:error-output-type}/","BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":1},"CompressionFormat":"GZIP",
		"ProcessingConfiguration":{"Enabled":true,"Processors":[{"Type":"Lambda","Parameters":[
		{"ParameterName":"LambdaArn","ParameterValue":"arn:aws:lambda:us-east-1:000000000000:function:%s"}]}]}}`, bucket, function)
}

// accessLogPatch writes a file with the patch operations that enable access logging.
func accessLogPatch(t *testing.T, dir, streamARN string) string {
	t.Helper()
	ops, err := json.Marshal([]map[string]string{
		{"op": "replace", "path": "/accessLogSettings/destinationArn", "value": streamARN},
		{"op": "replace", "path": "/accessLogSettings/format", "value": curlyFormat},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "patch.json")
	if err := os.WriteFile(path, ops, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// The manual set-up, followed to the letter with console defaults.
const (
	pageReader = "111122223333"
	pageBucket = "acme-apiable-logs"
	pageStream = "amazon-apigateway-acme"
	pagePolicy = `{"Version": "2012-10-17", "Statement": [{"Sid": "Example permissions", "Effect": "Allow",
"Principal": {"AWS": "arn:aws:iam::` + pageReader + `:root"}, "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::` + pageBucket + `"]}]}`
	pagePermissions = `{"Version": "2012-10-17", "Statement": [{"Action": ["apigateway:GET"],
"Resource": ["arn:aws:apigateway:*::/usageplans", "arn:aws:apigateway:*::/usageplans/*/*"], "Effect": "Allow"}]}`
)

// pageRole creates a role as the console does for a service.
func (m *account) pageRole(name, service string) string {
	m.t.Helper()
	role := must(m.iam.CreateRole(m.t.Context(), &iam.CreateRoleInput{RoleName: &name, Path: aws.String("/service-role/"), AssumeRolePolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "` + service + `"}, "Action": "sts:AssumeRole"}]}`)}))(m.t, "create role "+name)
	return *role.Role.Arn
}

// followPage builds the pipeline of the page for a stage.
func (m *account) followPage(api, stage string) {
	m.t.Helper()
	ctx := m.t.Context()
	m.createBucket(pageBucket)
	must(m.s3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(pageBucket), Policy: aws.String(pagePolicy)}))(m.t, "put bucket policy")
	must(m.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(pageBucket), Key: aws.String("2026/01/31/12/" + pageStream + "-1-2026-01-31-12-00-00-abc"),
		Body: strings.NewReader(seedLine(seedTraffic(1, time.Now())[0]) + "\n")}))(m.t, "put object")

	role := m.pageRole("enrich-role-x1y2z3", "lambda.amazonaws.com")
	must(m.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("enrich-role-x1y2z3"), PolicyName: aws.String("usage-plans"), PolicyDocument: aws.String(pagePermissions)}))(m.t, "put role policy")
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	must(must(z.Create("lambda_function.py"))(m.t, "add file").Write([]byte("def lambda_handler(event, context): ...\n")))(m.t, "write file")
	if err := z.Close(); err != nil {
		m.t.Fatal(err)
	}
	function := must(m.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: aws.String("enrich"), Runtime: lambdatypes.RuntimePython38, Handler: aws.String("lambda_function.lambda_handler"),
		Role: &role, Timeout: aws.Int32(300), Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}}))(m.t, "create function")

	firehoseRole := m.pageRole("KinesisFirehoseServiceRole-acme", "firehose.amazonaws.com")
	m.createStream(pageStream, pageBucket, func(d *types.ExtendedS3DestinationConfiguration) {
		d.RoleARN, d.Prefix, d.ErrorOutputPrefix = &firehoseRole, nil, nil
		d.BufferingHints = &types.BufferingHints{SizeInMBs: aws.Int32(5), IntervalInSeconds: aws.Int32(300)}
		d.ProcessingConfiguration = through(*function.FunctionArn + ":$LATEST")
	})
	m.setAccessLog(api, stage, "arn:aws:firehose:"+moto.Region+":"+moto.Account+":deliverystream/"+pageStream, curlyFormat)
}

// doctor returns doctor's checks and ends the test unless it ends with the code.
func (m *account) doctor(dir string, wantCode int) []doctorCheck {
	m.t.Helper()
	stdout, stderr, code := runBinary(m.t, dir, m.env(), "doctor", "--no-record", "--json")
	var report struct{ Checks []doctorCheck }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != wantCode {
		m.t.Fatalf("doctor ended with %d, want %d (%v)\n%s\n%s", code, wantCode, err, stdout, stderr)
	}
	return report.Checks
}

// doctorCheck is a check of `doctor --json`.
type doctorCheck struct{ Name, Found, Fix string }

// A pipeline that was built by hand from the page is adopted with what it delivers, completed as doctor says, and destroyed.
// What is not the pipeline's stays as it was.
func TestSeedPageIsAdopted(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	dir, api := t.TempDir(), m.api("shop", "prod")
	m.followPage(api, "prod")
	theirs := m.state(api, "prod", pageBucket)

	_, stderr, code := runBinary(t, dir, m.env(), "init", "--adopt")
	file := string(must(os.ReadFile(filepath.Join(dir, "stagelog.yaml")))(t, "read the file"))
	for _, want := range []string{"52 curly quotes", "the bucket policy allows " + pageReader, "the delivery stream's function is enrich", "have the fields plan_id and subscription_id"} {
		if code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("init ended with %d, want 0 and %q in:\n%s", code, want, stderr)
		}
	}
	for _, want := range []string{"name: acme", "bucket: " + pageBucket, "interval: 300s", "compression: none", `prefix: ""`, "format: classic", `names: {usage_plan: plan_id, customer: subscription_id, usage_plan_id: ""}`} {
		if !strings.Contains(file, want) {
			t.Errorf("the file does not contain %q:\n%s", want, file)
		}
	}
	exportZip(t, dir)
	m.deploy(dir, "--adopt")
	if todo := m.plan(dir, 0).todo(); todo != nil {
		t.Errorf("after the adoption the plan has changes: %v", todo)
	}
	for _, c := range m.doctor(dir, 1) {
		if strings.TrimSpace(c.Fix) == "stagelog deploy" {
			t.Errorf("doctor says that a deploy, which changes nothing, fixes %s: %s", c.Name, c.Found)
		}
	}

	for _, change := range [][2]string{{"readers: []", `readers: ["` + pageReader + `"]`}, {`prefix: ""  `, "prefix: logs/"}, {`error_prefix: ""`, `error_prefix: "errors/!{firehose:error-output-type}/"`},
		{"compression: none", "compression: gzip"}, {"interval: 300s", "interval: 60s"}} {
		if !strings.Contains(file, change[0]) {
			t.Fatalf("the file does not contain %q:\n%s", change[0], file)
		}
		file = strings.Replace(file, change[0], change[1], 1)
	}
	write(t, dir, "stagelog.yaml", file)
	m.deploy(dir)
	m.doctor(dir, 0)

	if stdout, stderr, code := runBinary(t, dir, m.env(), "destroy", "--yes", "--no-drain"); code != 0 {
		t.Fatalf("destroy ended with %d\n%s\n%s", code, stdout, stderr)
	}
	left := m.state(api, "prod", pageBucket)
	for _, name := range []string{"function enrich", "role enrich-role-x1y2z3", "role enrich-role-x1y2z3 policy usage-plans", "role KinesisFirehoseServiceRole-acme"} {
		if theirs[name] == "" || left[name] != theirs[name] {
			t.Errorf("%s was\n%s\nand is\n%s", name, theirs[name], left[name])
		}
	}
	if p := left["bucket policy"]; strings.Count(p, "Sid") != 1 || !strings.Contains(p, "Example permissions") {
		t.Errorf("the bucket policy is %s, want only the statement from before", p)
	}
	for name := range left {
		if strings.Contains(name, "stagelog") || strings.HasPrefix(name, "stream ") || strings.HasPrefix(name, "log group ") {
			t.Errorf("destroy left %s", name)
		}
	}
	if keys := m.keys(pageBucket, ""); len(keys) != 1 {
		t.Errorf("destroy left %v in the bucket, want only the object from before", keys)
	}
	if left["stage"] != "null" {
		t.Errorf("the stage logs to %s, want nothing: its stream was the pipeline's", left["stage"])
	}
}

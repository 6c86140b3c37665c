package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// init writes a stagelog.yaml for the account that plan, deploy and doctor accept.
func TestInitPlanDeploy(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	dir := t.TempDir()
	api := m.api("Webshop API", "prod")
	stdout, stderr, code := runBinary(t, dir, m.env(), "init", "--aws", "--reader", "111122223333", "--json")
	var result struct {
		Name, Bucket, Region, Account string
		Stages                        []string
	}
	if err := json.Unmarshal([]byte(stdout), &result); code != 0 || err != nil {
		t.Fatalf("init --aws ended with %d (%v)\n%s\n%s", code, err, stdout, stderr)
	}
	if result.Name != "webshop-api" || result.Bucket != "webshop-api-api-logs-"+moto.Account || result.Region != moto.Region || result.Account != moto.Account ||
		len(result.Stages) != 1 || result.Stages[0] != api+"/prod" {
		t.Errorf("init --aws = %+v", result)
	}
	exportZip(t, dir)
	m.plan(dir, 2)
	m.deploy(dir)
	if todo := m.plan(dir, 0).todo(); todo != nil {
		t.Errorf("after a deploy the plan has changes: %v", todo)
	}
	if _, stderr, code := runBinary(t, dir, m.env(), "doctor", "--no-record"); code != 0 {
		t.Errorf("doctor ended with %d\n%s", code, stderr)
	}
}

func TestInitChoosesStages(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	shop, admin := m.api("shop", "prod"), m.api("admin", "live")
	bare := *must(m.gateway.CreateRestApi(t.Context(), &apigateway.CreateRestApiInput{Name: aws.String("never deployed")}))(t, "create API").Id
	tests := []struct {
		name string
		args []string
		code int
		want []string
		file []string // texts in the file; nil for no file
	}{
		{"two stages, stdin is not a terminal", []string{"--aws"}, 3, []string{shop + "/prod (shop), in 1 usage plans; access logging is off", admin + "/live", "--stage " + admin + "/live"}, nil},
		{"both by name", []string{"--stage", shop + "/prod," + admin + "/live"}, 0, nil, []string{"{api: " + shop + ", stage: prod}", "{api: " + admin + ", stage: live}", "name: shop"}},
		{"a typo", []string{"--stage", shop + "/prd"}, 1, []string{"did you mean " + shop + "/prod?"}, nil},
		{"no such API", []string{"--stage", "zzzzzzzzzz/zzz"}, 1, []string{shop + "/prod", admin + "/live"}, nil},
		{"never deployed", []string{"--stage", bare + "/prod"}, 1, []string{"never deployed", "create-deployment --rest-api-id " + bare}, nil},
		{"nothing to adopt", []string{"--adopt"}, 1, []string{"no stage logs to a delivery stream"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			_, stderr, code := runBinary(t, dir, m.env(), append([]string{"init"}, tt.args...)...)
			if code != tt.code {
				t.Fatalf("init ended with %d, want %d\n%s", code, tt.code, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("init does not print %q:\n%s", want, stderr)
				}
			}
			data, err := os.ReadFile(filepath.Join(dir, "stagelog.yaml"))
			if (err == nil) != (tt.file != nil) {
				t.Errorf("read the file: %v, want a file: %v", err, tt.file != nil)
			}
			for _, want := range tt.file {
				if !strings.Contains(strings.ReplaceAll(string(data), `"`, ""), want) {
					t.Errorf("the file does not contain %q:\n%s", want, data)
				}
			}
		})
	}
	m.Reset()
	if _, stderr, code := runBinary(t, t.TempDir(), m.env(), "init", "--aws"); code != 1 || !strings.Contains(stderr, "no REST API in "+moto.Region) {
		t.Errorf("init in an empty account ended with %d\n%s", code, stderr)
	}
}

// init --adopt describes a pipeline that was built by hand, and deploy --adopt changes it without
// creating a second stream.
func TestInitAdoptsStream(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	m := startMoto(t)
	dir, api := t.TempDir(), m.api("shop", "prod")
	m.createBucket("theirs-logs")
	must(m.s3.PutObject(t.Context(), putText("theirs-logs", "2026/01/01/old.gz")))(t, "put object")
	m.createStream("amazon-apigateway-theirs", "theirs-logs", func(d *types.ExtendedS3DestinationConfiguration) {
		d.Prefix, d.CompressionFormat = aws.String("apis/"), types.CompressionFormatUncompressed
		d.BufferingHints = &types.BufferingHints{IntervalInSeconds: aws.Int32(300), SizeInMBs: aws.Int32(5)}
	})
	m.setAccessLog(api, "prod", "arn:aws:firehose:"+moto.Region+":"+moto.Account+":deliverystream/amazon-apigateway-theirs", curlyFormat)
	if _, stderr, code := runBinary(t, dir, m.env(), "init", "--adopt"); code != 0 || !strings.Contains(stderr, "the file has a corrected format") {
		t.Fatalf("init --adopt ended with %d\n%s", code, stderr)
	}
	data := string(must(os.ReadFile(filepath.Join(dir, "stagelog.yaml")))(t, "read the file"))
	for _, want := range []string{"name: theirs", "bucket: theirs-logs", "interval: 300s", "compression: none", `prefix: "apis/"`} {
		if !strings.Contains(data, want) {
			t.Errorf("the file does not contain %q:\n%s", want, data)
		}
	}
	exportZip(t, dir)
	if _, stderr, code := runBinary(t, dir, m.env(), "deploy", "--yes", "--function-zip", "function.zip"); code != 1 || !strings.Contains(stderr, "--adopt") {
		t.Errorf("deploy without --adopt ended with %d\n%s", code, stderr)
	}
	m.deploy(dir, "--adopt")
	if todo := m.plan(dir, 0).todo(); todo != nil {
		t.Errorf("after the adoption the plan has changes: %v", todo)
	}
	streams := must(m.firehose.ListDeliveryStreams(t.Context(), nil))(t, "list streams").DeliveryStreamNames
	stage := must(m.gateway.GetStage(t.Context(), &apigateway.GetStageInput{RestApiId: &api, StageName: aws.String("prod")}))(t, "get stage")
	if len(streams) != 1 || strings.ContainsAny(aws.ToString(stage.AccessLogSettings.Format), "“”") {
		t.Errorf("the streams are %v and the format is %s", streams, aws.ToString(stage.AccessLogSettings.Format))
	}
}

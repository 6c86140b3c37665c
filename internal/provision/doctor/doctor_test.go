package doctor_test

import (
	"debug/elf"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

func TestValidChainHasNoFaults(t *testing.T) {
	s := moto.Start(t)
	b := good().build(t, provision.NewClients(s.Config(nil)))
	for name, target := range map[string]doctor.Target{"own": b.own(), "foreign": b.target()} {
		f := examine(t, withCode(t, s, programFor(t, elf.EM_AARCH64)), target, doctor.Options{})
		for _, status := range []doctor.Status{doctor.Failed, doctor.Warning, doctor.Skipped} {
			for _, check := range f.withStatus(status) {
				t.Errorf("%s: %s: %s", name, status, text(f[check]))
			}
		}
		t.Logf("%s: %v", name, f.withStatus(doctor.OK))
	}
}

// seedChain returns the chain described by the seed page, with the default function timeout.
func seedChain() *built {
	return &built{
		format: accesslog.Seed(), stream: testStream, streamType: types.DeliveryStreamTypeDirectPut, plain: true,
		bucketPolicy: `{"Version":"2012-10-17","Statement":[{"Sid":"Example permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},
			"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::acme-api-logs"]}]}`,
		firehoseTrust:  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
		firehosePolicy: good().firehosePolicy,
		functionTrust:  good().functionTrust,
		functionPolicy: `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["apigateway:GET"],"Resource":["arn:aws:apigateway:*::/usageplans","arn:aws:apigateway:*::/usageplans/*/*"]},
			{"Effect":"Allow","Action":["logs:*"],"Resource":"*"}]}`,
		function: &lambda.CreateFunctionInput{FunctionName: aws.String("stagelog-acme"), Runtime: lambdatypes.RuntimePython38, Handler: aws.String("lambda_function.lambda_handler")},
	}
}

func TestFaultsOfSeedPageAreFound(t *testing.T) {
	s := moto.Start(t)
	b := seedChain().build(t, provision.NewClients(s.Config(nil)))
	f := examine(t, b.c, b.target(), doctor.Options{})

	f.expect(t, "stage: format: curly quotes", doctor.Failed, "line 1, column 2", "52 curly quotes", "update-stage", "deploy --adopt")
	f.expect(t, "stage: format: api key in clear", doctor.Warning, "$context.identity.apiKey")
	f.expect(t, "stage: format: no extended request id", doctor.Warning)
	f.expect(t, "stage: format: no trailing newline", doctor.Warning)
	f.expect(t, "readers: get", doctor.Failed, `"Example permissions"`, "s3:GetObject only on arn:aws:s3:::acme-api-logs", "which is the bucket and not its objects", "put-bucket-policy", "arn:aws:s3:::acme-api-logs/*")
	f.expect(t, "readers: list", doctor.OK)
	f.expect(t, "function: timeout", doctor.Failed, "3 s", "default", "--timeout 60", "Lambda.FunctionTimedOut")
	f.expect(t, "function: memory", doctor.Warning, "128")
	f.expect(t, "function: runtime", doctor.Warning, "python3.8")
	f.expect(t, "function: role scope", doctor.Warning, "arn:aws:apigateway:*::/usageplans/*/*")
	f.expect(t, "function: role permissions", doctor.OK)
	f.expect(t, "stream: role trust", doctor.Warning, "sts:ExternalId")
	f.expect(t, "stream: error prefix", doctor.Warning, "processing-failed/")
	f.expect(t, "stream: compression", doctor.Warning, "GZIP")
	f.expect(t, "stream: error logging", doctor.Warning, "create-log-stream")
	f.expect(t, "bucket: public access block", doctor.Warning)
	f.expect(t, "bucket: object ownership", doctor.Warning)
	f.expect(t, "bucket: lifecycle", doctor.Warning)
	if diff := cmp.Diff([]string{"function: timeout", "readers: get", "stage: format: curly quotes"}, f.withStatus(doctor.Failed)); diff != "" {
		t.Errorf("failed checks (-want +got):\n%s", diff)
	}
}

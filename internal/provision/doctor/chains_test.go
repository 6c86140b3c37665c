package doctor_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2 "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/record"
)

// apiableChain returns the chain that Apiable's templates build: no function, plan and
// subscription from an authorizer, and full access for the partner.
func apiableChain() *built {
	b := good()
	b.format = `{"api_id":"$context.apiId","api_key":"$context.identity.apiKey","key_id":"$context.identity.apiKeyId","ip":"$context.identity.sourceIp",` +
		`"method":"$context.httpMethod","uri":"$context.path","response_size":"$context.responseLength","response_status":"$context.status",` +
		`"resource_id":"$context.resourceId","request_id":"$context.requestId","request_latency":"$context.responseLatency",` +
		`"request_time":"$context.requestTimeEpoch","stage":"$context.stage","plan_id":"$context.authorizer.apiable_plan_id","subscription_id":"$context.authorizer.apiable_subscription_id"}` + "\n"
	b.function, b.noPlan = nil, true
	b.firehoseTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	b.to.Prefix, b.to.ErrorOutputPrefix = aws.String("apiable/aws/logs/"), aws.String("apiable/aws/errors/")
	b.to.BufferingHints, b.to.CompressionFormat = &types.BufferingHints{IntervalInSeconds: aws.Int32(300), SizeInMBs: aws.Int32(5)}, types.CompressionFormatUncompressed
	b.bucketPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","arn:aws:iam::123456789012:root"]},
		"Action":"s3:*","Resource":["arn:aws:s3:::acme-api-logs","arn:aws:s3:::acme-api-logs/*"]}]}`
	return b
}

func TestApiableChainNeedsNoFunction(t *testing.T) {
	s := moto.Start(t)
	b := apiableChain().build(t, provision.NewClients(s.Config(nil)))
	f := examine(t, b.c, b.target(), doctor.Options{})
	if failed := f.withStatus(doctor.Failed); failed != nil {
		t.Errorf("failed checks: %v", failed)
	}
	f.expect(t, "stream: processor", doctor.OK, "no function", "authorizer", "key_id")
	f.expect(t, "stage: usage plans", doctor.OK, "needs none")
	want := []string{"readers: error output", "readers: write", "stage: format: api key in clear", "stage: format: no extended request id", "stream: compression", "stream: role trust"}
	if diff := cmp.Diff(want, f.withStatus(doctor.Warning)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}

	s.Reset()
	b = apiableChain()
	b.format = strings.TrimSuffix(strings.Replace(b.format, `,"subscription_id":"$context.authorizer.apiable_subscription_id"`, "", 1), "\n")
	b.build(t, b.clients(s))
	f = examine(t, b.c, b.target(), doctor.Options{})
	f.expect(t, "stage: format: no subscription id", doctor.Failed, "discards every record", "subscription_id")
	f.expect(t, "stage: format: no trailing newline", doctor.Failed, "{…}{…} on one line")
}

func (b *built) clients(s *moto.Server) *provision.Clients {
	return provision.NewClients(s.Config(nil))
}

// sampleChain returns the chain that the AWS sample's template builds.
func sampleChain() *built {
	b := good()
	b.format = `{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp", "requestTime":"$context.requestTime", "httpMethod":"$context.httpMethod","resourcePath":"$context.resourcePath", "status":"$context.status", "responseLength":"$context.responseLength", "apiId":"$context.apiId", "stage":"$context.stage", "apiKeyId":"$context.identity.apiKeyId" }`
	b.function = &lambda.CreateFunctionInput{FunctionName: aws.String("stagelog-acme"), Runtime: lambdatypes.RuntimePython38, Handler: aws.String("app.lambda_handler"), Timeout: aws.Int32(60), MemorySize: aws.Int32(128)}
	b.functionPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"apigateway:GET","Resource":["arn:aws:apigateway:eu-west-1::/usageplans","arn:aws:apigateway:eu-west-1::/usageplans/*/keys"]},
		{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`
	b.firehosePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:AbortMultipartUpload","s3:GetBucketLocation","s3:GetObject","s3:ListBucket","s3:ListBucketMultipartUploads","s3:PutObject"],"Resource":["arn:aws:s3:::acme-api-logs","arn:aws:s3:::acme-api-logs*"]},
		{"Effect":"Allow","Action":["lambda:InvokeFunction","lambda:GetFunctionConfiguration"],"Resource":"` + functionARNs + `stagelog-acme"}]}`
	b.to = types.ExtendedS3DestinationConfiguration{
		Prefix:            aws.String("json/year=!{timestamp:YYYY}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/"),
		ErrorOutputPrefix: aws.String("error/!{firehose:error-output-type}/year=!{timestamp:YYYY}/"),
		BufferingHints:    &types.BufferingHints{IntervalInSeconds: aws.Int32(300), SizeInMBs: aws.Int32(5)},
	}
	b.bucketPolicy = ""
	return b
}

func TestFaultsOfAWSSampleAreFound(t *testing.T) {
	s := moto.Start(t)
	b := sampleChain().build(t, provision.NewClients(s.Config(nil)))
	f := examine(t, b.c, b.target(), doctor.Options{})
	if failed := f.withStatus(doctor.Failed); failed != nil {
		t.Errorf("failed checks: %v", failed)
	}
	want := []string{"function: memory", "function: runtime", "stage: format: no extended request id", "stage: format: no trailing newline",
		"stream: compression", "stream: error logging", "stream: prefix expression", "stream: role scope"}
	if diff := cmp.Diff(want, f.withStatus(doctor.Warning)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	f.expect(t, "stream: prefix expression", doctor.Warning, "week", "json/year=!{timestamp:yyyy}")
	f.expect(t, "stream: role scope", doctor.Warning, "arn:aws:s3:::acme-api-logs*")
	f.expect(t, "readers: accounts", doctor.OK)
}

func TestMissingStageIsExplained(t *testing.T) {
	s := moto.Start(t)
	b := good().build(t, provision.NewClients(s.Config(nil)))
	make2 := func(protocol v2.ProtocolType) string {
		return *must(b.c.APIGatewayV2.CreateApi(t.Context(), &apigatewayv2.CreateApiInput{Name: aws.String("chat"), ProtocolType: protocol, RouteSelectionExpression: aws.String("$request.body.action")}))(t).ApiId
	}
	for _, tc := range []struct {
		name  string
		ref   record.StageRef
		check string
		text  []string
	}{
		{"no such API", record.StageRef{API: "nosuch1234", Stage: "prod"}, "stage: exists", []string{"API nosuch1234 not found", "get-rest-apis"}},
		{"no such stage", record.StageRef{API: b.ref.API, Stage: "prd"}, "stage: exists", []string{"did you mean prod"}},
		{"an HTTP API", record.StageRef{API: make2(v2.ProtocolTypeHttp), Stage: "$default"}, "stage: REST API", []string{"HTTP API", "only to CloudWatch Logs", "no API keys"}},
		{"a WebSocket API", record.StageRef{API: make2(v2.ProtocolTypeWebsocket), Stage: "prod"}, "stage: REST API", []string{"WebSocket API", "only to CloudWatch Logs"}},
	} {
		target := b.target()
		target.Stages = []record.StageRef{tc.ref}
		f := examine(t, b.c, target, doctor.Options{})
		f.expect(t, tc.check, doctor.Failed, tc.text...)
		if failed := f.withStatus(doctor.Failed); len(failed) != 1 {
			t.Errorf("%s: failed: %v", tc.name, failed)
		}
	}
}

func TestStagesShareOneStream(t *testing.T) {
	s := moto.Start(t)
	b := good().build(t, provision.NewClients(s.Config(nil)))
	target := b.own()
	target.Stages = append(target.Stages, b.ref)
	f := examine(t, b.c, target, doctor.Options{})
	if len(f["stage: destination"]) != 2 || len(f["stream: state"]) != 1 {
		t.Errorf("two stages of one stream: got %d destination checks and %d stream checks, want 2 and 1", len(f["stage: destination"]), len(f["stream: state"]))
	}
	b.log(t.Context(), t, arnOf("firehose", "deliverystream/"+testStream), strings.Replace(b.format, `"ip"`, `"address"`, 1))
	f = examine(t, b.c, b.own(), doctor.Options{})
	f.expect(t, "stage: format: as in stagelog.yaml", doctor.Warning, "stagelog deploy")

	target = b.own()
	target.Stages = nil
	f = examine(t, b.c, target, doctor.Options{})
	f.expect(t, "stream: state", doctor.OK)
}

// denier denies the requests for which call returns true.
type denier struct {
	call func(*http.Request) bool
}

func (d denier) RoundTrip(req *http.Request) (*http.Response, error) {
	if !d.call(req) {
		return http.DefaultTransport.RoundTrip(req)
	}
	return response(http.StatusForbidden, `{"__type":"AccessDeniedException","message":"not authorized"}`), nil
}

func TestDeniedChecksAreSkipped(t *testing.T) {
	s := moto.Start(t)
	good().build(t, provision.NewClients(s.Config(nil)))
	target := func(ref record.StageRef) doctor.Target {
		return doctor.Target{Region: moto.Region, Account: moto.Account, Partition: "aws", Stages: []record.StageRef{ref}}
	}
	c := provision.NewClients(s.Config(nil))
	ref := onlyStage(t, c)
	has := func(text string) func(*http.Request) bool {
		return func(req *http.Request) bool {
			return strings.Contains(req.Header.Get("X-Amz-Target")+" "+req.Method+" "+req.URL.RequestURI(), text)
		}
	}
	for _, tc := range []struct {
		name, call, check, action string
	}{
		{"the stage", "GET /restapis/" + ref.API + "/stages/prod", "stage: exists", "apigateway:GET"},
		{"the stream", "DescribeDeliveryStream", "stream: state", "firehose:DescribeDeliveryStream"},
		{"its log", "GetLogEvents", "stream: recent errors", "logs:GetLogEvents"},
		{"the function", "/functions/", "function: exists", "lambda:GetFunctionConfiguration"},
		{"the bucket's policy", "?policy", "bucket: policy", "s3:GetBucketPolicy"},
		{"the encryption", "?encryption", "bucket: encryption", "s3:GetEncryptionConfiguration"},
		{"the lifecycle", "?lifecycle", "bucket: lifecycle", "s3:GetLifecycleConfiguration"},
		{"the usage plans", "/usageplans", "stage: usage plans", "apigateway:GET"},
	} {
		denied := provision.NewClients(s.Config(denier{call: has(tc.call)}))
		f := examine(t, denied, target(ref), doctor.Options{})
		f.expect(t, tc.check, doctor.Skipped, tc.action, `"Effect": "Allow"`)
		if failed := f.withStatus(doctor.Failed); failed != nil {
			t.Errorf("%s: failed: %v", tc.name, failed)
		}
	}
	denied := provision.NewClients(s.Config(denier{call: func(req *http.Request) bool {
		return strings.Contains(req.Header.Get("Authorization"), "/iam/aws4_request")
	}}))
	f := examine(t, denied, target(ref), doctor.Options{})
	f.expect(t, "stream: role trust", doctor.Skipped, "iam:GetRole")
	f.expect(t, "stream: role permissions", doctor.Skipped, "iam:GetRole")
	f.expect(t, "function: role permissions", doctor.Skipped, "iam:GetRole")
	if failed := f.withStatus(doctor.Failed); failed != nil {
		t.Errorf("without IAM: failed: %v", failed)
	}
}

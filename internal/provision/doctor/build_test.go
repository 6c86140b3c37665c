package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	testBucket = "acme-api-logs"
	testStream = "amazon-apigateway-acme"
	testReader = "111122223333"
)

// built is a chain like one built by hand. The zero value of a field omits that part; good
// sets all of them to valid values.
type built struct {
	format         string
	stream         string
	streamType     types.DeliveryStreamType
	firehoseTrust  string
	firehosePolicy string
	functionTrust  string
	functionPolicy string
	function       *lambda.CreateFunctionInput // nil: no function
	disabled       bool                        // disables the processor
	lambdaMB       string
	to             types.ExtendedS3DestinationConfiguration
	bucketPolicy   string
	noBucket       bool
	noLogStream    bool
	plain          bool // leaves the bucket's settings at their defaults
	noPlan         bool

	c   *provision.Clients
	ref record.StageRef
	key string // the id of the customer's key
}

func arnOf(service, resource string) string {
	return "arn:aws:" + service + ":" + moto.Region + ":" + moto.Account + ":" + resource
}

const functionARNs = "arn:aws:lambda:" + moto.Region + ":" + moto.Account + ":function:"

// good returns a valid chain like the one that deploy builds.
func good() *built {
	return &built{
		format: accesslog.Usage, stream: testStream, streamType: types.DeliveryStreamTypeDirectPut,
		firehoseTrust: policy.FirehoseTrust(moto.Account).JSON(),
		firehosePolicy: policy.Firehose(policy.FirehosePermissions{Partition: "aws", Region: moto.Region, Account: moto.Account,
			Bucket: testBucket, Function: "stagelog-acme", LogGroup: "/aws/kinesisfirehose/" + testStream}).JSON(),
		functionTrust: policy.FunctionTrust().JSON(),
		functionPolicy: policy.Function(policy.FunctionPermissions{Partition: "aws", Region: moto.Region, Account: moto.Account,
			LogGroup: "/aws/lambda/stagelog-acme", Bucket: testBucket, SnapshotKey: "stagelog/directory.json"}).JSON(),
		function: &lambda.CreateFunctionInput{FunctionName: aws.String("stagelog-acme"), Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
			Architectures: []lambdatypes.Architecture{lambdatypes.ArchitectureArm64},
			Timeout:       aws.Int32(60), MemorySize: aws.Int32(256), Environment: &lambdatypes.Environment{Variables: map[string]string{"STAGELOG_FORMAT": "usage", "STAGELOG_SNAPSHOT": "s3://" + testBucket + "/stagelog/directory.json"}}},
		to: types.ExtendedS3DestinationConfiguration{
			Prefix: aws.String("logs/"), ErrorOutputPrefix: aws.String("errors/!{firehose:error-output-type}/"),
			BufferingHints:           &types.BufferingHints{IntervalInSeconds: aws.Int32(60), SizeInMBs: aws.Int32(5)},
			CompressionFormat:        types.CompressionFormatGzip,
			CloudWatchLoggingOptions: &types.CloudWatchLoggingOptions{Enabled: aws.Bool(true), LogGroupName: aws.String("/aws/kinesisfirehose/" + testStream), LogStreamName: aws.String("S3Delivery")},
		},
		bucketPolicy: policy.Bucket(policy.BucketPermissions{Partition: "aws", Bucket: testBucket, Prefix: "logs/", Private: []string{"errors/", "stagelog/"}, Readers: []string{testReader}}).JSON(),
	}
}

// must returns a function that returns v, or fails the test if err is not nil.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// build creates the chain in moto.
func (b *built) build(t *testing.T, c *provision.Clients) *built {
	t.Helper()
	ctx := t.Context()
	b.c = c
	b.buildAPI(ctx, t)
	if !b.noBucket {
		b.buildBucket(ctx, t)
	}
	role := b.buildRole(ctx, t, "firehose", b.firehoseTrust, b.firehosePolicy)
	b.to.RoleARN, b.to.BucketARN = aws.String(role), aws.String("arn:aws:s3:::"+testBucket)
	if b.function != nil {
		b.function.Role = aws.String(b.buildRole(ctx, t, "function", b.functionTrust, b.functionPolicy))
		b.function.Code = &lambdatypes.FunctionCode{ZipFile: []byte("PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")}
		must(b.c.Lambda.CreateFunction(ctx, b.function))(t)
		params := []types.ProcessorParameter{{ParameterName: types.ProcessorParameterNameLambdaArn, ParameterValue: aws.String(functionARNs + *b.function.FunctionName)}}
		if b.lambdaMB != "" {
			params = append(params, types.ProcessorParameter{ParameterName: types.ProcessorParameterNameBufferSizeInMb, ParameterValue: &b.lambdaMB})
		}
		b.to.ProcessingConfiguration = &types.ProcessingConfiguration{Enabled: aws.Bool(!b.disabled), Processors: []types.Processor{{Type: types.ProcessorTypeLambda, Parameters: params}}}
	}
	if log := b.to.CloudWatchLoggingOptions; log != nil {
		must(b.c.Logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: log.LogGroupName}))(t)
		if !b.noLogStream {
			must(b.c.Logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: log.LogGroupName, LogStreamName: log.LogStreamName}))(t)
		}
	}
	must(b.c.Firehose.CreateDeliveryStream(ctx, &firehose.CreateDeliveryStreamInput{DeliveryStreamName: &b.stream, DeliveryStreamType: b.streamType, ExtendedS3DestinationConfiguration: &b.to,
		Tags: []types.Tag{{Key: aws.String(desired.OwnerTag), Value: aws.String(moto.Region + "/acme")}}}))(t)
	b.log(ctx, t, arnOf("firehose", "deliverystream/"+b.stream), b.format)
	return b
}

// log sets the stage's access log settings.
func (b *built) log(ctx context.Context, t *testing.T, destination, format string) {
	t.Helper()
	must(b.c.APIGateway.UpdateStage(ctx, &apigateway.UpdateStageInput{RestApiId: &b.ref.API, StageName: &b.ref.Stage, PatchOperations: []gatewaytypes.PatchOperation{
		{Op: gatewaytypes.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: &destination},
		{Op: gatewaytypes.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: &format},
	}}))(t)
}

func (b *built) buildAPI(ctx context.Context, t *testing.T) {
	t.Helper()
	api := must(b.c.APIGateway.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("shop")}))(t)
	b.ref = record.StageRef{API: *api.Id, Stage: "prod"}
	root := must(b.c.APIGateway.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: api.Id}))(t).Items[0].Id
	must(b.c.APIGateway.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}))(t)
	must(b.c.APIGateway.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: api.Id, ResourceId: root, HttpMethod: aws.String("GET"), Type: gatewaytypes.IntegrationTypeHttpProxy,
		IntegrationHttpMethod: aws.String("GET"), Uri: aws.String("http://127.0.0.1/")}))(t)
	must(b.c.APIGateway.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: &b.ref.Stage}))(t)
	if b.noPlan {
		return
	}
	plan := must(b.c.APIGateway.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("Gold"), ApiStages: []gatewaytypes.ApiStage{{ApiId: api.Id, Stage: &b.ref.Stage}}}))(t)
	key := must(b.c.APIGateway.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("Acme Corp"), Enabled: true}))(t)
	must(b.c.APIGateway.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))(t)
	b.key = *key.Id
}

func (b *built) buildBucket(ctx context.Context, t *testing.T) {
	t.Helper()
	name := aws.String(testBucket)
	must(b.c.S3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}}))(t)
	if b.bucketPolicy != "" {
		must(b.c.S3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: name, Policy: &b.bucketPolicy}))(t)
	}
	if b.plain {
		return
	}
	must(b.c.S3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: name, PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
		BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true), RestrictPublicBuckets: aws.Bool(true)}}))(t)
	must(b.c.S3.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: name, OwnershipControls: &s3types.OwnershipControls{Rules: []s3types.OwnershipControlsRule{{ObjectOwnership: s3types.ObjectOwnershipBucketOwnerEnforced}}}}))(t)
	must(b.c.S3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: name, LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{Rules: []s3types.LifecycleRule{
		{ID: aws.String("logs"), Status: s3types.ExpirationStatusEnabled, Filter: &s3types.LifecycleRuleFilter{Prefix: aws.String("logs/")}, Expiration: &s3types.LifecycleExpiration{Days: aws.Int32(400)}}}}}))(t)
}

func (b *built) buildRole(ctx context.Context, t *testing.T, name, trust, permissions string) string {
	t.Helper()
	role := aws.String("acme-" + name)
	_, err := b.c.IAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: role, AssumeRolePolicyDocument: &trust})
	// On a busy machine a connection may break after the role was created, and the SDK retries.
	if exists := (*iamtypes.EntityAlreadyExistsException)(nil); err != nil && !errors.As(err, &exists) {
		t.Fatal(err)
	}
	if permissions != "" {
		must(b.c.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role, PolicyName: aws.String("p"), PolicyDocument: &permissions}))(t)
	}
	return "arn:aws:iam::" + moto.Account + ":role/" + *role
}

// spec returns the pipeline that the chain should match.
func (b *built) spec() *desired.Spec {
	return &desired.Spec{
		Partition: "aws", Region: moto.Region, Account: moto.Account, Architecture: "arm64",
		Pipeline: &config.Pipeline{
			Name: "acme", Bucket: testBucket, Readers: []string{testReader}, Stages: []record.StageRef{b.ref}, Format: accesslog.Usage,
			Names:   config.OutputNames{UsagePlan: "usage_plan", Customer: "customer", UsagePlanID: "usage_plan_id"},
			Deliver: config.Deliver{Compression: "GZIP", Prefix: "logs/", ErrorPrefix: "errors/!{firehose:error-output-type}/"},
		},
	}
}

// target returns a target for the chain without a pipeline.
func (b *built) target() doctor.Target {
	return doctor.Target{Region: moto.Region, Account: moto.Account, Partition: "aws", Stages: []record.StageRef{b.ref}}
}

// own returns a target for the chain with its pipeline.
func (b *built) own() doctor.Target {
	t := b.target()
	t.Spec, t.Readers = b.spec(), []string{testReader}
	return t
}

// found maps "link: name" to the checks with that name.
type found map[string][]doctor.Check

func examine(t *testing.T, c *provision.Clients, target doctor.Target, o doctor.Options) found {
	t.Helper()
	all := found{}
	reported := 0
	report, err := doctor.Run(t.Context(), c, target, o, func(doctor.Check) { reported++ })
	if err != nil {
		t.Fatalf("doctor.Run: %v", err)
	}
	if reported != len(report.Checks) {
		t.Errorf("doctor.Run reported %d checks, want the %d in its result", reported, len(report.Checks))
	}
	for _, c := range report.Checks {
		all[c.Link+": "+c.Name] = append(all[c.Link+": "+c.Name], c)
		if c.Status != doctor.OK && (c.Found == "" || c.Cause == "") || (c.Status == doctor.Failed || c.Status == doctor.Warning) && (c.Consequence == "" || c.Fix == "") {
			t.Errorf("a check lacks a text: %s", text(c))
		}
	}
	return all
}

// withStatus returns the sorted names of the checks that have status s.
func (f found) withStatus(s doctor.Status) []string {
	var names []string
	for name, checks := range f {
		for _, c := range checks {
			if c.Status == s {
				names = append(names, name)
				break
			}
		}
	}
	return sorted(names)
}

// expect fails the test unless a check has status s and contains each of the words.
func (f found) expect(t *testing.T, name string, s doctor.Status, words ...string) {
	t.Helper()
	checks := f[name]
	for _, c := range checks {
		if c.Status != s {
			continue
		}
		for _, w := range words {
			if !strings.Contains(c.Found+"\n"+c.Cause+"\n"+c.Consequence+"\n"+c.Fix, w) {
				t.Errorf("the check %s does not contain %q:\n%s", name, w, text(c))
			}
		}
		return
	}
	t.Errorf("the check %s does not have status %s: %s", name, s, text(checks))
}

func text(v any) string {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(out)
}

func nowMillis() int64 { return time.Now().UnixMilli() }

// response returns a response like one of AWS.
func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}, "X-Amzn-Errortype": {"AccessDeniedException"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// onlyStage returns the only stage of the only API.
func onlyStage(t *testing.T, c *provision.Clients) record.StageRef {
	t.Helper()
	apis := must(c.APIGateway.GetRestApis(t.Context(), &apigateway.GetRestApisInput{}))(t)
	return record.StageRef{API: *apis.Items[0].Id, Stage: "prod"}
}

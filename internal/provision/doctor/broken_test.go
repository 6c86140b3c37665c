package doctor_test

import (
	"debug/elf"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/provision/doctor"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// fault is a single fault in an otherwise valid chain, and exactly the checks that doctor must
// report for it.
type fault struct {
	name   string
	before func(b *built)               // changes the chain before it is built
	after  func(t *testing.T, b *built) // changes the built chain
	failed []string
	warned []string
	text   []string // in the first of them
}

func faults() []fault {
	denying := func(statement string) func(b *built) {
		return func(b *built) {
			b.bucketPolicy = strings.Replace(b.bucketPolicy, `"Statement": [`, `"Statement": [`+statement+`,`, 1)
		}
	}
	const objects = `"Action":"s3:PutObject","Resource":"arn:aws:s3:::` + testBucket + `/*"`
	return []fault{
		{name: "no access logging", after: func(t *testing.T, b *built) {
			must(b.c.APIGateway.UpdateStage(t.Context(), &apigateway.UpdateStageInput{RestApiId: &b.ref.API, StageName: &b.ref.Stage, PatchOperations: []gatewaytypes.PatchOperation{{Op: gatewaytypes.OpRemove, Path: aws.String("/accessLogSettings")}}}))(t)
		}, failed: []string{"stage: access logging"}, text: []string{"stagelog deploy"}},
		{name: "log group as destination", after: func(t *testing.T, b *built) {
			b.log(t.Context(), t, arnOf("logs", "log-group:api"), accesslog.Usage)
		}, failed: []string{"stage: destination"}, text: []string{"CloudWatch Logs log group", "one destination"}},
		{name: "stream in another Region", after: func(t *testing.T, b *built) {
			b.log(t.Context(), t, strings.Replace(arnOf("firehose", "deliverystream/"+testStream), moto.Region, "us-east-1", 1), accesslog.Usage)
		}, failed: []string{"stage: destination"}, text: []string{"the stream is in us-east-1, the API in eu-west-1"}},
		{name: "stream in another account", after: func(t *testing.T, b *built) {
			b.log(t.Context(), t, strings.Replace(arnOf("firehose", "deliverystream/"+testStream), moto.Account, "999988887777", 1), accesslog.Usage)
		}, failed: []string{"stage: destination"}, text: []string{"service-linked role"}},
		{name: "deleted stream", after: func(t *testing.T, b *built) {
			b.log(t.Context(), t, arnOf("firehose", "deliverystream/amazon-apigateway-gone"), accesslog.Usage)
		}, failed: []string{"stage: destination"}, text: []string{"the delivery stream amazon-apigateway-gone does not exist"}},
		{name: "stream name without prefix", before: func(b *built) { b.stream = "acme" },
			failed: []string{"stage: destination"}, text: []string{"does not begin with amazon-apigateway-"}},
		{name: "no request id", before: func(b *built) {
			b.format = `{"api_id":"$context.apiId","stage":"$context.stage","key_id":"$context.identity.apiKeyId"}` + "\n"
		}, failed: []string{"stage: format: no request id"}, text: []string{"extendedRequestId"}},
		{name: "no key id", before: func(b *built) {
			b.format = `{"api_id":"$context.apiId","stage":"$context.stage","id":"$context.extendedRequestId"}` + "\n"
		}, failed: []string{"function: format", "stage: format: no key id"}},
		{name: "Kinesis stream as source", before: func(b *built) { b.streamType = types.DeliveryStreamTypeKinesisStreamAsSource },
			failed: []string{"stream: type"}, text: []string{"KinesisStreamAsSource", "PutRecord"}},
		{name: "role not trusting Firehose", before: func(b *built) {
			b.firehoseTrust = strings.Replace(b.firehoseTrust, "firehose.amazonaws.com", "lambda.amazonaws.com", 1)
		}, failed: []string{"stream: role trust"}, text: []string{"only lambda.amazonaws.com", "update-assume-role-policy"}},
		{name: "role trusting another account", before: func(b *built) {
			b.firehoseTrust = strings.Replace(b.firehoseTrust, moto.Account, "999988887777", 1)
		}, failed: []string{"stream: role trust"}, text: []string{"condition that is not met"}},
		{name: "role trust by source account", before: func(b *built) {
			b.firehoseTrust = strings.Replace(b.firehoseTrust, "sts:ExternalId", "aws:SourceAccount", 1)
		},
			warned: []string{"stream: role trust"}, text: []string{"sts:ExternalId"}},
		{name: "deleted role", after: func(t *testing.T, b *built) {
			must(b.c.IAM.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("acme-firehose"), PolicyName: aws.String("p")}))(t)
			must(b.c.IAM.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("acme-firehose")}))(t)
		}, failed: []string{"stream: role trust"}, text: []string{"the role arn:aws:iam::123456789012:role/acme-firehose does not exist"}},
		{name: "role without PutObject", before: func(b *built) {
			b.firehosePolicy = strings.Replace(b.firehosePolicy, "s3:PutObject", "s3:PutObjectTagging", 1)
		}, failed: []string{"stream: role permissions"}, text: []string{"s3:PutObject on arn:aws:s3:::" + testBucket, "put-role-policy"}},
		{name: "role without InvokeFunction", before: func(b *built) {
			b.firehosePolicy = strings.ReplaceAll(b.firehosePolicy, "function:stagelog-acme", "function:other")
		}, failed: []string{"stream: role permissions"}, warned: []string{"stream: role permissions"}, text: []string{"lambda:InvokeFunction", "Lambda.InvokeAccessDenied"}},
		{name: "role without ListBucketMultipartUploads", before: func(b *built) {
			b.firehosePolicy = strings.Replace(b.firehosePolicy, "s3:ListBucketMultipartUploads", "s3:ListBucketVersions", 1)
		}, warned: []string{"stream: role permissions"}, text: []string{"s3:ListBucketMultipartUploads"}},
		{name: "processing switched off", before: func(b *built) { b.disabled = true },
			failed: []string{"stream: processor"}, text: []string{"switched off", `"Enabled":true`}},
		{name: "no function", before: func(b *built) { b.function = nil },
			failed: []string{"stream: processor"}, text: []string{"has no function"}},
		{name: "3 MiB to the function", before: func(b *built) { b.lambdaMB = "3" },
			warned: []string{"stream: processor buffer"}, text: []string{"6 MB"}},
		{name: "buffering for 15 minutes", before: func(b *built) { b.to.BufferingHints.IntervalInSeconds = aws.Int32(900) },
			warned: []string{"stream: buffering"}},
		{name: "week year in prefix", before: func(b *built) { b.to.Prefix = aws.String("logs/!{timestamp:YYYY/MM/dd}/") },
			warned: []string{"stream: prefix expression"}, text: []string{"yyyy"}},
		{name: "prefix without slash", before: func(b *built) { b.to.Prefix = aws.String("logs") },
			warned: []string{"stream: prefix expression"}, failed: []string{"readers: get"}},
		{name: "error prefix below prefix", before: func(b *built) { b.to.ErrorOutputPrefix = aws.String("logs/errors/") },
			warned: []string{"readers: error output", "stream: error prefix"}},
		{name: "source backup", before: func(b *built) {
			b.format = strings.Replace(b.format, `{`, `{"k":"$context.identity.apiKey",`, 1)
			b.function.Environment.Variables["STAGELOG_FORMAT"] = b.format
			b.to.S3BackupMode = types.S3BackupModeEnabled
			b.to.S3BackupConfiguration = &types.S3DestinationConfiguration{RoleARN: aws.String("arn:aws:iam::123456789012:role/acme-firehose"), BucketARN: aws.String("arn:aws:s3:::" + testBucket), Prefix: aws.String("source/")}
		}, warned: []string{"stage: format: api key in clear", "stream: source backup"}},
		{name: "no log stream", before: func(b *built) { b.noLogStream = true },
			warned: []string{"stream: error logging"}, text: []string{"S3Delivery", "create-log-stream"}},
		{name: "errors in the error log", after: func(t *testing.T, b *built) {
			b.logError(t, `{"deliveryStreamARN":"x","message":"Access was denied. Ensure that the trust policy is right.","errorCode":"S3.AccessDenied"}`)
		}, warned: []string{"stream: recent errors"}, text: []string{"S3.AccessDenied: Access was denied"}},
		{name: "deleted function", after: func(t *testing.T, b *built) {
			must(b.c.Lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("stagelog-acme")}))(t)
		}, failed: []string{"function: exists"}, text: []string{"Lambda.ResourceNotFoundException"}},
		{name: "function timeout of 3 seconds", before: func(b *built) { b.function.Timeout = aws.Int32(3) }, failed: []string{"function: timeout"}},
		{name: "function timeout of 5 minutes", before: func(b *built) { b.function.Timeout = aws.Int32(300) }, warned: []string{"function: timeout"}, text: []string{"20 minutes"}},
		{name: "reserved concurrency of 0", after: func(t *testing.T, b *built) {
			must(b.c.Lambda.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("stagelog-acme"), ReservedConcurrentExecutions: aws.Int32(0)}))(t)
		}, failed: []string{"function: reserved concurrency"}, text: []string{"delete-function-concurrency"}},
		{name: "function role with one usage plan", before: func(b *built) {
			b.functionPolicy = strings.Replace(b.functionPolicy, "/usageplans/*/keys", "/usageplans/abc123/keys", 1)
		}, failed: []string{"function: role permissions"}, text: []string{"apigateway:GET", "/usageplans/*/keys"}},
		{name: "different format in function", before: func(b *built) {
			b.function.Environment = &lambdatypes.Environment{Variables: map[string]string{"STAGELOG_FORMAT": `{"k":"$context.identity.apiKeyId","api_id":"$context.apiId","stage":"$context.stage","r":"$context.requestId"}`}}
		}, failed: []string{"function: format"}, text: []string{"in k, api_id, stage"}},
		{name: "key where the function does not hide it", before: func(b *built) {
			b.format = strings.Replace(b.format, `{`, `{"identity":{"apiKey":"$context.identity.apiKey"},`, 1)
		}, failed: []string{"function: format"}, warned: []string{"stage: format: api key in clear"}, text: []string{"identity.apiKey", "every reader"}},
		{name: "unknown format in function", before: func(b *built) {
			b.function.Environment = &lambdatypes.Environment{Variables: map[string]string{"STAGELOG_FORMAT": "clasic"}}
		}, failed: []string{"function: format"}, text: []string{"STAGELOG_FORMAT", "does not start"}},
		{name: "no bucket", before: func(b *built) { b.noBucket = true }, failed: []string{"bucket: exists", "readers: get", "readers: list"}, text: []string{"S3.NoSuchBucket"}},
		{name: "policy requiring an ACL", before: denying(`{"Sid":"Acl","Effect":"Deny","Principal":"*",` + objects + `,"Condition":{"StringNotEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}}`),
			failed: []string{"bucket: policy"}, text: []string{`"Acl"`, "s3:x-amz-acl", "aws:PrincipalArn"}},
		{name: "policy requiring an encryption header", before: denying(`{"Sid":"Kms","Effect":"Deny","Principal":"*",` + objects + `,"Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}}`),
			failed: []string{"bucket: policy"}, text: []string{`"Kms"`, "s3:x-amz-server-side-encryption"}},
		{name: "policy allowing one address", before: denying(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::` + testBucket + `","arn:aws:s3:::` + testBucket + `/*"],"Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`),
			failed: []string{"bucket: policy", "readers: get", "readers: list"}, text: []string{"aws:SourceIp", "statement 1"}},
		{name: "policy allowing one VPC endpoint", before: denying(`{"Sid":"Vpc","Effect":"Deny","Principal":"*",` + objects + `,"Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}}`),
			failed: []string{"bucket: policy"}, text: []string{"aws:SourceVpce"}},
		{name: "ACLs enabled", after: func(t *testing.T, b *built) {
			must(b.c.S3.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{Bucket: aws.String(testBucket), OwnershipControls: &s3types.OwnershipControls{Rules: []s3types.OwnershipControlsRule{{ObjectOwnership: s3types.ObjectOwnershipObjectWriter}}}}))(t)
		}, warned: []string{"bucket: object ownership"}},
		{name: "versioning enabled", after: func(t *testing.T, b *built) {
			must(b.c.S3.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String(testBucket), VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}))(t)
		}, warned: []string{"bucket: versioning"}},
		{name: "AWS managed key", after: encrypt(s3types.ServerSideEncryptionByDefault{SSEAlgorithm: s3types.ServerSideEncryptionAwsKms}),
			failed: []string{"readers: key"}, text: []string{"AWS managed key"}},
		{name: "deleted key", after: encrypt(s3types.ServerSideEncryptionByDefault{SSEAlgorithm: s3types.ServerSideEncryptionAwsKms, KMSMasterKeyID: aws.String("arn:aws:kms:eu-west-1:123456789012:key/0a0a0a0a-1111-2222-3333-444444444444")}),
			failed: []string{"bucket: encryption"}, text: []string{"key/0a0a0a0a-1111-2222-3333-444444444444 does not exist"}},
		{name: "readers without GetObject", before: func(b *built) { b.bucketPolicy = strings.ReplaceAll(b.bucketPolicy, testBucket+"/logs/*", testBucket) },
			failed: []string{"readers: get"}, text: []string{"StagelogReaderGet", "which is the bucket and not its objects"}},
		{name: "readers without ListBucket", before: func(b *built) {
			b.bucketPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"R","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["s3:GetObject","s3:ListBucket"],"Resource":"arn:aws:s3:::` + testBucket + `/logs/*"}]}`
		}, failed: []string{"readers: list"}, text: []string{`"R"`, "which are the objects and not the bucket"}},
		{name: "readers with s3:*", before: func(b *built) {
			b.bucketPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"R","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:*","Resource":["arn:aws:s3:::` + testBucket + `","arn:aws:s3:::` + testBucket + `/*"]}]}`
		}, warned: []string{"readers: error output", "readers: write"}, text: []string{"errors/"}},
		{name: "readers missing in policy", before: func(b *built) { b.bucketPolicy = "" },
			failed: []string{"readers: get", "readers: list"}, text: []string{"no statement of the bucket policy names it"}},
		{name: "public bucket policy", before: denying(`{"Sid":"P","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + testBucket + `/logs/*"}`),
			failed: []string{"readers: public"}, text: []string{`"P"`}},
		{name: "stage without usage plan", before: func(b *built) { b.noPlan = true }, warned: []string{"stage: usage plans"}},
	}
}

// encrypt returns a function that sets the bucket's default encryption.
func encrypt(by s3types.ServerSideEncryptionByDefault) func(*testing.T, *built) {
	return func(t *testing.T, b *built) {
		must(b.c.S3.PutBucketEncryption(t.Context(), encryptionOf(by, false)))(t)
	}
}

func encryptionOf(by s3types.ServerSideEncryptionByDefault, bucketKey bool) *s3.PutBucketEncryptionInput {
	return &s3.PutBucketEncryptionInput{Bucket: aws.String(testBucket), ServerSideEncryptionConfiguration: &s3types.ServerSideEncryptionConfiguration{
		Rules: []s3types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &by, BucketKeyEnabled: &bucketKey}}}}
}

// logError writes to the stream's error log.
func (b *built) logError(t *testing.T, message string) {
	t.Helper()
	must(b.c.Logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: b.to.CloudWatchLoggingOptions.LogGroupName, LogStreamName: b.to.CloudWatchLoggingOptions.LogStreamName,
		LogEvents: []logtypes.InputLogEvent{{Message: &message, Timestamp: aws.Int64(nowMillis())}}}))(t)
}

func TestEachFaultIsReportedAlone(t *testing.T) {
	s := moto.Start(t)
	c := withCode(t, s, programFor(t, elf.EM_AARCH64))
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			s.Reset()
			b := good()
			if f.before != nil {
				f.before(b)
			}
			b.build(t, c)
			if f.after != nil {
				f.after(t, b)
			}
			target := b.target()
			target.Readers = []string{testReader}
			got := examine(t, c, target, doctor.Options{})
			if diff := cmp.Diff(f.failed, got.withStatus(doctor.Failed)); diff != "" {
				t.Errorf("failed checks (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(f.warned, got.withStatus(doctor.Warning)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if len(f.failed) > 0 && len(f.text) > 0 {
				got.expect(t, f.failed[0], doctor.Failed, f.text...)
			} else if len(f.text) > 0 {
				got.expect(t, f.warned[0], doctor.Warning, f.text...)
			}
			for _, skipped := range got.withStatus(doctor.Skipped) {
				if !strings.HasPrefix(skipped, "stream: state") {
					t.Errorf("skipped: %s", text(got[skipped]))
				}
			}
		})
	}
}

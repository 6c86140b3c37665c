package rights_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/cli"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/provision/rights"
	"github.com/stagelog/stagelog/internal/testenv"
)

func TestMain(m *testing.M) { moto.Main(m) }

const (
	testBucket = "acme-api-logs"
	theirs     = "amazon-apigateway-theirs"
)

var names = map[rights.Command]string{rights.Init: "init", rights.Plan: "plan", rights.Deploy: "deploy", rights.Doctor: "doctor", rights.Destroy: "destroy", rights.Report: "report"}

// pipelineIn is an account with a pipeline, whose calls are recorded.
type pipelineIn struct {
	*testing.T
	c     *provision.Clients // calls that are not recorded
	calls *moto.Recorder
	api   string
	seen  map[rights.Command][]moto.Call
	// earlier is the policy for an earlier stagelog.yaml, which the user who changed that still has.
	earlier policy.Document
}

// logKeys answers the calls for the keys of log groups, which moto does not have.
type logKeys struct{}

func (logKeys) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "associateKmsKey") && !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".AssociateKmsKey") {
		return http.DefaultTransport.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

func newPipeline(t *testing.T) *pipelineIn {
	m := moto.Start(t)
	p := &pipelineIn{T: t, c: provision.NewClients(m.Config(nil)), calls: &moto.Recorder{Next: logKeys{}}, seen: map[rights.Command][]moto.Call{}}
	testenv.Isolate(t)
	t.Chdir(t.TempDir())
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIAMOTOMOTOMOTOMOTO", "AWS_SECRET_ACCESS_KEY": "moto", "AWS_REGION": moto.Region, "AWS_ENDPOINT_URL": m.Proxy(t, p.calls)} {
		t.Setenv(name, value)
	}
	return p
}

func (p *pipelineIn) ok(_ any, err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// write writes stagelog.yaml.
func (p *pipelineIn) write(more string, stages ...string) {
	p.Helper()
	var list []string
	for _, st := range stages {
		list = append(list, fmt.Sprintf("{api: %s, stage: %s}", p.api, st))
	}
	yaml := fmt.Sprintf("name: acme\nbucket: %s\nregion: %s\nreaders: [\"111122223333\"]\nstages: [%s]\n%s", testBucket, moto.Region, strings.Join(list, ", "), more)
	p.ok(nil, os.WriteFile("stagelog.yaml", []byte(yaml), 0o600))
}

// writeZip writes a deployment package with a script.
func (p *pipelineIn) writeZip(script string) {
	p.Helper()
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	h := &zip.FileHeader{Name: "bootstrap"}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	p.ok(nil, err)
	_, err = w.Write([]byte("#!/bin/sh\n" + script))
	p.ok(nil, err)
	p.ok(nil, z.Close())
	p.ok(nil, os.WriteFile("function.zip", code.Bytes(), 0o600))
}

func (p *pipelineIn) stagelog(args ...string) (stdout, stderr string, code int) {
	p.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(p.Context(), cli.Process{Args: args, Getenv: os.Getenv, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), code
}

// run runs a command and fails unless the policy that `permissions` prints for it allows each of its calls.
func (p *pipelineIn) run(by rights.Command, wantCode int, args ...string) {
	p.Helper()
	need := []string{"permissions", args[0]}
	if slices.Contains(args, "--delete-bucket") {
		need = append(need, "--delete-bucket")
	}
	printed := p.permissions(need...)
	optional := map[string]bool{}
	known := map[string]bool{}
	for _, u := range rights.Uses(p.resources(), rights.Options{DeleteBucket: true}) {
		if u.By&by != 0 {
			known[u.Operation] = true
			optional[u.Operation] = optional[u.Operation] || u.Optional
		}
	}
	p.calls.Take()
	stdout, stderr, code := p.stagelog(args...)
	if code != wantCode {
		p.Fatalf("%v ended with %d, want %d\n%s%s", args, code, wantCode, stdout, stderr)
	}
	reported := map[string]bool{}
	for _, c := range p.calls.Take() {
		p.seen[by] = append(p.seen[by], c)
		complaint := ""
		if !known[c.Operation] {
			complaint = "the table in package rights does not have it for this command"
		}
		action := rights.Action(c.Operation)
		for _, resource := range c.Resources {
			if known[c.Operation] && action != "" && !allowed(printed, action, resource, nil) && !allowed(p.earlier, action, resource, nil) && !optional[c.Operation] {
				complaint = "its policy does not allow " + action + " on " + resource
			}
		}
		if c.Passed != "" && !allowed(printed, "iam:PassRole", c.Passed, map[string][]string{"iam:PassedToService": {c.PassedTo}}) {
			complaint = "its policy does not allow to pass " + c.Passed
		}
		if text := fmt.Sprintf("%v calls %s: %s", args, c.Operation, complaint); complaint != "" && !reported[text] {
			reported[text] = true
			p.Error(text)
		}
	}
}

// permissions returns the policy that a command prints.
func (p *pipelineIn) permissions(args ...string) policy.Document {
	p.Helper()
	stdout, stderr, code := p.stagelog(args...)
	d, err := policy.Parse(stdout)
	if code != 0 || err != nil {
		p.Fatalf("%v ended with %d, %v\n%s", args, code, err, stderr)
	}
	return d
}

func allowed(d policy.Document, action, resource string, context map[string][]string) bool {
	decision, _ := policy.Evaluate([]policy.Document{d}, policy.Request{Action: action, Resource: resource, Context: context})
	return decision == policy.Allow
}

// resources returns the resources of the pipeline in stagelog.yaml, and an empty one's without the file.
func (p *pipelineIn) resources() *desired.Resources {
	p.Helper()
	c, err := config.Load("stagelog.yaml", func(string) string { return "" })
	if err != nil {
		c = config.Bare()
	}
	d, err := desired.New(&desired.Spec{Pipeline: c, Partition: "aws", Region: moto.Region, Account: moto.Account, Architecture: "arm64"})
	p.ok(nil, err)
	return d
}

// The printed policies allow each call of the commands, and each of their actions was called: in a new account, after changes
// by hand, for Parquet, after changes of stagelog.yaml, and with and without the bucket.
func TestPoliciesMatchCalls(t *testing.T) {
	testenv.NeedPlain(t, testenv.Interop)
	p := newPipeline(t)
	p.buildAccount()
	p.run(rights.Init, 0, "init", "--aws", "--stage", p.api+"/prod", "--yes")

	deploy := func(more ...string) {
		t.Helper()
		p.run(rights.Deploy, 0, append([]string{"deploy", "--yes", "--function-zip", "function.zip"}, more...)...)
	}
	p.writeZip("one")
	p.write("aws: {dashboard: true}\n", "prod", "dev")
	p.run(rights.Plan, 2, "plan", "--function-zip", "function.zip")
	deploy("--replace-logging")
	p.run(rights.Plan, 0, "plan", "--function-zip", "function.zip")
	p.spoil()
	p.writeZip("two")
	key, boundary := p.key(), p.managedPolicy()
	p.write("aws: {tags: {team: platform}, kms_key: \""+key+"\"}\n", "prod", "dev")
	deploy("--adopt")

	p.earlier = p.permissions("permissions", "deploy")
	p.write("deliver: {format: parquet}\n", "prod")
	deploy() // restores the logging of dev, and removes the tag
	p.earlier = policy.Document{}
	p.spoilCatalog()
	p.write("deliver: {format: parquet}\naws: {tags: {team: platform}}\n", "prod")
	deploy("--adopt")
	p.write("deliver: {format: parquet}\n", "prod")
	deploy()
	p.run(rights.Plan, 0, "plan", "--function-zip", "function.zip")
	p.run(rights.Doctor, 1, "doctor", "--timeout", "5s") // moto calls no function
	p.run(rights.Report, 0, "report", "--lake", filepath.Join(t.TempDir(), "lake"))

	p.write("", "prod")
	p.ok(p.c.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String(desired.SnapshotKey(p.resources().Spec.Pipeline)), Body: strings.NewReader("{}")}))
	p.addStatement()
	p.run(rights.Destroy, 0, "destroy", "--yes", "--no-drain")
	p.ok(p.c.S3.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String(testBucket)}))
	organisation := fmt.Sprintf("aws: {encryption: \"kms:%s\", kms_key: %s, permissions_boundary: %s, role_path: /delivery/, dashboard: true}\n", key, key, boundary)
	p.write(organisation, "prod")
	p.run(rights.Plan, 2, "plan", "--function-zip", "function.zip")
	deploy()
	p.run(rights.Doctor, 1, "doctor", "--no-record")
	role := aws.String(p.resources().FunctionRole.Name)
	p.ok(p.c.IAM.DeleteRolePermissionsBoundary(t.Context(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: role}))
	deploy()
	p.write("aws: {encryption: \"kms:"+key+"\", kms_key: none, permissions_boundary: none, role_path: /delivery/, alarms: false, dashboard: false}\n", "prod")
	deploy()
	p.write(organisation, "prod")
	deploy()
	p.ok(p.c.S3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(testBucket), Key: aws.String("logs/part")}))
	p.ok(p.c.IAM.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: &boundary}))
	p.run(rights.Destroy, 0, "destroy", "--yes", "--no-drain", "--delete-bucket")

	var tables [][]rights.Use
	for _, more := range []string{"", organisation} {
		p.write("deliver: {format: parquet}\n"+more, "prod")
		tables = append(tables, rights.Uses(p.resources(), rights.Options{DeleteBucket: true}))
	}
	for i, u := range tables[0] {
		for by := rights.Init; by <= rights.Report; by <<= 1 {
			called := slices.ContainsFunc(p.seen[by], func(c moto.Call) bool { return u.Matches(c) || tables[1][i].Matches(c) })
			if u.By&by != 0 && !u.Optional && !called {
				t.Errorf("the policy of %s allows %s for %s on %v, which no run called", names[by], u.Statement.Actions, u.Operation, u.Statement.Resources)
			}
		}
	}
}

// buildAccount creates an API with two stages. One logs to a stream with a bucket.
func (p *pipelineIn) buildAccount() {
	p.Helper()
	ctx, g := p.Context(), p.c.APIGateway
	api, err := g.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("shop")})
	p.ok(nil, err)
	p.api = *api.Id
	root, err := g.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: api.Id})
	p.ok(nil, err)
	p.ok(g.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: root.Items[0].Id, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}))
	p.ok(g.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: api.Id, ResourceId: root.Items[0].Id, HttpMethod: aws.String("GET"), Type: gatewaytypes.IntegrationTypeMock}))
	for _, stage := range []string{"prod", "dev"} {
		p.ok(g.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: &stage}))
	}
	plan, err := g.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("Gold"), ApiStages: []gatewaytypes.ApiStage{{ApiId: api.Id, Stage: aws.String("prod")}}})
	p.ok(nil, err)
	key, err := g.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("Acme Corp"), Enabled: true})
	p.ok(nil, err)
	p.ok(g.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))

	p.ok(p.c.S3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("their-logs"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}}))
	p.ok(p.c.Firehose.CreateDeliveryStream(ctx, &firehose.CreateDeliveryStreamInput{DeliveryStreamName: aws.String(theirs), ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{
		BucketARN: aws.String("arn:aws:s3:::their-logs"), RoleARN: aws.String("arn:aws:iam::" + moto.Account + ":role/firehose")}}))
	p.ok(g.UpdateStage(ctx, &apigateway.UpdateStageInput{RestApiId: api.Id, StageName: aws.String("dev"), PatchOperations: []gatewaytypes.PatchOperation{
		{Op: gatewaytypes.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: aws.String("arn:aws:firehose:" + moto.Region + ":" + moto.Account + ":deliverystream/" + theirs)},
		{Op: gatewaytypes.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: aws.String("$context.requestId")},
	}}))
}

// spoil changes everything that deploy sets, and removes the pipeline's tags.
func (p *pipelineIn) spoil() {
	p.Helper()
	ctx, d := p.Context(), p.resources()
	name := aws.String(testBucket)
	p.ok(p.c.S3.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: name}))
	p.ok(p.c.S3.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: name}))
	p.ok(p.c.S3.DeleteBucketOwnershipControls(ctx, &s3.DeleteBucketOwnershipControlsInput{Bucket: name}))
	p.ok(p.c.S3.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: name}))
	p.ok(p.c.S3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}))
	p.ok(p.c.S3.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: name}))
	group := aws.String(d.StreamLog.Name)
	p.ok(p.c.Logs.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: aws.String(d.Spec.LogGroupARN(*group)), TagKeys: []string{desired.OwnerTag}}))
	p.ok(p.c.Logs.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: group}))
	p.ok(p.c.Logs.DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: group, LogStreamName: aws.String(desired.DeliveryLogStream)}))
	role := aws.String(d.FunctionRole.Name)
	p.ok(p.c.IAM.UntagRole(ctx, &iam.UntagRoleInput{RoleName: role, TagKeys: []string{desired.OwnerTag}}))
	p.ok(p.c.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: role, PolicyDocument: aws.String(policy.FirehoseTrust(moto.Account).JSON())}))
	p.ok(p.c.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: role, PolicyName: aws.String(desired.RolePolicy)}))
	p.ok(p.c.Lambda.UntagResource(ctx, &lambda.UntagResourceInput{Resource: aws.String(d.Spec.FunctionARN()), TagKeys: []string{desired.OwnerTag}}))
	p.ok(p.c.Lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &d.Function.Name, MemorySize: aws.Int32(1024)}))
	stream := aws.String(d.Spec.Stream())
	p.ok(p.c.Firehose.UntagDeliveryStream(ctx, &firehose.UntagDeliveryStreamInput{DeliveryStreamName: stream, TagKeys: []string{desired.OwnerTag}}))
	now, err := p.c.Firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: stream})
	p.ok(nil, err)
	p.ok(p.c.Firehose.UpdateDestination(ctx, &firehose.UpdateDestinationInput{DeliveryStreamName: stream, CurrentDeliveryStreamVersionId: now.DeliveryStreamDescription.VersionId,
		DestinationId:               now.DeliveryStreamDescription.Destinations[0].DestinationId,
		ExtendedS3DestinationUpdate: &firehosetypes.ExtendedS3DestinationUpdate{BufferingHints: &firehosetypes.BufferingHints{IntervalInSeconds: aws.Int32(7), SizeInMBs: aws.Int32(7)}}}))
}

// spoilCatalog changes the database and the table.
func (p *pipelineIn) spoilCatalog() {
	p.Helper()
	d := p.resources()
	p.ok(p.c.Glue.UpdateDatabase(p.Context(), &glue.UpdateDatabaseInput{Name: d.Database.Name, DatabaseInput: &gluetypes.DatabaseInput{Name: d.Database.Name}}))
	d.Table.Parameters = nil
	p.ok(p.c.Glue.UpdateTable(p.Context(), &glue.UpdateTableInput{DatabaseName: d.Database.Name, TableInput: d.Table}))
}

// addStatement adds a statement of others to the bucket policy.
func (p *pipelineIn) addStatement() {
	p.Helper()
	now, err := p.c.S3.GetBucketPolicy(p.Context(), &s3.GetBucketPolicyInput{Bucket: aws.String(testBucket)})
	p.ok(nil, err)
	d, err := policy.Parse(*now.Policy)
	p.ok(nil, err)
	d.Statements = append(d.Statements, policy.Statement{Sid: "Theirs", Effect: "Deny", Principal: policy.Principal{Any: true}, Actions: []string{"s3:PutBucketWebsite"}, Resources: []string{"arn:aws:s3:::" + testBucket}})
	p.ok(p.c.S3.PutBucketPolicy(p.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(testBucket), Policy: aws.String(d.JSON())}))
}

// key creates a KMS key and returns its ARN.
func (p *pipelineIn) key() string {
	p.Helper()
	out, err := p.c.KMS.CreateKey(p.Context(), &kms.CreateKeyInput{})
	p.ok(nil, err)
	return *out.KeyMetadata.Arn
}

// managedPolicy creates a policy and returns its ARN.
func (p *pipelineIn) managedPolicy() string {
	p.Helper()
	out, err := p.c.IAM.CreatePolicy(p.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("theirs"), PolicyDocument: aws.String(policy.Function(policy.FunctionPermissions{Partition: "aws"}).JSON())})
	p.ok(nil, err)
	return *out.Policy.Arn
}

package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/provision/moto"
)

// account is the AWS account of a moto_server.
type account struct {
	t *testing.T
	*moto.Server
	awsClients
	iam  *iam.Client
	logs *cloudwatchlogs.Client
}

// startMoto returns an account without resources. It skips the test if moto_server is not installed.
func startMoto(t *testing.T) *account {
	t.Helper()
	m := &account{t: t, Server: moto.Start(t)}
	cfg := m.Config(nil)
	m.awsClients = awsClients{t, cfg, firehose.NewFromConfig(cfg), apigateway.NewFromConfig(cfg), lambda.NewFromConfig(cfg),
		s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })}
	m.iam, m.logs = iam.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	return m
}

// env returns the environment of a platform engineer with credentials for m.
func (m *account) env(extra ...string) []string {
	return cleanEnv(append([]string{"AWS_ACCESS_KEY_ID=AKIAMOTOMOTOMOTOMOTO", "AWS_SECRET_ACCESS_KEY=moto", "AWS_REGION=" + moto.Region, "AWS_DEFAULT_REGION=" + moto.Region,
		"AWS_ENDPOINT_URL=" + m.URL, "AWS_PAGER="}, extra...)...)
}

// api creates a REST API with one deployed stage and a method that requires a key, and a usage plan with a customer.
func (m *account) api(name, stage string) (id string) {
	m.t.Helper()
	ctx := m.t.Context()
	api := must(m.gateway.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: &name}))(m.t, "create API")
	id = *api.Id
	root := must(m.gateway.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: &id}))(m.t, "get resources").Items[0].Id
	must(m.gateway.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: &id, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}))(m.t, "put method")
	must(m.gateway.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: &id, ResourceId: root, HttpMethod: aws.String("GET"), Type: types.IntegrationTypeHttpProxy,
		IntegrationHttpMethod: aws.String("GET"), Uri: aws.String("http://127.0.0.1/")}))(m.t, "put integration")
	must(m.gateway.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: &id, StageName: &stage}))(m.t, "deploy API")
	plan := must(m.gateway.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("Gold"), ApiStages: []types.ApiStage{{ApiId: &id, Stage: &stage}}}))(m.t, "create usage plan")
	key := must(m.gateway.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("Acme Corp"), Enabled: true}))(m.t, "create key")
	must(m.gateway.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))(m.t, "add key to plan")
	return id
}

// state returns everything that a deploy may change, as texts that are the same in each run.
func (m *account) state(api, stage, bucket string) map[string]string {
	m.t.Helper()
	ctx, all := m.t.Context(), map[string]string{}
	note := func(what string, v any, err error) {
		if err != nil {
			v = "error: " + errorCode(err)
		}
		text := must(json.MarshalIndent(v, "", " "))(m.t, "write state")
		all[what] = string(text)
	}
	roles := must(m.iam.ListRoles(ctx, &iam.ListRolesInput{}))(m.t, "list roles")
	for _, r := range roles.Roles {
		names := must(m.iam.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName}))(m.t, "list policies")
		for _, n := range names.PolicyNames {
			p := must(m.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: r.RoleName, PolicyName: &n}))(m.t, "get policy")
			note("role "+*r.RoleName+" policy "+n, aws.ToString(p.PolicyDocument), nil)
		}
		tags := must(m.iam.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: r.RoleName}))(m.t, "list role tags")
		note("role "+*r.RoleName, []any{aws.ToString(r.AssumeRolePolicyDocument), tags.Tags}, nil)
	}
	groups := must(m.logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{}))(m.t, "describe log groups")
	for _, g := range groups.LogGroups {
		streams := must(m.logs.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: g.LogGroupName}))(m.t, "describe log streams")
		var names []string
		for _, s := range streams.LogStreams {
			names = append(names, *s.LogStreamName)
		}
		note("log group "+*g.LogGroupName, []any{aws.ToInt32(g.RetentionInDays), names}, nil)
	}
	functions := must(m.lambda.ListFunctions(ctx, &lambda.ListFunctionsInput{}))(m.t, "list functions")
	for _, f := range functions.Functions {
		note("function "+*f.FunctionName, []any{f.Runtime, f.Architectures, f.Handler, f.MemorySize, f.Timeout, f.Role, f.CodeSha256, f.Environment}, nil)
	}
	streams := must(m.firehose.ListDeliveryStreams(ctx, &firehose.ListDeliveryStreamsInput{}))(m.t, "list streams")
	for _, name := range streams.DeliveryStreamNames {
		d := must(m.firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &name}))(m.t, "describe stream")
		tags := must(m.firehose.ListTagsForDeliveryStream(ctx, &firehose.ListTagsForDeliveryStreamInput{DeliveryStreamName: &name}))(m.t, "list tags")
		note("stream "+name, []any{d.DeliveryStreamDescription.DeliveryStreamStatus, d.DeliveryStreamDescription.Destinations[0].ExtendedS3DestinationDescription, tags.Tags}, nil)
	}
	s, err := m.gateway.GetStage(ctx, &apigateway.GetStageInput{RestApiId: &api, StageName: &stage})
	if err == nil {
		note("stage", s.AccessLogSettings, nil)
	}
	m.bucketState(bucket, note)
	return all
}

func (m *account) bucketState(bucket string, note func(string, any, error)) {
	ctx := m.t.Context()
	tags, err := m.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &bucket})
	if err == nil {
		note("bucket tags", tags.TagSet, nil)
	} else {
		note("bucket tags", nil, err)
	}
	policy, err := m.s3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &bucket})
	if err == nil {
		note("bucket policy", aws.ToString(policy.Policy), nil)
	} else {
		note("bucket policy", nil, err)
	}
	block, err := m.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	if err == nil {
		note("public access block", block.PublicAccessBlockConfiguration, nil)
	} else {
		note("public access block", nil, err)
	}
	life, err := m.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
	if err == nil {
		note("lifecycle", life.Rules, nil)
	} else {
		note("lifecycle", nil, err)
	}
	owner, err := m.s3.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &bucket})
	if err == nil {
		note("ownership", owner.OwnershipControls, nil)
	} else {
		note("ownership", nil, err)
	}
}

// errorCode returns AWS's code for an error, or the beginning of its text.
func errorCode(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return strings.Split(err.Error(), ",")[0]
}

// setAccessLog sets a stage's access log settings without stagelog.
func (m *account) setAccessLog(api, stage, destination, format string) {
	m.t.Helper()
	must(m.gateway.UpdateStage(m.t.Context(), &apigateway.UpdateStageInput{RestApiId: &api, StageName: &stage, PatchOperations: []types.PatchOperation{
		{Op: types.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: &destination},
		{Op: types.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: &format},
	}}))(m.t, "update stage")
}

// createBucket creates a bucket in moto's Region.
func (m *account) createBucket(name string) {
	m.t.Helper()
	must(m.s3.CreateBucket(m.t.Context(), &s3.CreateBucketInput{Bucket: &name,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}}))(m.t, "create bucket "+name)
}

func putText(bucket, key string) *s3.PutObjectInput {
	return &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("text")}
}

// cli runs the AWS CLI and returns its output.
func (m *account) cli(region string, args ...string) string {
	m.t.Helper()
	cmd := exec.Command("aws", append(args, "--region", region)...)
	cmd.Env = m.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// checkNothingLeft fails if there is a resource in a Region, or a global one, or a stage that logs.
func (m *account) checkNothingLeft(region string) {
	m.t.Helper()
	for what, args := range map[string][]string{
		"buckets":    {"s3api", "list-buckets", "--query", "Buckets[].Name"},
		"log groups": {"logs", "describe-log-groups", "--query", "logGroups[].logGroupName"},
		"roles":      {"iam", "list-roles", "--query", "Roles[].RoleName"},
		"functions":  {"lambda", "list-functions", "--query", "Functions[].FunctionName"},
		"streams":    {"firehose", "list-delivery-streams", "--query", "DeliveryStreamNames"},
		"alarms":     {"cloudwatch", "describe-alarms", "--query", "MetricAlarms[].AlarmName"},
		"dashboards": {"cloudwatch", "list-dashboards", "--query", "DashboardEntries[].DashboardName"},
	} {
		if left := m.cli(region, append(args, "--output", "text")...); left != "" && left != "None" {
			m.t.Errorf("%s has %s: %s", region, what, left)
		}
	}
	for _, api := range strings.Fields(m.cli(region, "apigateway", "get-rest-apis", "--query", "items[].id", "--output", "text")) {
		if left := m.cli(region, "apigateway", "get-stages", "--rest-api-id", api, "--query", "item[?accessLogSettings.destinationArn].stageName", "--output", "text"); left != "" && left != "None" {
			m.t.Errorf("%s: the stages of %s still log: %s", region, api, left)
		}
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/testenv"
)

const handFormat = `{"request_id":"$context.requestId","key_id":"$context.identity.apiKeyId","api_id":"$context.apiId","stage":"$context.stage","status":"$context.status"}`

// Streams, functions, APIs, stages, keys, plans and quota usage survive a restart, and undelivered
// records are delivered.
func TestRestartKeepsEverything(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", handYAML)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") }))
	t.Cleanup(upstream.Close)
	u := startUp(t, dir, cleanEnv())
	admin := sdk(t, u, "stagelog")
	ctx := t.Context()

	admin.createBucket("tenant-logs")
	admin.createFunction("by-tenant", buildPartitioner(t))
	admin.createStream("amazon-apigateway-kept", "hand-api-logs", nil)
	must(admin.firehose.TagDeliveryStream(ctx, &firehose.TagDeliveryStreamInput{DeliveryStreamName: aws.String("amazon-apigateway-kept"),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("billing")}}}))(t, "tag the stream")
	admin.createStream("by-tenant", "tenant-logs", func(d *types.ExtendedS3DestinationConfiguration) {
		d.Prefix, d.ProcessingConfiguration = aws.String("tenant=!{partitionKeyFromLambda:tenant}/"), through(functionARN+"by-tenant")
		d.DynamicPartitioningConfiguration = &types.DynamicPartitioningConfiguration{Enabled: aws.Bool(true)}
		d.BufferingHints = &types.BufferingHints{SizeInMBs: aws.Int32(64), IntervalInSeconds: aws.Int32(900)}
	})
	api, key, plan := admin.createAPI(upstream.URL, "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-kept")
	for n := range 3 {
		if status := u.call(t, "/"+api+"/prod/x", *key.Value); status != http.StatusOK {
			t.Fatalf("call %d: status %d, want 200", n, status)
		}
	}
	admin.put("by-tenant", `{"tenant":"acme","n":1}`+"\n", `{"tenant":"globex","n":2}`+"\n", `{"tenant":"acme","n":3}`+"\n", `{"tenant":"","n":4}`+"\n")
	before := admin.everything(api, plan)
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Fatalf("stagelog up ended with %v", err)
	}

	u = startUp(t, dir, cleanEnv())
	admin = sdk(t, u, "stagelog")
	if diff := cmp.Diff(before, admin.everything(api, plan)); diff != "" {
		t.Errorf("changed by the restart (-before +after):\n%s", diff)
	}
	// The quota is 5 requests per day, and 3 are used.
	var statuses []int
	for range 3 {
		statuses = append(statuses, u.call(t, "/"+api+"/prod/x", *key.Value))
	}
	if want := []int{200, 200, 429}; !slices.Equal(statuses, want) {
		t.Errorf("statuses after the restart %v, want %v: part of the quota was used before", statuses, want)
	}
	var lines []line
	eventually(t, "the lines of six requests", func() bool {
		lines = nil
		for _, l := range admin.lines("hand-api-logs", "logs/") {
			if l["api_id"] == api {
				lines = append(lines, l)
			}
		}
		return len(lines) >= 6
	})
	for _, l := range lines {
		if l["key_id"] != *key.Id {
			t.Errorf("a line is of key %q, want %q", l["key_id"], *key.Id)
		}
	}
	// The stop delivered the buffered records of the 15-minute interval, each tenant separately.
	for prefix, want := range map[string]string{"tenant=acme/": "{\"tenant\":\"acme\",\"n\":1}\n{\"tenant\":\"acme\",\"n\":3}\n", "tenant=globex/": "{\"tenant\":\"globex\",\"n\":2}\n"} {
		if got := admin.text("tenant-logs", prefix); got != want {
			t.Errorf("below %s: got %q, want %q; the bucket has %v", prefix, got, want, admin.keys("tenant-logs", ""))
		}
	}
	var failed struct {
		ErrorCode string `json:"errorCode"`
		RawData   []byte `json:"rawData"`
	}
	text := admin.text("tenant-logs", "errors/dynamic-partitioning-failed/")
	if err := json.Unmarshal([]byte(text), &failed); err != nil || string(failed.RawData) != "{\"tenant\":\"\",\"n\":4}\n" {
		t.Errorf("the error output of the record without a key is %q (%v), want its data in Firehose's envelope", text, err)
	}
	out := must(admin.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("by-tenant"), Payload: []byte(`{"records":[{"recordId":"1","data":"eyJ0ZW5hbnQiOiJhIn0="}]}`)}))(t, "invoke the function")
	if out.FunctionError != nil || !strings.Contains(string(out.Payload), `"partitionKeys":{"tenant":"a"}`) {
		t.Errorf("the function returns %s (%s) after the restart", out.Payload, aws.ToString(out.FunctionError))
	}
}

// createAPI creates an API with one stage that logs to a stream, and a key in a plan with a quota of
// five requests per day.
func (c awsClients) createAPI(upstream, streamARN string) (api string, key *apigateway.CreateApiKeyOutput, plan string) {
	c.t.Helper()
	ctx, t := c.t.Context(), c.t
	api = *must(c.gateway.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("by hand")}))(t, "create API").Id
	root := must(c.gateway.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: &api}))(t, "get resources").Items[0].Id
	res := must(c.gateway.CreateResource(ctx, &apigateway.CreateResourceInput{RestApiId: &api, ParentId: root, PathPart: aws.String("{proxy+}")}))(t, "create resource").Id
	must(c.gateway.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: &api, ResourceId: res, HttpMethod: aws.String("ANY"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}))(t, "put method")
	must(c.gateway.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: &api, ResourceId: res, HttpMethod: aws.String("ANY"),
		Type: apitypes.IntegrationTypeHttpProxy, IntegrationHttpMethod: aws.String("ANY"), Uri: aws.String(upstream + "/{proxy}")}))(t, "put integration")
	must(c.gateway.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: &api, StageName: aws.String("prod")}))(t, "deploy")
	must(c.gateway.UpdateStage(ctx, &apigateway.UpdateStageInput{RestApiId: &api, StageName: aws.String("prod"), PatchOperations: []apitypes.PatchOperation{
		{Op: apitypes.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: &streamARN},
		{Op: apitypes.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: aws.String(handFormat + "\n")},
	}}))(t, "turn access logging on")
	key = must(c.gateway.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("Acme Corp"), Enabled: true}))(t, "create key")
	plan = *must(c.gateway.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("Gold"), ApiStages: []apitypes.ApiStage{{ApiId: &api, Stage: aws.String("prod")}},
		Quota: &apitypes.QuotaSettings{Limit: 5, Period: apitypes.QuotaPeriodTypeDay}}))(t, "create plan").Id
	must(c.gateway.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: &plan, KeyId: key.Id, KeyType: aws.String("API_KEY")}))(t, "add the key")
	return api, key, plan
}

// everything returns the state of all services as texts to compare.
func (c awsClients) everything(api, plan string) map[string]string {
	c.t.Helper()
	ctx, t := c.t.Context(), c.t
	all := map[string]string{}
	keep := func(what string, v any) {
		text, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		all[what] = string(text)
	}
	streams := must(c.firehose.ListDeliveryStreams(ctx, &firehose.ListDeliveryStreamsInput{}))(t, "list streams").DeliveryStreamNames
	keep("streams", streams)
	for _, name := range streams {
		keep("stream "+name, must(c.firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &name}))(t, "describe "+name).DeliveryStreamDescription)
		keep("tags of "+name, must(c.firehose.ListTagsForDeliveryStream(ctx, &firehose.ListTagsForDeliveryStreamInput{DeliveryStreamName: &name}))(t, "tags of "+name).Tags)
	}
	// The built-in function, stagelog-hand, is recreated at each start.
	for _, f := range must(c.lambda.ListFunctions(ctx, &lambda.ListFunctionsInput{}))(t, "list functions").Functions {
		if *f.FunctionName != "stagelog-hand" {
			keep("function "+*f.FunctionName, f)
		}
	}
	keep("APIs", must(c.gateway.GetRestApis(ctx, &apigateway.GetRestApisInput{}))(t, "get APIs").Items)
	keep("stages", must(c.gateway.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &api}))(t, "get stages").Item)
	keep("keys", must(c.gateway.GetApiKeys(ctx, &apigateway.GetApiKeysInput{IncludeValues: aws.Bool(true)}))(t, "get keys").Items)
	keep("plans", must(c.gateway.GetUsagePlans(ctx, &apigateway.GetUsagePlansInput{}))(t, "get plans").Items)
	keep("keys of the plan", must(c.gateway.GetUsagePlanKeys(ctx, &apigateway.GetUsagePlanKeysInput{UsagePlanId: &plan}))(t, "get the plan's keys").Items)
	today := time.Now().UTC().Format("2006-01-02")
	keep("usage", must(c.gateway.GetUsage(ctx, &apigateway.GetUsageInput{UsagePlanId: &plan, StartDate: &today, EndDate: &today}))(t, "get usage").Items)
	return all
}

// A changed stagelog.yaml is applied at the next start: the stream's destination gets a new version,
// and a removed reader has no access.
func TestChangedPipelineIsApplied(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", "name: hand\nbucket: hand-api-logs\nreaders: [\"111122223333\", \"444455556666\"]\ndeliver: {interval: 1s, prefix: \"logs/\"}\n")
	u := startUp(t, dir, cleanEnv())
	admin, out := sdk(t, u, "stagelog"), sdk(t, u, "reader-111122223333")
	const record = `{"request_id":"1","key_id":"-","api_id":"shop","stage":"prod"}`
	admin.put("amazon-apigateway-hand", record)
	eventually(t, "an object below logs/", func() bool { return len(out.keys("hand-api-logs", "logs/")) == 1 })
	old := admin.keys("hand-api-logs", "logs/")[0]
	outCredentials := out.s3.Options().Credentials
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Fatalf("stagelog up ended with %v", err)
	}

	for _, tt := range []struct {
		readers, prefix, version string
	}{{`["444455556666"]`, "other/", "2"}, {"[]", "other/", "2"}} {
		write(t, dir, "stagelog.yaml", fmt.Sprintf("name: hand\nbucket: hand-api-logs\nreaders: %s\ndeliver: {interval: 1s, prefix: %q}\n", tt.readers, tt.prefix))
		u = startUp(t, dir, cleanEnv())
		admin = sdk(t, u, "stagelog")
		d := must(admin.firehose.DescribeDeliveryStream(t.Context(), &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: aws.String("amazon-apigateway-hand")}))(t, "describe").DeliveryStreamDescription
		if *d.VersionId != tt.version {
			t.Errorf("readers %s: the stream has version %s, want %s", tt.readers, *d.VersionId, tt.version)
		}
		stale := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(u.Endpoints.AWS), UsePathStyle: true, Credentials: outCredentials})
		if _, err := stale.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("hand-api-logs"), Key: &old}); err == nil {
			t.Errorf("readers %s: a removed reader can still get %s", tt.readers, old)
		}
		if _, err := stale.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("hand-api-logs")}); err == nil {
			t.Errorf("readers %s: a removed reader can still list the bucket", tt.readers)
		}
		before := len(admin.keys("hand-api-logs", tt.prefix))
		admin.put("amazon-apigateway-hand", record)
		eventually(t, "an object below the new prefix", func() bool { return len(admin.keys("hand-api-logs", tt.prefix)) > before })
		if tt.readers == "[]" {
			if p, err := admin.s3.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: aws.String("hand-api-logs")}); err == nil && strings.Contains(aws.ToString(p.Policy), "444455556666") {
				t.Errorf("without readers the bucket policy still allows one: %s", *p.Policy)
			}
		}
		if err := u.stop(syscall.SIGTERM); err != nil {
			t.Fatalf("stagelog up ended with %v", err)
		}
	}
}

package discover_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gateway "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2 "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/discover"
	"github.com/stagelog/stagelog/internal/provision/moto"
)

// account creates resources in an AWS account.
type account struct {
	testing.TB
	*provision.Clients
}

func must[T any](a account, what string) func(T, error) T {
	return func(v T, err error) T {
		a.Helper()
		if err != nil {
			a.Fatalf("%s: %v", what, err)
		}
		return v
	}
}

// api creates a REST API and deploys it to the stages.
func (a account) api(name string, stages ...string) string {
	a.Helper()
	ctx := a.Context()
	id := must[*apigateway.CreateRestApiOutput](a, "create api")(a.APIGateway.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: &name})).Id
	root := must[*apigateway.GetResourcesOutput](a, "get resources")(a.APIGateway.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: id})).Items[0].Id
	must[*apigateway.PutMethodOutput](a, "put method")(a.APIGateway.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: id, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE")}))
	must[*apigateway.PutIntegrationOutput](a, "put integration")(a.APIGateway.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: id, ResourceId: root, HttpMethod: aws.String("GET"), Type: gateway.IntegrationTypeMock}))
	for _, stage := range stages {
		must[*apigateway.CreateDeploymentOutput](a, "deploy")(a.APIGateway.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: id, StageName: &stage}))
	}
	return *id
}

func (a account) logTo(api, stage, destination, format string) {
	a.Helper()
	must[*apigateway.UpdateStageOutput](a, "update stage")(a.APIGateway.UpdateStage(a.Context(), &apigateway.UpdateStageInput{RestApiId: &api, StageName: &stage, PatchOperations: []gateway.PatchOperation{
		{Op: gateway.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: &destination},
		{Op: gateway.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: &format},
	}}))
}

func (a account) plan(name, api, stage string) {
	a.Helper()
	must[*apigateway.CreateUsagePlanOutput](a, "create plan")(a.APIGateway.CreateUsagePlan(a.Context(), &apigateway.CreateUsagePlanInput{Name: &name,
		ApiStages: []gateway.ApiStage{{ApiId: &api, Stage: &stage}}}))
}

func streamARN(name string) string {
	return "arn:aws:firehose:" + moto.Region + ":" + moto.Account + ":deliverystream/" + name
}

func (a account) stream(name string, to *types.ExtendedS3DestinationConfiguration) {
	a.Helper()
	must[*firehose.CreateDeliveryStreamOutput](a, "create stream")(a.Firehose.CreateDeliveryStream(a.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: &name, ExtendedS3DestinationConfiguration: to}))
}

const function = "arn:aws:lambda:eu-west-1:123456789012:function:enrich:$LATEST"

func byHand() *types.ExtendedS3DestinationConfiguration {
	return &types.ExtendedS3DestinationConfiguration{
		BucketARN: aws.String("arn:aws:s3:::their-logs"), RoleARN: aws.String("arn:aws:iam::123456789012:role/firehose"),
		Prefix: aws.String("apiable/aws/logs/"), ErrorOutputPrefix: aws.String("apiable/aws/errors/"), CompressionFormat: types.CompressionFormatGzip,
		BufferingHints: &types.BufferingHints{IntervalInSeconds: aws.Int32(120), SizeInMBs: aws.Int32(7)},
		ProcessingConfiguration: &types.ProcessingConfiguration{Enabled: aws.Bool(true), Processors: []types.Processor{{Type: types.ProcessorTypeLambda,
			Parameters: []types.ProcessorParameter{{ParameterName: types.ProcessorParameterNameLambdaArn, ParameterValue: aws.String(function)}}}}},
	}
}

// bucketPolicy allows two other accounts to get delivered objects. The statement for a third account is
// meant to, but names the bucket and not its objects. No other account can get them.
const bucketPolicy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","arn:aws:iam::123456789012:root"]},"Action":"s3:*","Resource":"arn:aws:s3:::their-logs/*"},
	{"Effect":"Allow","Principal":{"AWS":["444455556666","arn:aws:iam::777788889999:role/reader"]},"Action":["s3:ListBucket","s3:GetObject"],"Resource":"arn:aws:s3:::their-logs/*"},
	{"Effect":"Allow","Principal":{"AWS":"888888888888"},"Action":["s3:GetObject","s3:ListBucket"],"Resource":"arn:aws:s3:::their-logs"},
	{"Effect":"Allow","Principal":{"AWS":"666666666666"},"Action":"s3:GetObject","Resource":["arn:aws:s3:::their-logs/reports/*","arn:aws:s3:::others/*"]},
	{"Effect":"Allow","Principal":{"AWS":"666666666666"},"Action":"s3:GetObject","NotResource":"arn:aws:s3:::their-logs/apiable/*"},
	{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::their-logs"},
	{"Effect":"Allow","Principal":{"AWS":"333333333333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::their-logs/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},
	{"Effect":"Deny","Principal":{"AWS":"555555555555"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::their-logs/*"}]}`

func TestFindReadsWholeAccount(t *testing.T) {
	s := moto.Start(t)
	a := account{t, provision.NewClients(s.Config(nil))}
	shop, pets, bare := a.api("shop", "prod", "dev"), a.api("pets", "v1"), a.api("bare")
	a.plan("Gold", shop, "prod")
	a.plan("Free", shop, "prod")
	a.stream("amazon-apigateway-theirs", byHand())
	a.logTo(shop, "prod", streamARN("amazon-apigateway-theirs"), "$context.requestId")
	must[*s3.CreateBucketOutput](a, "create bucket")(a.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("their-logs"),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: moto.Region}}))
	must[*s3.PutBucketPolicyOutput](a, "put policy")(a.S3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("their-logs"), Policy: aws.String(bucketPolicy)}))
	a.logTo(shop, "dev", streamARN("amazon-apigateway-gone"), "$context.requestId")
	group := "arn:aws:logs:eu-west-1:123456789012:log-group:pets"
	a.logTo(pets, "v1", group, "$context.apiId")
	web := must[*apigatewayv2.CreateApiOutput](a, "create HTTP API")(a.APIGatewayV2.CreateApi(t.Context(), &apigatewayv2.CreateApiInput{Name: aws.String("web"), ProtocolType: v2.ProtocolTypeHttp}))

	got, err := discover.Find(t.Context(), a.Clients)
	if err != nil {
		t.Fatal(err)
	}
	shopAPI := discover.API{ID: shop, Name: "shop", Protocol: "REST"}
	want := discover.Found{
		APIs: 3,
		Stages: []discover.Stage{
			{API: discover.API{ID: pets, Name: "pets", Protocol: "REST"}, Name: "v1", Destination: group, Format: "$context.apiId"},
			{API: shopAPI, Name: "dev", Destination: streamARN("amazon-apigateway-gone"), Format: "$context.requestId"},
			{API: shopAPI, Name: "prod", Destination: streamARN("amazon-apigateway-theirs"), Format: "$context.requestId", Plans: []string{"Free", "Gold"}, Stream: &discover.Stream{
				Name: "amazon-apigateway-theirs", Bucket: "their-logs", Function: function, Readers: []string{"111122223333", "444455556666", "888888888888"},
				Deliver: config.Deliver{Interval: 2 * time.Minute, Size: 7 << 20, Compression: "GZIP", Prefix: "apiable/aws/logs/", ErrorPrefix: "apiable/aws/errors/"}}},
		},
		Undeployed: []discover.API{{ID: bare, Name: "bare", Protocol: "REST"}},
		Other:      []discover.API{{ID: *web.ApiId, Name: "web", Protocol: "HTTP"}},
		PlansKnown: true,
		Notes:      []string{shop + "/dev log to the delivery stream amazon-apigateway-gone, which does not exist: their access logs are lost"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Find (-want +got):\n%s", diff)
	}
}

func TestFindInEmptyAccount(t *testing.T) {
	s := moto.Start(t)
	got, err := discover.Find(t.Context(), provision.NewClients(s.Config(nil)))
	if diff := cmp.Diff(discover.Found{PlansKnown: true}, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("Find = %v (-want +got):\n%s", err, diff)
	}
}

// paged is an API Gateway that returns two items per page, and denies some calls.
type paged struct {
	apis   int
	denied string     // part of the path of denied calls
	mu     sync.Mutex // guards calls
	calls  []string
}

func (p *paged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	p.mu.Lock()
	p.calls = append(p.calls, path)
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if p.denied != "" && strings.Contains(path+r.Header.Get("X-Amz-Target"), p.denied) {
		w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"message":"User: arn:aws:iam::123456789012:user/ann is not authorized to perform: apigateway:GET on resource: arn:aws:apigateway:eu-west-1::`+path+`"}`)
		return
	}
	item := func(i int) map[string]any {
		return map[string]any{"id": fmt.Sprintf("api%d", i), "name": fmt.Sprintf("name%d", i)}
	}
	of, next, token := "item", "position", r.URL.Query().Get("position")
	switch {
	case strings.HasSuffix(path, "/stages"):
		_ = json.NewEncoder(w).Encode(map[string]any{"item": []any{map[string]any{"stageName": "prod"}}})
		return
	case path == "/usageplans":
		item = func(i int) map[string]any {
			return map[string]any{"name": fmt.Sprintf("plan%d", i), "apiStages": []any{map[string]any{"apiId": fmt.Sprintf("api%d", i), "stage": "prod"}}}
		}
	case path == "/v2/apis":
		of, next, token = "items", "nextToken", r.URL.Query().Get("nextToken")
		item = func(i int) map[string]any {
			return map[string]any{"apiId": fmt.Sprintf("web%d", i), "name": "web", "protocolType": "WEBSOCKET"}
		}
	}
	from := 0
	_, _ = fmt.Sscan(token, &from)
	page := map[string]any{}
	var items []any
	for i := from; i < min(from+2, p.apis); i++ {
		items = append(items, item(i))
	}
	if page[of] = items; from+2 < p.apis {
		page[next] = fmt.Sprint(from + 2)
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (p *paged) clients(t *testing.T) *provision.Clients {
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return provision.NewClients(aws.Config{Region: moto.Region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})
}

func TestFindReadsEveryPage(t *testing.T) {
	got, err := discover.Find(t.Context(), (&paged{apis: 5}).clients(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Stages) != 5 || len(got.Other) != 5 || len(got.Notes) != 0 {
		t.Fatalf("Find found %d stages, %d others and notes %v; want 5, 5 and none", len(got.Stages), len(got.Other), got.Notes)
	}
	for i, st := range got.Stages {
		if want := fmt.Sprintf("api%d/prod", i); st.Ref().String() != want || len(st.Plans) != 1 {
			t.Errorf("stage %d is %s with plans %v; want %s with one plan", i, st.Ref(), st.Plans, want)
		}
	}
}

func TestDeniedCallsBecomeNotes(t *testing.T) {
	tests := []struct {
		denied string
		stages int
		note   string
	}{
		{"/usageplans", 3, "cannot read the usage plans: access denied"},
		{"/v2/apis", 3, "cannot read the HTTP and WebSocket APIs: access denied"},
		{"/restapis/api1/stages", 2, "cannot read the stages of api1 (name1): access denied"},
		{"/stages", 0, "cannot read the stages of api0 (name0), api1 (name1), api2 (name2): access denied"},
	}
	for _, tt := range tests {
		got, err := discover.Find(t.Context(), (&paged{apis: 3, denied: tt.denied}).clients(t))
		if err != nil || len(got.Stages) != tt.stages || len(got.Notes) != 1 || !strings.HasPrefix(got.Notes[0], tt.note) || !strings.Contains(got.Notes[0], "apigateway:GET") {
			t.Errorf("%s denied: %d stages, notes %q, %v; want %d and %q", tt.denied, len(got.Stages), got.Notes, err, tt.stages, tt.note)
		}
		if len(got.Undeployed) != 0 || got.APIs != 3 {
			t.Errorf("%s denied: got %d APIs, undeployed %v; want 3 and none undeployed", tt.denied, got.APIs, got.Undeployed)
		}
	}
	if _, err := discover.Find(t.Context(), (&paged{apis: 3, denied: "/restapis"}).clients(t)); err == nil || !strings.HasPrefix(err.Error(), "list the REST APIs: access denied") {
		t.Errorf("Find without the REST APIs: got %v, want access denied", err)
	}
}

// RoundTrip makes the handler a transport for AWS's own endpoints.
func (p *paged) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestFindLimitsCallRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paged{apis: 12}
		c := provision.NewClients(aws.Config{Region: moto.Region, HTTPClient: &http.Client{Transport: p}, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})
		began := time.Now()
		if _, err := discover.Find(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		// A burst of 10, then 5 per second.
		if least := time.Duration(len(p.calls)-11) * 200 * time.Millisecond; time.Since(began) < least {
			t.Errorf("%d calls took %s, want at least %s", len(p.calls), time.Since(began), least)
		}
	})
}

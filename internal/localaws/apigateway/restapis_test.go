package apigateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// The way of the AWS CLI: an API, a resource, a method with a key, an integration, a
// deployment, a stage; and what the stage server then sees.
func TestBuildAPIByHand(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	api := must[*sdk.CreateRestApiOutput](t)(w.c.CreateRestApi(ctx, &sdk.CreateRestApiInput{
		Name: aws.String("shop"), Description: aws.String("d"), EndpointConfiguration: &types.EndpointConfiguration{Types: []types.EndpointType{"REGIONAL"}}}))
	if len(*api.Id) != 10 || strings.ToLower(*api.Id) != *api.Id || api.CreatedDate.Unix() != w.clock().Unix() || api.ApiKeySource != "HEADER" {
		t.Errorf("CreateRestApi = %+v", api)
	}
	root := must[*sdk.GetResourcesOutput](t)(w.c.GetResources(ctx, &sdk.GetResourcesInput{RestApiId: api.Id})).Items[0]
	if *root.Path != "/" || *root.Id != *api.RootResourceId {
		t.Errorf("root = %s %s, want / %s", *root.Path, *root.Id, *api.RootResourceId)
	}
	orders := must[*sdk.CreateResourceOutput](t)(w.c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: api.Id, ParentId: root.Id, PathPart: aws.String("orders")}))
	one := must[*sdk.CreateResourceOutput](t)(w.c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: api.Id, ParentId: orders.Id, PathPart: aws.String("{id}")}))
	if *one.Path != "/orders/{id}" {
		t.Errorf("path = %s", *one.Path)
	}
	must[*sdk.PutMethodOutput](t)(w.c.PutMethod(ctx, &sdk.PutMethodInput{RestApiId: api.Id, ResourceId: one.Id, HttpMethod: aws.String("ANY"),
		AuthorizationType: aws.String("NONE"), ApiKeyRequired: true, RequestParameters: map[string]bool{"method.request.path.id": true}}))
	_, err := w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: api.Id})
	wantError(t, err, "BadRequestException", "No integration defined for method")
	in := must[*sdk.PutIntegrationOutput](t)(w.c.PutIntegration(ctx, &sdk.PutIntegrationInput{RestApiId: api.Id, ResourceId: one.Id, HttpMethod: aws.String("ANY"),
		Type: "HTTP_PROXY", IntegrationHttpMethod: aws.String("ANY"), Uri: aws.String("http://${stageVariables.host}/o/{order}"),
		RequestParameters: map[string]string{"integration.request.path.order": "method.request.path.id"}}))
	if in.TimeoutInMillis != 29000 || *in.PassthroughBehavior != "WHEN_NO_MATCH" || *in.CacheNamespace != *one.Id || in.ConnectionType != "INTERNET" {
		t.Errorf("PutIntegration = %+v", in)
	}
	m := must[*sdk.GetMethodOutput](t)(w.c.GetMethod(ctx, &sdk.GetMethodInput{RestApiId: api.Id, ResourceId: one.Id, HttpMethod: aws.String("ANY")}))
	if !aws.ToBool(m.ApiKeyRequired) || m.MethodIntegration == nil || *m.MethodIntegration.Uri != *in.Uri {
		t.Errorf("GetMethod = %+v", m)
	}
	d := must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: api.Id}))
	st := must[*sdk.CreateStageOutput](t)(w.c.CreateStage(ctx, &sdk.CreateStageInput{RestApiId: api.Id, DeploymentId: d.Id, StageName: aws.String("prod"),
		Variables: map[string]string{"host": "127.0.0.1:9000"}, Tags: map[string]string{"a": "b"}}))
	if *st.DeploymentId != *d.Id || st.CacheClusterStatus != "NOT_AVAILABLE" || st.Tags["a"] != "b" {
		t.Errorf("CreateStage = %+v", st)
	}

	view, ok := w.svc.Route(*api.Id, "prod")
	if !ok {
		t.Fatal("the stage is not served")
	}
	want := &apigateway.StageView{
		APIID: *api.Id, APIName: "shop", Stage: "prod", DeploymentID: *d.Id, KeySource: "HEADER", Variables: map[string]string{"host": "127.0.0.1:9000"},
		Routes: []apigateway.Route{{
			ResourceID: *one.Id, Path: "/orders/{id}", Segments: []apigateway.Segment{{Literal: "orders"}, {Param: "id"}},
			Methods: map[string]apigateway.Method{"ANY": {HTTPMethod: "ANY", APIKeyRequired: true, Integration: apigateway.Integration{
				Type: "HTTP_PROXY", HTTPMethod: "ANY", URI: "http://127.0.0.1:9000/o/{order}", Params: map[string]string{"order": "id"}, Timeout: 29 * time.Second}}},
		}},
	}
	if diff := cmp.Diff(want, view); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	if again, _ := w.svc.Route(*api.Id, "prod"); again != view {
		t.Error("the view is another pointer though nothing changed")
	}
	if w.changed() == 0 {
		t.Error("OnChange was not called")
	}
}

func TestDeploymentIsSnapshot(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.deployed("shop", "prod")
	api := must[*sdk.GetRestApiOutput](t)(w.c.GetRestApi(ctx, &sdk.GetRestApiInput{RestApiId: &id}))
	before, _ := w.svc.Route(id, "prod")
	must[*sdk.UpdateMethodOutput](t)(w.c.UpdateMethod(ctx, &sdk.UpdateMethodInput{RestApiId: &id, ResourceId: api.RootResourceId, HttpMethod: aws.String("GET"),
		PatchOperations: []types.PatchOperation{{Op: "replace", Path: aws.String("/apiKeyRequired"), Value: aws.String("true")}}}))
	must[*sdk.UpdateIntegrationOutput](t)(w.c.UpdateIntegration(ctx, &sdk.UpdateIntegrationInput{RestApiId: &id, ResourceId: api.RootResourceId, HttpMethod: aws.String("GET"),
		PatchOperations: []types.PatchOperation{{Op: "replace", Path: aws.String("/uri"), Value: aws.String("http://other/")}}}))
	if v, _ := w.svc.Route(id, "prod"); v.Routes[0].Methods["GET"].APIKeyRequired || v.Routes[0].Methods["GET"].Integration.URI != "http://127.0.0.1:9000/" {
		t.Errorf("the stage shows what was not deployed: %+v", v.Routes[0])
	}
	d := must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: &id, StageName: aws.String("prod")}))
	v, _ := w.svc.Route(id, "prod")
	if v == before || v.DeploymentID != *d.Id || !v.Routes[0].Methods["GET"].APIKeyRequired || v.Routes[0].Methods["GET"].Integration.URI != "http://other/" {
		t.Errorf("the stage does not show its new deployment: %+v", v)
	}
	if before.Routes[0].Methods["GET"].APIKeyRequired {
		t.Error("a view that was handed out has changed")
	}

	all := must[*sdk.GetDeploymentsOutput](t)(w.c.GetDeployments(ctx, &sdk.GetDeploymentsInput{RestApiId: &id}))
	if len(all.Items) != 2 {
		t.Fatalf("%d deployments, want 2", len(all.Items))
	}
	_, err := w.c.DeleteDeployment(ctx, &sdk.DeleteDeploymentInput{RestApiId: &id, DeploymentId: d.Id})
	wantError(t, err, "BadRequestException", "Active stages pointing to this deployment must be moved or deleted")
	must[*sdk.DeleteDeploymentOutput](t)(w.c.DeleteDeployment(ctx, &sdk.DeleteDeploymentInput{RestApiId: &id, DeploymentId: all.Items[0].Id}))
	sum := must[*sdk.GetDeploymentOutput](t)(w.c.GetDeployment(ctx, &sdk.GetDeploymentInput{RestApiId: &id, DeploymentId: d.Id, Embed: []string{"apisummary"}}))
	if !sum.ApiSummary["/"]["GET"].ApiKeyRequired {
		t.Errorf("apiSummary = %v", sum.ApiSummary)
	}
}

func TestRestAPILifecycle(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.deployed("shop", "prod")
	up := must[*sdk.UpdateRestApiOutput](t)(w.c.UpdateRestApi(ctx, &sdk.UpdateRestApiInput{RestApiId: &id, PatchOperations: []types.PatchOperation{
		{Op: "replace", Path: aws.String("/name"), Value: aws.String("store")},
		{Op: "replace", Path: aws.String("/description"), Value: aws.String("new")},
		{Op: "replace", Path: aws.String("/apiKeySource"), Value: aws.String("AUTHORIZER")},
		{Op: "add", Path: aws.String("/binaryMediaTypes/image~1png")},
	}}))
	if *up.Name != "store" || *up.Description != "new" || up.ApiKeySource != "AUTHORIZER" || up.BinaryMediaTypes[0] != "image/png" || up.Tags == nil {
		t.Errorf("UpdateRestApi = %+v", up)
	}
	if v, _ := w.svc.Route(id, "prod"); v.APIName != "store" || v.KeySource != "HEADER" {
		t.Errorf("the view has name %s and key source %s, want the new name and the deployed source", v.APIName, v.KeySource)
	}
	_, err := w.c.UpdateRestApi(ctx, &sdk.UpdateRestApiInput{RestApiId: &id, PatchOperations: []types.PatchOperation{{Op: "replace", Path: aws.String("/binaryMediaTypes"), Value: aws.String("x")}}})
	wantError(t, err, "BadRequestException", "Invalid patch path /binaryMediaTypes")
	_, err = w.c.UpdateRestApi(ctx, &sdk.UpdateRestApiInput{RestApiId: &id, PatchOperations: []types.PatchOperation{{Op: "wrong", Path: aws.String("/name")}}})
	wantError(t, err, "ValidationException", "1 validation error detected: Value 'wrong' at 'updateRestApiInput.patchOperations.1.member.op' failed to satisfy constraint: Member must satisfy enum value set: [add, remove, move, test, replace, copy]")

	must[*sdk.DeleteRestApiOutput](t)(w.c.DeleteRestApi(ctx, &sdk.DeleteRestApiInput{RestApiId: &id}))
	if _, ok := w.svc.Route(id, "prod"); ok {
		t.Error("the stage of a deleted API is served")
	}
	_, err = w.c.GetRestApi(ctx, &sdk.GetRestApiInput{RestApiId: &id})
	wantError(t, err, "NotFoundException", "Invalid API identifier specified 000000000000:"+id)
	for key := range w.store.Docs() {
		if strings.Contains(key, id) {
			t.Errorf("document %s is left over", key)
		}
	}
}

func TestAPIErrors(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.deployed("shop", "prod")
	api := must[*sdk.GetRestApiOutput](t)(w.c.GetRestApi(ctx, &sdk.GetRestApiInput{RestApiId: &id}))
	root := api.RootResourceId
	proxy := must[*sdk.CreateResourceOutput](t)(w.c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: &id, ParentId: root, PathPart: aws.String("{proxy+}")}))
	create := func(in sdk.CreateRestApiInput) error { _, err := w.c.CreateRestApi(ctx, &in); return err }
	resource := func(parent *string, part string) error {
		_, err := w.c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: &id, ParentId: parent, PathPart: &part})
		return err
	}
	method := func(in sdk.PutMethodInput) error {
		in.RestApiId = &id
		if in.ResourceId == nil {
			in.ResourceId = root
		}
		_, err := w.c.PutMethod(ctx, &in)
		return err
	}
	integrate := func(in sdk.PutIntegrationInput) error {
		in.RestApiId, in.ResourceId, in.HttpMethod = &id, root, aws.String("GET")
		_, err := w.c.PutIntegration(ctx, &in)
		return err
	}
	s := aws.String
	for _, c := range []struct {
		name          string
		err           error
		code, message string
	}{
		{"no name", create(sdk.CreateRestApiInput{Name: s("")}), "BadRequestException", "Name cannot be empty"},
		{"empty description", create(sdk.CreateRestApiInput{Name: s("x"), Description: s("")}), "BadRequestException", "Description cannot be an empty string"},
		{"two types", create(sdk.CreateRestApiInput{Name: s("x"), EndpointConfiguration: &types.EndpointConfiguration{Types: []types.EndpointType{"EDGE", "REGIONAL"}}}), "BadRequestException", "Cannot create an api with multiple Endpoint Types."},
		{"wrong type", create(sdk.CreateRestApiInput{Name: s("x"), EndpointConfiguration: &types.EndpointConfiguration{Types: []types.EndpointType{"wrong"}}}), "ValidationException",
			"1 validation error detected: Value '[wrong]' at 'createRestApiInput.endpointConfiguration.types' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]"},
		{"clone", create(sdk.CreateRestApiInput{Name: s("x"), CloneFrom: &id}), "BadRequestException", "stagelog does not support cloneFrom"},
		{"policy", create(sdk.CreateRestApiInput{Name: s("x"), Policy: s("{}")}), "BadRequestException", "stagelog does not support resource policies"},
		{"sibling", resource(root, "{proxy+}"), "ConflictException", "Another resource with the same parent already has this name: {proxy+}"},
		{"second variable", resource(root, "{id}"), "BadRequestException", "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed"},
		{"child of greedy", resource(proxy.Id, "x"), "BadRequestException", "Cannot create a child of a resource with a greedy path variable: {proxy+}"},
		{"bad part", resource(root, "a/b"), "BadRequestException", "Resource's path part only allow a-zA-Z0-9._-: and curly braces at the beginning and the end and an optional plus sign before the closing brace."},
		{"no parent", resource(s("nope"), "x"), "NotFoundException", "Invalid Resource identifier specified"},
		{"wrong method", method(sdk.PutMethodInput{HttpMethod: s("FETCH"), AuthorizationType: s("NONE")}), "BadRequestException", "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY"},
		{"method twice", method(sdk.PutMethodInput{HttpMethod: s("GET"), AuthorizationType: s("NONE")}), "ConflictException", "Method already exists for this resource"},
		{"authorizer", method(sdk.PutMethodInput{HttpMethod: s("PUT"), AuthorizationType: s("CUSTOM")}), "BadRequestException", "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."},
		{"iam", method(sdk.PutMethodInput{HttpMethod: s("PUT"), AuthorizationType: s("AWS_IAM")}), "BadRequestException", "stagelog does not support the authorization type AWS_IAM"},
		{"no resource", method(sdk.PutMethodInput{ResourceId: s("nope"), HttpMethod: s("PUT"), AuthorizationType: s("NONE")}), "NotFoundException", "Invalid Resource identifier specified"},
		{"wrong integration", integrate(sdk.PutIntegrationInput{Type: "HTTPS_PROXY"}), "ValidationException",
			"1 validation error detected: Value 'HTTPS_PROXY' at 'putIntegrationInput.type' failed to satisfy constraint: Member must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]"},
		{"lambda", integrate(sdk.PutIntegrationInput{Type: "AWS_PROXY", Uri: s("arn:x")}), "BadRequestException", "stagelog does not support integrations of type AWS_PROXY: use HTTP_PROXY or MOCK"},
		{"no integration method", integrate(sdk.PutIntegrationInput{Type: "HTTP_PROXY", Uri: s("http://x/")}), "BadRequestException", "Enumeration value for HttpMethod must be non-empty"},
		{"bad uri", integrate(sdk.PutIntegrationInput{Type: "HTTP_PROXY", IntegrationHttpMethod: s("GET"), Uri: s("ftp://x/")}), "BadRequestException", "Invalid HTTP endpoint specified for URI"},
		{"vpc link", integrate(sdk.PutIntegrationInput{Type: "HTTP_PROXY", IntegrationHttpMethod: s("GET"), Uri: s("http://x/"), ConnectionType: "VPC_LINK"}), "BadRequestException", "stagelog does not support the connection type VPC_LINK"},
		{"timeout", integrate(sdk.PutIntegrationInput{Type: "HTTP_PROXY", IntegrationHttpMethod: s("GET"), Uri: s("http://x/"), TimeoutInMillis: aws.Int32(30000)}), "BadRequestException", "Timeout should be between 50 ms and 29000 ms"},
		{"header mapping", integrate(sdk.PutIntegrationInput{Type: "HTTP_PROXY", IntegrationHttpMethod: s("GET"), Uri: s("http://x/"), RequestParameters: map[string]string{"integration.request.header.A": "'b'"}}),
			"BadRequestException", "stagelog does not support the parameter mapping integration.request.header.A = 'b': only integration.request.path.NAME = method.request.path.NAME is"},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.err, c.code, c.message) })
	}
	empty := must[*sdk.CreateRestApiOutput](t)(w.c.CreateRestApi(ctx, &sdk.CreateRestApiInput{Name: s("empty")}))
	_, err := w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: empty.Id})
	wantError(t, err, "BadRequestException", "The REST API doesn't contain any methods")
	_, err = w.c.GetIntegration(ctx, &sdk.GetIntegrationInput{RestApiId: empty.Id, ResourceId: empty.RootResourceId, HttpMethod: s("GET")})
	wantError(t, err, "NotFoundException", "Invalid Method identifier specified")
}

func TestMockIntegration(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	s := aws.String
	id := w.deployed("shop", "prod")
	api := must[*sdk.GetRestApiOutput](t)(w.c.GetRestApi(ctx, &sdk.GetRestApiInput{RestApiId: &id}))
	place := func() (a, r, m *string) { return &id, api.RootResourceId, s("OPTIONS") }
	a, r, m := place()
	must[*sdk.PutMethodOutput](t)(w.c.PutMethod(ctx, &sdk.PutMethodInput{RestApiId: a, ResourceId: r, HttpMethod: m, AuthorizationType: s("NONE")}))
	must[*sdk.PutMethodResponseOutput](t)(w.c.PutMethodResponse(ctx, &sdk.PutMethodResponseInput{RestApiId: a, ResourceId: r, HttpMethod: m, StatusCode: s("204")}))
	must[*sdk.PutIntegrationOutput](t)(w.c.PutIntegration(ctx, &sdk.PutIntegrationInput{RestApiId: a, ResourceId: r, HttpMethod: m, Type: "MOCK", RequestTemplates: map[string]string{"application/json": `{"statusCode": 204}`}}))
	must[*sdk.PutIntegrationResponseOutput](t)(w.c.PutIntegrationResponse(ctx, &sdk.PutIntegrationResponseInput{RestApiId: a, ResourceId: r, HttpMethod: m, StatusCode: s("204"),
		ResponseParameters: map[string]string{"method.response.header.Access-Control-Allow-Origin": "'*'"}, ResponseTemplates: map[string]string{"application/json": "{}"}}))
	got := must[*sdk.GetIntegrationResponseOutput](t)(w.c.GetIntegrationResponse(ctx, &sdk.GetIntegrationResponseInput{RestApiId: a, ResourceId: r, HttpMethod: m, StatusCode: s("204")}))
	if got.ResponseTemplates["application/json"] != "{}" {
		t.Errorf("GetIntegrationResponse = %+v", got)
	}
	_, err := w.c.PutIntegrationResponse(ctx, &sdk.PutIntegrationResponseInput{RestApiId: a, ResourceId: r, HttpMethod: m, StatusCode: s("200"), ResponseTemplates: map[string]string{"application/json": "$input.body"}})
	wantError(t, err, "BadRequestException", "stagelog does not support response templates other than constant text")
	must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: a, StageName: s("prod")}))
	view, _ := w.svc.Route(id, "prod")
	want := apigateway.MockAnswer{Status: 204, Headers: map[string]string{"Access-Control-Allow-Origin": "*", "Content-Type": "application/json"}, Body: "{}"}
	if diff := cmp.Diff(want, view.Routes[0].Methods["OPTIONS"].Integration.Mock); diff != "" {
		t.Errorf("mock (-want +got):\n%s", diff)
	}
	must[*sdk.DeleteIntegrationResponseOutput](t)(w.c.DeleteIntegrationResponse(ctx, &sdk.DeleteIntegrationResponseInput{RestApiId: a, ResourceId: r, HttpMethod: m, StatusCode: s("204")}))
	must[*sdk.DeleteMethodResponseOutput](t)(w.c.DeleteMethodResponse(ctx, &sdk.DeleteMethodResponseInput{RestApiId: a, ResourceId: r, HttpMethod: m, StatusCode: s("204")}))
	_, err = w.c.GetMethodResponse(ctx, &sdk.GetMethodResponseInput{RestApiId: a, ResourceId: r, HttpMethod: m, StatusCode: s("204")})
	wantError(t, err, "NotFoundException", "Invalid Response status code specified")
	must[*sdk.DeleteIntegrationOutput](t)(w.c.DeleteIntegration(ctx, &sdk.DeleteIntegrationInput{RestApiId: a, ResourceId: r, HttpMethod: m}))
	_, err = w.c.GetIntegration(ctx, &sdk.GetIntegrationInput{RestApiId: a, ResourceId: r, HttpMethod: m})
	wantError(t, err, "NotFoundException", "Invalid Integration identifier specified")
	must[*sdk.DeleteMethodOutput](t)(w.c.DeleteMethod(ctx, &sdk.DeleteMethodInput{RestApiId: a, ResourceId: r, HttpMethod: m}))
}

// The order in which the stage server tries the routes is API Gateway's precedence.
func TestRoutePrecedence(t *testing.T) {
	w := newWorld(t)
	doc := `{"openapi":"3.0.1","info":{"title":"x"},"paths":{`
	for i, p := range []string{"/{proxy+}", "/", "/orders/{id}/items", "/orders/{id}", "/orders/new", "/orders", "/orders/{id}/{rest+}"} {
		if i > 0 {
			doc += ","
		}
		doc += `"` + p + `":{"get":{"x-amazon-apigateway-integration":{"type":"http_proxy","httpMethod":"GET","uri":"http://h/"}}}`
	}
	api := must[*sdk.ImportRestApiOutput](t)(w.c.ImportRestApi(t.Context(), &sdk.ImportRestApiInput{Body: []byte(doc + "}}")}))
	must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(t.Context(), &sdk.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("s")}))
	view, _ := w.svc.Route(*api.Id, "s")
	var got []string
	for _, r := range view.Routes {
		got = append(got, r.Path)
	}
	want := []string{"/", "/orders", "/orders/new", "/orders/{id}", "/orders/{id}/items", "/orders/{id}/{rest+}", "/{proxy+}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestUnknownOperationsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ method, path string }{
		{"POST", "/restapis/abc/authorizers"}, {"GET", "/domainnames"}, {"PUT", "/apikeys/x"}, {"GET", "/restapis/../apikeys"}, {"GET", "//apikeys"}, {"PATCH", "/account"},
	} {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), c.method, w.url+c.path, nil))
		resp := must[*http.Response](t)((&http.Client{Transport: &http.Transport{}}).Do(req))
		body := must[[]byte](t)(io.ReadAll(resp.Body))
		_ = resp.Body.Close()
		if resp.StatusCode != 404 || resp.Header.Get("X-Amzn-ErrorType") != "UnknownOperationException" || !strings.Contains(string(body), "stagelog does not serve") {
			t.Errorf("%s %s = %d %s %s", c.method, c.path, resp.StatusCode, resp.Header.Get("X-Amzn-ErrorType"), body)
		}
	}
	_, err := w.c.GetDomainNames(t.Context(), &sdk.GetDomainNamesInput{})
	wantError(t, err, "UnknownOperationException", `stagelog does not serve the API Gateway operation GET "/domainnames"`)
}

func TestResourcesAndDeploymentsOneByOne(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	id := w.deployed("shop", "prod")
	root := must[*sdk.GetRestApiOutput](t)(w.c.GetRestApi(ctx, &sdk.GetRestApiInput{RestApiId: &id})).RootResourceId
	a := must[*sdk.CreateResourceOutput](t)(w.c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: &id, ParentId: root, PathPart: aws.String("a")}))
	must[*sdk.CreateResourceOutput](t)(w.c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: &id, ParentId: a.Id, PathPart: aws.String("b")}))
	got := must[*sdk.GetResourceOutput](t)(w.c.GetResource(ctx, &sdk.GetResourceInput{RestApiId: &id, ResourceId: root, Embed: []string{"methods"}}))
	if m := got.ResourceMethods["GET"]; m.MethodIntegration == nil || m.MethodIntegration.Type != "HTTP_PROXY" {
		t.Errorf("GetResource with its methods = %+v", got.ResourceMethods)
	}
	must[*sdk.DeleteResourceOutput](t)(w.c.DeleteResource(ctx, &sdk.DeleteResourceInput{RestApiId: &id, ResourceId: a.Id}))
	if left := must[*sdk.GetResourcesOutput](t)(w.c.GetResources(ctx, &sdk.GetResourcesInput{RestApiId: &id})); len(left.Items) != 1 {
		t.Errorf("%d resources, want the root alone", len(left.Items))
	}
	_, err := w.c.DeleteResource(ctx, &sdk.DeleteResourceInput{RestApiId: &id, ResourceId: root})
	wantError(t, err, "BadRequestException", "Root resource cannot be deleted")

	st := must[*sdk.GetStageOutput](t)(w.c.GetStage(ctx, &sdk.GetStageInput{RestApiId: &id, StageName: aws.String("prod")}))
	d := must[*sdk.UpdateDeploymentOutput](t)(w.c.UpdateDeployment(ctx, &sdk.UpdateDeploymentInput{RestApiId: &id, DeploymentId: st.DeploymentId, PatchOperations: patchOps("replace", "/description", "first")}))
	if *d.Description != "first" {
		t.Errorf("UpdateDeployment = %+v", d)
	}
	_, err = w.c.UpdateDeployment(ctx, &sdk.UpdateDeploymentInput{RestApiId: &id, DeploymentId: st.DeploymentId, PatchOperations: patchOps("replace", "/id", "x")})
	wantError(t, err, "BadRequestException", "Invalid patch path  '/id' specified for op 'replace'. Must be one of: [/description]")
	_, err = w.c.GetDeployment(ctx, &sdk.GetDeploymentInput{RestApiId: &id, DeploymentId: aws.String("nope")})
	wantError(t, err, "NotFoundException", "Invalid Deployment identifier specified")
	if all := must[*sdk.GetRestApisOutput](t)(w.c.GetRestApis(ctx, &sdk.GetRestApisInput{Limit: aws.Int32(1)})); len(all.Items) != 1 || all.Position != nil {
		t.Errorf("GetRestApis = %+v", all)
	}
}

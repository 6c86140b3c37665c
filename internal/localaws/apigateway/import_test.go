package apigateway_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

const swaggerYAML = `
swagger: "2.0"
info: {title: Shop, version: 1.0, description: The shop}
basePath: /ignored
x-amazon-apigateway-api-key-source: header
securityDefinitions:
  api_key: {type: apiKey, name: x-api-key, in: header}
paths:
  /orders/{id}:
    parameters:
      - {name: id, in: path, required: true, type: string}
    get:
      operationId: getOrder
      security: [{api_key: []}]
      responses: {200: {description: OK}}
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: GET
        uri: http://127.0.0.1:9000/orders/{id}
        timeoutInMillis: 5000
        requestParameters: {integration.request.path.id: method.request.path.id}
        responses: {default: {statusCode: "200"}}
    options:
      x-amazon-apigateway-integration:
        type: mock
        requestTemplates: {application/json: {statusCode: 200}}
        responses:
          default:
            statusCode: 200
            responseParameters: {method.response.header.Access-Control-Allow-Origin: "'*'"}
  /{proxy+}:
    x-amazon-apigateway-any-method:
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: ANY, uri: "http://127.0.0.1:9000/{proxy}"}
`

const openapiJSON = `{"openapi":"3.0.1","info":{"title":"Shop3","version":"2"},
 "components":{"securitySchemes":{"key":{"type":"apiKey","name":"x-api-key","in":"header"}}},
 "security":[{"key":[]}],
 "paths":{"/":{"get":{"security":[],"responses":{"200":{"headers":{"ETag":{}},"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Order"}}}}},"x-amazon-apigateway-integration":{"type":"http_proxy","httpMethod":"GET","uri":"https://example.com/"}},
               "post":{"x-amazon-apigateway-integration":{"type":"HTTP_PROXY","httpMethod":"POST","uri":"https://example.com/"}}}}}`

func TestImportRestAPI(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	api := must[*sdk.ImportRestApiOutput](t)(w.c.ImportRestApi(ctx, &sdk.ImportRestApiInput{Body: []byte(swaggerYAML)}))
	if *api.Name != "Shop" || *api.Version != "1.0" || *api.Description != "The shop" || api.ApiKeySource != "HEADER" {
		t.Errorf("ImportRestApi = %+v", api)
	}
	res := must[*sdk.GetResourcesOutput](t)(w.c.GetResources(ctx, &sdk.GetResourcesInput{RestApiId: api.Id}))
	var paths []string
	for _, r := range res.Items {
		paths = append(paths, *r.Path)
	}
	if diff := cmp.Diff([]string{"/", "/orders", "/orders/{id}", "/{proxy+}"}, paths); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("prod")}))
	view, _ := w.svc.Route(*api.Id, "prod")
	get := view.Routes[0].Methods["GET"]
	if !get.APIKeyRequired || get.Integration.URI != "http://127.0.0.1:9000/orders/{id}" || get.Integration.Timeout.Seconds() != 5 || get.Integration.Params["id"] != "id" {
		t.Errorf("GET = %+v", get)
	}
	mock := view.Routes[0].Methods["OPTIONS"].Integration
	if diff := cmp.Diff(apigateway.MockAnswer{Status: 200, Headers: map[string]string{"Access-Control-Allow-Origin": "*"}}, mock.Mock); diff != "" {
		t.Errorf("mock (-want +got):\n%s", diff)
	}
	if m := view.Routes[1].Methods["ANY"]; m.APIKeyRequired || m.Integration.Params["proxy"] != "proxy" {
		t.Errorf("ANY = %+v", m)
	}

	put := must[*sdk.PutRestApiOutput](t)(w.c.PutRestApi(ctx, &sdk.PutRestApiInput{RestApiId: api.Id, Mode: "overwrite", Body: []byte(openapiJSON)}))
	if *put.Name != "Shop3" || *put.RootResourceId != *api.RootResourceId {
		t.Errorf("PutRestApi = %+v", put)
	}
	must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("prod")}))
	view, _ = w.svc.Route(*api.Id, "prod")
	if len(view.Routes) != 1 || view.Routes[0].Methods["GET"].APIKeyRequired || !view.Routes[0].Methods["POST"].APIKeyRequired {
		t.Errorf("after PutRestApi: %+v, want a key for POST by the document's security, and none for GET by its own", view.Routes)
	}
	get2 := must[*sdk.GetMethodOutput](t)(w.c.GetMethod(ctx, &sdk.GetMethodInput{RestApiId: api.Id, ResourceId: put.RootResourceId, HttpMethod: aws.String("GET")}))
	wantResponses := map[string]types.MethodResponse{"200": {StatusCode: aws.String("200"),
		ResponseParameters: map[string]bool{"method.response.header.ETag": false}, ResponseModels: map[string]string{"application/json": "Order"}}}
	if diff := cmp.Diff(wantResponses, get2.MethodResponses, cmpopts.IgnoreUnexported(types.MethodResponse{})); diff != "" {
		t.Errorf("method responses (-want +got):\n%s", diff)
	}
	res = must[*sdk.GetResourcesOutput](t)(w.c.GetResources(ctx, &sdk.GetResourcesInput{RestApiId: api.Id, Embed: []string{"methods"}}))
	if diff := cmp.Diff(wantResponses, res.Items[0].ResourceMethods["GET"].MethodResponses, cmpopts.IgnoreUnexported(types.MethodResponse{})); diff != "" {
		t.Errorf("method responses of GetResources (-want +got):\n%s", diff)
	}
	for _, mode := range []types.PutMode{"merge", ""} {
		merged := must[*sdk.PutRestApiOutput](t)(w.c.PutRestApi(ctx, &sdk.PutRestApiInput{RestApiId: api.Id, Mode: mode, Body: []byte(swaggerYAML)}))
		if *merged.Name != "Shop3" {
			t.Errorf("mode %q: the merge renamed the API to %s", mode, *merged.Name)
		}
	}
	must[*sdk.ImportRestApiOutput](t)(w.c.ImportRestApi(ctx, &sdk.ImportRestApiInput{Body: []byte(openapiJSON), FailOnWarnings: true}))
}

func TestImportRefusesUnsupported(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ name, old, new, want string }{
		{"lambda", "type: http_proxy", "type: aws_proxy", "Unable to put integration on 'GET' for resource at path '/orders/{id}': stagelog does not support integrations of type AWS_PROXY: use HTTP_PROXY or MOCK"},
		{"http", "type: http_proxy", "type: http", "integrations of type HTTP: use HTTP_PROXY"},
		{"authorizer", "in: header", "in: header, x-amazon-apigateway-authorizer: {type: token}", "security scheme \"api_key\" is not supported"},
		{"unknown scheme", "api_key: []", "other: []", "security scheme \"other\" is not defined"},
		{"bad uri", "uri: http://", "uri: gopher://", "Invalid HTTP endpoint specified for URI"},
		{"policy", "basePath", "x-amazon-apigateway-policy: {}\nbasePath", "x-amazon-apigateway-policy is not supported"},
		{"no title", "title: Shop, ", "", "info.title, the API's name, is missing"},
		{"version", `"2.0"`, `"1.2"`, `version "1.2" is not supported`},
		{"not YAML", "info:", "\t: {[", "not valid YAML"},
		{"two variables", "/{proxy+}", "/orders/{other}", "Unable to create resource at path '/orders/{other}': A sibling ({id})"},
		{"template", "{statusCode: 200}", "$input.body", "request templates of a MOCK integration"},
		{"mapping", "integration.request.path.id: ", "integration.request.header.id: ", "parameter mapping"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := strings.Replace(swaggerYAML, c.old, c.new, 1)
			if doc == swaggerYAML {
				t.Fatal("the case changes nothing")
			}
			_, err := w.c.ImportRestApi(t.Context(), &sdk.ImportRestApiInput{Body: []byte(doc)})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "BadRequestException") {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
	if got := must[*sdk.GetRestApisOutput](t)(w.c.GetRestApis(t.Context(), &sdk.GetRestApisInput{})); len(got.Items) != 0 {
		t.Errorf("a refused import left %d APIs", len(got.Items))
	}
}

func TestImportParameters(t *testing.T) {
	w := newWorld(t)
	imported := func(params map[string]string) (*sdk.ImportRestApiOutput, error) {
		return w.c.ImportRestApi(t.Context(), &sdk.ImportRestApiInput{Body: []byte(swaggerYAML), Parameters: params})
	}
	api := must[*sdk.ImportRestApiOutput](t)(imported(map[string]string{"endpointConfigurationTypes": "REGIONAL", "basepath": "ignore"}))
	if api.EndpointConfiguration.Types[0] != "REGIONAL" {
		t.Errorf("endpoint = %v", api.EndpointConfiguration.Types)
	}
	_, err := imported(map[string]string{"basepath": "prepend"})
	wantError(t, err, "BadRequestException", "stagelog does not support the import parameter basepath=prepend")
}

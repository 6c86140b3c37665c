package openapi

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const small = `{"swagger":"2.0","info":{"title":"T","version":1.10},"x-amazon-apigateway-binary-media-types":["image/png"],
"securityDefinitions":{"k":{"type":"apiKey","name":"X-API-KEY","in":"header"}},
"paths":{"x-ignored":1,"/a/{id}":{"get":{"operationId":"op","security":[{"k":[]}],
"responses":{"200":{"headers":{"X-A":{}},"schema":{"$ref":"#/definitions/Order"}},"404":{},"default":{}},"x-amazon-apigateway-integration":
{"type":"http_proxy","httpMethod":"GET","uri":"http://h/","timeoutInMillis":50,"requestParameters":{"integration.request.path.id":"method.request.path.id"},
"requestTemplates":{"application/json":{"statusCode":204}},"responses":{"default":{"statusCode":204}}}}}}}`

func want() *Document {
	return &Document{
		Title: "T", Version: "1.10", BinaryMediaTypes: []string{"image/png"},
		Paths: []Path{{Path: "/a/{id}", Operations: []Operation{{
			Method: "GET", OperationID: "op", APIKeyRequired: true, SecurityGiven: true, PathParameters: map[string]bool{"method.request.path.id": true},
			Responses: map[string]Response{"200": {Headers: []string{"X-A"}, Models: map[string]string{"application/json": "Order"}}, "404": {}},
			Integration: &Integration{
				Type: "http_proxy", HTTPMethod: "GET", URI: "http://h/", TimeoutInMillis: 50,
				RequestParameters: map[string]string{"integration.request.path.id": "method.request.path.id"},
				RequestTemplates:  map[string]string{"application/json": `{"statusCode":204}`},
				Responses:         map[string]IntegrationResponse{"default": {StatusCode: "204"}},
			},
		}}}},
	}
}

func TestJSONAndYAMLAreEquivalent(t *testing.T) {
	asYAML := "# a comment\n" + strings.ReplaceAll(small, "\n", "\n  ")
	for name, doc := range map[string]string{"JSON": small, "YAML": asYAML, "JSON with BOM": "\ufeff" + small} {
		got, err := Parse([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestYAMLAnchorsAndMerges(t *testing.T) {
	got, err := Parse([]byte(`
openapi: 3.0.3
info: {title: T}
paths:
  /a:
    get: &get
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: "http://h/"}
    put:
      <<: *get
      operationId: put
`))
	if err != nil {
		t.Fatal(err)
	}
	ops := got.Paths[0].Operations
	if len(ops) != 2 || ops[1].OperationID != "put" || ops[1].Integration.URI != "http://h/" {
		t.Errorf("operations = %+v", ops)
	}
}

func TestParseLimits(t *testing.T) {
	var bomb bytes.Buffer
	bomb.WriteString("openapi: 3.0.1\ninfo: {title: x}\na0: &a0 [x]\n")
	for i := range 12 {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	many := `{"openapi":"3.0.1","info":{"title":"x"},"paths":{`
	for i := range maxPaths + 1 {
		many += fmt.Sprintf(`"/%d":{},`, i)
	}
	for name, doc := range map[string]string{
		"aliases of aliases": bomb.String(),
		"deep JSON":          `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"alias of itself":    "a: &a [*a]",
		"many paths":         strings.TrimSuffix(many, ",") + "}}",
		"empty":              "  \n",
		"a list":             "[1, 2]",
		"two values":         small + small,
	} {
		if _, err := Parse([]byte(doc)); err == nil {
			t.Errorf("%s: Parse = nil, want an error", name)
		}
	}
}

const secured = `
openapi: 3.0.3
info: {title: T}
components:
  securitySchemes:
    key: {type: apiKey, name: x-api-key, in: header}
    jwt: {type: http, scheme: bearer}
SECURITY
paths:
  /a:
    get: {OPERATION: 1, responses: {200: {content: {text/csv: {schema: {$ref: "#/components/schemas/Row"}}, text/plain: {}}}}}
`

func TestOperationSecurityOverridesDocument(t *testing.T) {
	for _, tt := range []struct {
		name, document, operation string
		key, given                bool
	}{
		{"neither", "", "x-none: 1", false, false},
		{"operation only", "", "security: [{key: []}]", true, true},
		{"document only", "security: [{key: []}]", "x-none: 1", true, true},
		{"opened by the operation", "security: [{key: []}]", "security: []", false, true},
		{"closed by the operation", "security: []", "security: [{key: []}]", true, true},
		{"one of two", "security: [{key: []}, {}]", "x-none: 1", true, true},
	} {
		doc := strings.NewReplacer("SECURITY", tt.document, "OPERATION: 1", tt.operation).Replace(secured)
		got, err := Parse([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if op := got.Paths[0].Operations[0]; op.APIKeyRequired != tt.key || op.SecurityGiven != tt.given {
			t.Errorf("%s: key required %v, security given %v; want %v, %v", tt.name, op.APIKeyRequired, op.SecurityGiven, tt.key, tt.given)
		} else if diff := cmp.Diff(map[string]Response{"200": {Models: map[string]string{"text/csv": "Row"}}}, op.Responses); diff != "" {
			t.Errorf("%s: responses (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Unsupported features in a document for one upstream are reported as warnings, once each.
func TestParseRoutesWarns(t *testing.T) {
	doc := strings.NewReplacer("SECURITY", "security: [{jwt: []}]\nx-amazon-apigateway-policy: {}\nx-amazon-apigateway-api-key-source: AUTHORIZER",
		"OPERATION: 1", "x-amazon-apigateway-integration: {type: aws_proxy, credentials: x}").Replace(secured) + "    put: {}\n"
	if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), "policy is not supported") {
		t.Errorf("Parse: %v, want an error about the policy", err)
	}
	got, err := ParseRoutes([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"x-amazon-apigateway-policy is not supported",
		`security scheme "jwt" is not supported; use an API key in the header x-api-key`,
		"x-amazon-apigateway-api-key-source AUTHORIZER is not supported; API keys are read from the header x-api-key",
	}
	if diff := cmp.Diff(want, got.Warnings); diff != "" || got.KeySource != "" {
		t.Errorf("key source %q, warnings (-want +got):\n%s", got.KeySource, diff)
	}
	if op := got.Paths[0].Operations[0]; len(got.Paths[0].Operations) != 2 || op.APIKeyRequired || op.Integration != nil {
		t.Errorf("operations %+v, want two without key and integration", got.Paths[0].Operations)
	}
	if _, err := ParseRoutes([]byte("openapi: 3.0.1\npaths: {/a: {}}")); err == nil || !strings.Contains(err.Error(), "no path with an operation") {
		t.Errorf("document without operations: %v", err)
	}
}

func TestSyntaxErrorsHaveLine(t *testing.T) {
	for doc, want := range map[string]string{
		"{\n\"openapi\": \"3.0.1\",\n,}":         "not valid JSON: line 3: ",
		"{\"openapi\": ":                         "not valid JSON: it ends too early",
		"openapi: 3.0.1\ninfo: {title: x\npaths": "not valid YAML: line ",
	} {
		if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want an error containing %q", doc, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("swagger: '2.0'\ninfo: {title: x}\npaths:\n  /{proxy+}:\n    x-amazon-apigateway-any-method: {x-amazon-apigateway-integration: {type: mock}}\n"))
	f.Add([]byte("a: &a [*a, {<<: *a}]"))
	f.Add([]byte("openapi: 3.0.1\ninfo: 1\npaths: {/: {get: 1}}"))
	f.Add([]byte("? [1]\n: !!binary x\n? 0x1f\n: .nan"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if (d == nil) == (err == nil) {
			t.Fatalf("document %v, error %v", d, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Fatalf("error has %d bytes", len(err.Error()))
		}
		routes, err := ParseRoutes(data)
		if (routes == nil) == (err == nil) {
			t.Fatalf("routes %v, error %v", routes, err)
		}
	})
}

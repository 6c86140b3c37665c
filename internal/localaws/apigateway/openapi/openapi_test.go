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
"paths":{"x-ignored":1,"/a/{id}":{"get":{"operationId":"op","security":[{"k":[]}],"x-amazon-apigateway-integration":
{"type":"http_proxy","httpMethod":"GET","uri":"http://h/","timeoutInMillis":50,"requestParameters":{"integration.request.path.id":"method.request.path.id"},
"requestTemplates":{"application/json":{"statusCode":204}},"responses":{"default":{"statusCode":204}}}}}}}`

func want() *Document {
	return &Document{
		Title: "T", Version: "1.10", BinaryMediaTypes: []string{"image/png"},
		Paths: []Path{{Path: "/a/{id}", Operations: []Operation{{
			Method: "GET", OperationID: "op", APIKeyRequired: true, PathParameters: map[string]bool{"method.request.path.id": true},
			Integration: &Integration{
				Type: "http_proxy", HTTPMethod: "GET", URI: "http://h/", TimeoutInMillis: 50,
				RequestParameters: map[string]string{"integration.request.path.id": "method.request.path.id"},
				RequestTemplates:  map[string]string{"application/json": `{"statusCode":204}`},
				Responses:         map[string]Response{"default": {StatusCode: "204"}},
			},
		}}}},
	}
}

func TestJSONAndYAMLReadAlike(t *testing.T) {
	asYAML := "# a comment\n" + strings.ReplaceAll(small, "\n", "\n  ")
	for name, doc := range map[string]string{"JSON": small, "YAML": asYAML, "JSON with a mark": "\ufeff" + small} {
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

func TestBoundsOfADocument(t *testing.T) {
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
			t.Errorf("%s: taken", name)
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
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
	})
}

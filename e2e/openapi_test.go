package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

const openapiPipeline = `name: routes
bucket: routes-logs
format: '{"request_id":"$context.requestId","key_id":"$context.identity.apiKeyId","api_id":"$context.apiId","stage":"$context.stage","resource":"$context.resourcePath","path":"$context.path","status":"$context.status"}'
deliver: {interval: 1s, compression: none}
local:
  apis: [{id: shop, upstream: %q, openapi: openapi.yaml, stages: [prod], api_key_required: false}]
  usage_plans:
    - {name: Gold, stages: [shop/prod], customers: [{name: Acme, key: %s}]}
`

const openapiDocument = `openapi: 3.0.3
info: {title: Shop}
components: {securitySchemes: {key: {type: apiKey, name: x-api-key, in: header}}}
security: [{key: []}]
paths:
  /orders/{id}: {get: {responses: {200: {description: OK}}}}
  /health: {get: {security: []}}
`

// An OpenAPI document defines the resource paths in the records, and its security the methods that require a key.
func TestOpenAPIDocumentRoutes(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	dir := t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	t.Cleanup(api.Close)
	write(t, dir, "stagelog.yaml", fmt.Sprintf(openapiPipeline, api.URL+"/v1", keyValue("acme")))
	write(t, dir, "openapi.yaml", openapiDocument)
	u := startUp(t, dir, cleanEnv())
	if status, body := get(t, u.Endpoints.Stages+"/shop/prod/orders/17", "x-api-key", keyValue("acme")); status != http.StatusOK || body != "/v1/orders/17" {
		t.Errorf("GET /orders/17 = %d %q, want the upstream's 200 for /v1/orders/17", status, body)
	}
	for path, want := range map[string]int{"/orders/18": http.StatusForbidden, "/health": http.StatusOK, "/other": http.StatusForbidden} {
		if status, _ := get(t, u.Endpoints.Stages+"/shop/prod"+path); status != want {
			t.Errorf("GET %s without a key = %d, want %d", path, status, want)
		}
	}
	admin := sdk(t, u, "stagelog")
	records := map[string]line{}
	eventually(t, "a record of each request", func() bool {
		for _, l := range admin.lines("routes-logs", "logs/") {
			records[l["path"]] = l
		}
		return len(records) >= 3
	})
	if l := records["/prod/orders/17"]; l["resource"] != "/orders/{id}" || l["customer"] != "Acme" {
		t.Errorf("the record of the keyed request is %v, want the resource /orders/{id} and the customer Acme", l)
	}
	if l := records["/prod/health"]; l["resource"] != "/health" {
		t.Errorf("the record of the open request is %v, want the resource /health", l)
	}

	// A changed document is used from the next start.
	if err := u.stop(syscall.SIGTERM); err != nil {
		t.Fatalf("stagelog up ended with %v", err)
	}
	write(t, dir, "openapi.yaml", openapiDocument+"  /other: {get: {security: []}}\n")
	u = startUp(t, dir, cleanEnv())
	if status, body := get(t, u.Endpoints.Stages+"/shop/prod/other"); status != http.StatusOK || body != "/v1/other" {
		t.Errorf("GET /other after adding it to the document = %d %q, want 200", status, body)
	}
}

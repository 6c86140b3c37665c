package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// echo answers with the request line as it came and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Upstream", "yes")
	_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(body))
}

func TestRequestProxiedAndLogged(t *testing.T) {
	b := newBench(t, Config{Account: "123456789012"}, http.HandlerFunc(echo))
	b.requireKeys()
	got := b.do(t, "POST", "/shop/prod/orders/7?a=1&b=%20x", strings.NewReader("hello"), "X-Api-Key", goodKey, "User-Agent", "test/1")
	if want := "POST /orders/7?a=1&b=%20x hello"; got.StatusCode != 200 || got.body != want {
		t.Errorf("answer %d %q, want 200 %q", got.StatusCode, got.body, want)
	}
	if got.Header.Get("X-Upstream") != "yes" {
		t.Error("the upstream's header is missing")
	}
	line := b.line(t, 1)
	for name, want := range map[string]string{
		"accountId": "123456789012", "apiId": "shop", "stage": "prod", "identity.apiKey": goodKey, "identity.apiKeyId": "k1",
		"path": "/prod/orders/7", "resourcePath": "/orders/{id}", "resourceId": "r_orders_id", "httpMethod": "POST",
		"status": "200", "responseLength": "31", "integration.status": "200", "identity.sourceIp": "127.0.0.1",
		"identity.userAgent": "test/1", "protocol": "HTTP/1.1", "domainName": "127.0.0.1", "domainPrefix": "127",
		"error.message": "-", "error.responseType": "-", "integration.error": "-", "wafResponseCode": "-", "tlsVersion": "-",
		"requestId": got.Header.Get("x-amzn-RequestId"), "extendedRequestId": got.Header.Get("x-amz-apigw-id"),
	} {
		if line[name] != want {
			t.Errorf("%s is %q, want %q", name, line[name], want)
		}
	}
	if used := b.used[usedKey("p1", "k1", b.gateway.cfg.Clock())]; used != 1 {
		t.Errorf("usage is %d, want 1", used)
	}
	want := Stats{Requests: 1, Lines: 1}
	if diff := cmp.Diff(want, b.gateway.Stats()); diff != "" {
		t.Error(diff)
	}
}

func TestGatewayResponses(t *testing.T) {
	type want struct {
		status                         int
		body, errorType, kind, message string
		keyID                          string
	}
	forbidden := want{403, `{"message":"Forbidden"}`, "ForbiddenException", "INVALID_API_KEY", "Forbidden", "-"}
	missing := want{403, `{"message":"Missing Authentication Token"}`, "MissingAuthenticationTokenException", "MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token", "-"}
	for _, c := range []struct {
		name, method, path string
		body               io.Reader
		header             []string
		setup              func(b *bench)
		want               want
	}{
		{name: "no key", path: "/orders/1", want: forbidden},
		{name: "empty key", path: "/orders/1", header: []string{"x-api-key", ""}, want: forbidden},
		{name: "wrong key", path: "/orders/1", header: []string{"x-api-key", "no-such-key"}, want: forbidden},
		{name: "disabled key", path: "/orders/1", header: []string{"x-api-key", goodKey}, want: forbidden,
			setup: func(b *bench) { b.keys[goodKey] = apigateway.KeyView{ID: "k1", Name: "Acme Corp"} }},
		{name: "key without a plan for this stage", path: "/orders/1", header: []string{"x-api-key", goodKey}, want: forbidden,
			setup: func(b *bench) { delete(b.plans, "k1") }},
		{name: "keys come from an authorizer", path: "/orders/1", header: []string{"x-api-key", goodKey}, want: forbidden,
			setup: func(b *bench) {
				b.setView(func(v *apigateway.StageView) { v.KeySource = apigateway.KeyFromAuthorizer })
			}},
		{name: "no such resource", path: "/nothing", header: []string{"x-api-key", goodKey}, want: missing},
		{name: "no such method", method: "DELETE", path: "/orders/1", header: []string{"x-api-key", goodKey}, want: missing},
		{name: "dot segments", path: "/orders/..%2f..%2fadmin", header: []string{"x-api-key", goodKey}, want: missing},
		{name: "throttled", path: "/orders/1", header: []string{"x-api-key", goodKey},
			setup: func(b *bench) {
				b.setPlan("k1", apigateway.PlanView{ID: "p1", Throttle: &apigateway.Throttle{Rate: 0, Burst: 0}})
			},
			want: want{429, `{"message":"Too Many Requests"}`, "TooManyRequestsException", "THROTTLED", "Too Many Requests", "k1"}},
		{name: "quota used up", path: "/orders/1", header: []string{"x-api-key", goodKey},
			setup: func(b *bench) {
				b.setPlan("k1", apigateway.PlanView{ID: "p1", Quota: &apigateway.Quota{Limit: 0, Period: apigateway.Day}})
			},
			want: want{429, `{"message":"Limit Exceeded"}`, "LimitExceededException", "QUOTA_EXCEEDED", "Limit Exceeded", "k1"}},
		{name: "body too long", method: "GET", path: "/orders/1", body: strings.NewReader(strings.Repeat("x", 101)),
			header: []string{"x-api-key", goodKey},
			want:   want{413, `{"message":"Request Too Long"}`, "RequestTooLongException", "REQUEST_TOO_LARGE", "Request Too Long", "k1"}},
		{name: "body too long, in chunks", method: "GET", path: "/orders/1", body: io.MultiReader(strings.NewReader(strings.Repeat("x", 101))),
			header: []string{"x-api-key", goodKey},
			want:   want{413, `{"message":"Request Too Long"}`, "RequestTooLongException", "REQUEST_TOO_LARGE", "Request Too Long", "k1"}},
		{name: "a host that a caller could choose", path: "/open/evil.example", header: []string{"x-api-key", goodKey},
			want: want{500, `{"message": "Internal server error"}`, "InternalServerErrorException", "API_CONFIGURATION_ERROR", "Internal server error", "k1"}},
		{name: "upstream down", path: "/down", header: []string{"x-api-key", goodKey},
			want: want{502, `{"message": "Internal server error"}`, "InternalServerErrorException", "INTEGRATION_FAILURE", "Internal server error", "k1"}},
		{name: "a panic of ours", path: "/orders/1", header: []string{"x-api-key", goodKey}, setup: func(b *bench) { b.panic = true },
			want: want{500, `{"message": "Internal server error"}`, "InternalServerErrorException", "DEFAULT_5XX", "Internal server error", "-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{MaxBodyBytes: 100}, http.HandlerFunc(echo),
				newRoute("/orders/{id}", "GET", "UPSTREAM/orders/{id}"), newRoute("/open/{host}", "GET", "http://{host}/"),
				newRoute("/down", "GET", "http://127.0.0.1:1/"))
			b.requireKeys()
			if c.setup != nil {
				c.setup(b)
			}
			method := c.method
			if method == "" {
				method = "GET"
			}
			res := b.do(t, method, "/shop/prod"+c.path, c.body, c.header...)
			line := b.line(t, 1)
			got := want{res.StatusCode, res.body, res.Header.Get("x-amzn-ErrorType"), line["error.responseType"], line["error.message"], line["identity.apiKeyId"]}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Error(diff)
			}
			if ct := res.Header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
			if res.Header.Get("x-amz-apigw-id") == "" || res.Header.Get("x-amzn-RequestId") != line["requestId"] {
				t.Errorf("ids %q %q", res.Header.Get("x-amz-apigw-id"), res.Header.Get("x-amzn-RequestId"))
			}
			if line["status"] != res.Status[:3] || line["responseLength"] != res.Header.Get("Content-Length") {
				t.Errorf("logged status %s length %s", line["status"], line["responseLength"])
			}
			if s := b.gateway.Stats(); s.Requests != 1 || s.Lines != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestUnknownStageForbiddenAndNotLogged(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	for _, path := range []string{"/", "/shop", "/shop/", "/shop/dev/orders/1", "/other/prod/orders/1", "//", "/prod/shop"} {
		got := b.do(t, "GET", path, nil)
		if got.StatusCode != 403 || got.body != `{"message":"Forbidden"}` || got.Header.Get("x-amzn-ErrorType") != "ForbiddenException" {
			t.Errorf("GET %s: %d %q %q", path, got.StatusCode, got.body, got.Header.Get("x-amzn-ErrorType"))
		}
	}
	if s := b.gateway.Stats(); s != (Stats{Unrouted: 7}) {
		t.Errorf("stats %+v, want 7 unrouted alone", s)
	}
}

func TestResourceMatching(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo),
		newRoute("/", "GET", "UPSTREAM/root"), newRoute("/pets", "GET", "UPSTREAM/pets"), newRoute("/pets/{id}", "GET,ANY", "UPSTREAM/pet/{id}"),
		newRoute("/pets/{id}/toys/{toy}", "GET", "UPSTREAM/toy/{toy}/of/{id}?who={id}"), newRoute("/pets/mine", "GET", "UPSTREAM/mine"),
		newRoute("/files/{proxy+}", "ANY", "UPSTREAM/base/{proxy}"), newRoute("/{proxy+}", "POST", "UPSTREAM/all/{proxy}"))
	for _, c := range []struct{ method, path, resource, upstream string }{
		{"GET", "", "/", "/root"},
		{"GET", "/", "/", "/root"},
		{"GET", "/pets", "/pets", "/pets"},
		{"GET", "/pets/", "/pets", "/pets"},
		{"GET", "//pets", "/pets", "/pets"},
		{"GET", "/p%65ts", "/pets", "/pets"},
		{"GET", "/pets/1", "/pets/{id}", "/pet/1"},
		{"PUT", "/pets/1", "/pets/{id}", "/pet/1"},
		{"GET", "/pets/mine", "/pets/mine", "/mine"},
		{"PUT", "/pets/mine", "-", ""}, // the resource is chosen by the path alone
		{"GET", "/pets/a%2Fb", "/pets/{id}", "/pet/a%2Fb"},
		{"GET", "/pets/%C3%A4%20b", "/pets/{id}", "/pet/%C3%A4%20b"},
		{"GET", "/pets/1/toys/b?x=1", "/pets/{id}/toys/{toy}", "/toy/b/of/1?who=1&x=1"},
		{"GET", "/pets/1%26y=2/toys/b", "/pets/{id}/toys/{toy}", "/toy/b/of/1%26y=2?who=1%26y%3D2"},
		{"GET", "/pets/mine/toys/b", "/pets/{id}/toys/{toy}", "/toy/b/of/mine?who=mine"},
		{"GET", "/files", "-", ""},
		{"GET", "/files/a//b/c.txt", "/files/{proxy+}", "/base/a//b/c.txt"},
		{"GET", "/files/a/", "/files/{proxy+}", "/base/a/"},
		{"DELETE", "/files/a%2F%2e%2eb?q=%zz;1", "/files/{proxy+}", "/base/a%2F%2e%2eb?q=%zz;1"},
		{"GET", "/files/a/../../admin", "-", ""},
		{"GET", "/files/a/%2e%2E/x", "-", ""},
		{"GET", "/files/a%5c..%5cx", "-", ""},
		{"GET", "/pets/1/toys", "-", ""},
		{"POST", "/pets/1/toys", "/{proxy+}", "/all/pets/1/toys"},
		{"GET", "/other", "-", ""},
		{"PROPFIND", "/files/a", "-", ""}, // ANY stands for seven methods
	} {
		before := int(b.gateway.Stats().Lines)
		got := b.do(t, c.method, "/shop/prod"+c.path, nil)
		line := b.line(t, before+1)
		if line["resourcePath"] != c.resource {
			t.Errorf("%s %s: resource %s, want %s", c.method, c.path, line["resourcePath"], c.resource)
			continue
		}
		if want := c.method + " " + c.upstream + " "; c.upstream != "" && got.body != want {
			t.Errorf("%s %s: upstream got %q, want %q", c.method, c.path, got.body, want)
		}
		if c.upstream == "" && (got.StatusCode != 403 || got.body != `{"message":"Missing Authentication Token"}`) {
			t.Errorf("%s %s: %d %q", c.method, c.path, got.StatusCode, got.body)
		}
	}
}

func TestStageFoundByHost(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	for _, c := range []struct {
		host, path, upstream, domain, prefix string
	}{
		{"shop.execute-api.us-east-1.amazonaws.com", "/prod/orders/1", "/orders/1", "shop.execute-api.us-east-1.amazonaws.com", "shop"},
		{"SHOP.execute-api.localhost:8080", "/prod/orders/1", "/orders/1", "SHOP.execute-api.localhost", "SHOP"},
		{"shop.execute-api", "/prod", "/", "shop.execute-api", "shop"},
		{"localhost:8080", "/shop/prod/orders/1", "/orders/1", "localhost", "localhost"},
		{"[::1]:8080", "/shop/prod/orders/1", "/orders/1", "::1", "::1"},
		{"shop.execute-apis.example", "/shop/prod/x", "/x", "shop.execute-apis.example", "shop"},
	} {
		before := int(b.gateway.Stats().Lines)
		got := b.do(t, "GET", c.path, nil, "Host", c.host)
		if want := "GET " + c.upstream + " "; got.body != want {
			t.Errorf("%s%s: %d %q, want %q", c.host, c.path, got.StatusCode, got.body, want)
			continue
		}
		line := b.line(t, before+1)
		if !strings.HasPrefix(line["path"], "/prod") || line["domainName"] != c.domain || line["domainPrefix"] != c.prefix {
			t.Errorf("%s%s: path %s domain %s prefix %s", c.host, c.path, line["path"], line["domainName"], line["domainPrefix"])
		}
	}
	if got := b.do(t, "GET", "/shop/prod/x", nil, "Host", "other.execute-api.local"); got.StatusCode != 403 {
		t.Errorf("another API's host reaches shop: %d", got.StatusCode)
	}
}

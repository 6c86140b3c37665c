package gateway

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// FuzzRequest holds for every request that net/http takes: one answer with ids, and for a known
// stage one line that an independent parser reads back as the very values of the request.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{
		"/shop/prod/x", "/shop/prod/../../x", "/shop/prod//a//b/", "//shop//prod//x", "/shop/prod/%2e%2e%2f%00", "/shop/prod/a%zz", "*",
		"http://other/shop/prod/x?y#z", `/shop/prod/"\`, "/shop/prod?x", "/shop", "/", "/shop/prod/ä\xff", "/sh%6fp/prod/x",
	} {
		f.Add("GET "+target+" HTTP/1.1\r\nHost: shop\r\nUser-Agent: \"\\\xff\t“\r\n\r\n", goodKey)
	}
	f.Add("POST /prod/x HTTP/1.1\r\nHost: shop.execute-api.:80\r\nX-Amzn-Requestid: \"}\r\nContent-Length: 99999999\r\n\r\n", "")
	f.Add("OPTIONS * HTTP/1.1\r\nHost: shop.execute-api\r\nTransfer-Encoding: chunked\r\n\r\n", "")
	c := newControl()
	route := newRoute("/{proxy+}", "ANY", "")
	route.Methods["ANY"] = apigateway.Method{HTTPMethod: "ANY", Integration: apigateway.Integration{Type: apigateway.Mock, Mock: apigateway.MockAnswer{Status: 200, Body: "ok"}}}
	c.views[shopProd] = &apigateway.StageView{APIID: "shop", Stage: "prod", AccessLog: apigateway.AccessLog{DestinationARN: testARN, Format: fullFormat()}, Routes: []apigateway.Route{route}}
	f.Fuzz(func(t *testing.T, request, key string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
		if err != nil {
			return
		}
		r.Header.Set("X-Api-Key", key)
		lines := newSinkLines()
		g, err := New(Config{}, c, lines)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Header().Get("x-amzn-RequestId") == "" || w.Header().Get("x-amz-apigw-id") == "" || !json.Valid(w.Body.Bytes()) && w.Body.String() != "ok" && r.Method != http.MethodHead {
			t.Errorf("answer %d %q %v", w.Code, w.Body, w.Header())
		}
		if s := g.Stats(); s.Requests+s.Unrouted != 1 || int(s.Lines) != len(lines.lines) || s.Lines != s.Requests {
			t.Fatalf("%+v, %d lines", s, len(lines.lines))
		}
		if len(lines.lines) == 0 {
			return
		}
		line := decode(t, lines.lines[0])
		path, agent := line["path"], line["identity.userAgent"]
		if !strings.HasPrefix(path, "/prod") || !strings.HasSuffix(r.URL.EscapedPath(), path) {
			t.Errorf("path %q of %q", path, r.URL.EscapedPath())
		}
		want := string([]rune(r.UserAgent())) // each byte that is not UTF-8 becomes U+FFFD
		if want == "" {
			want = "-"
		}
		if agent != want || line["status"] != w.Result().Status[:3] || line["apiId"] != "shop" {
			t.Errorf("user agent %q, want %q; line %v", agent, want, line)
		}
	})
}

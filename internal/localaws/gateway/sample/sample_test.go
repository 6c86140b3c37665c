package sample

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSampleResponsesAreDeterministic(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"GET", "/", "", 200, `"service":"orders"`},
		{"GET", "/orders", "", 200, `{"orders":[{"id":1,`},
		{"GET", "/orders/7", "", 200, `{"id":7,"customer":"c1","item":"lamp","quantity":4,"cents":2000,"status":"paid"}`},
		{"GET", "/orders/0", "", 404, `no such order`},
		{"GET", "/orders/x", "", 404, `no such order`},
		{"POST", "/orders", `{"item":"rope","id":3}`, 201, `{"id":51,"item":"rope"}`},
		{"POST", "/orders", `[1]`, 400, `not a JSON object`},
		{"POST", "/orders", `null`, 400, `not a JSON object`},
		{"POST", "/orders", `"` + strings.Repeat("x", MaxOrderBytes) + `"`, 413, `too long`},
		{"GET", "/slow?ms=1", "", 200, `{"waited_ms":1}`},
		{"GET", "/fail", "", 500, `always fails`},
		{"GET", "/fail?status=503", "", 503, `always fails`},
		{"GET", "/fail?status=200", "", 500, `always fails`},
		{"GET", "/nothing", "", 404, `no such path`},
	} {
		var first string
		for range 2 {
			w := httptest.NewRecorder()
			Handler().ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
			got := w.Body.String()
			if w.Code != c.status || !strings.Contains(got, c.contains) || !json.Valid([]byte(got)) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, got)
			}
			if first == "" {
				first = got
			} else if got != first {
				t.Errorf("%s %s: %s, then %s", c.method, c.path, first, got)
			}
		}
	}
}

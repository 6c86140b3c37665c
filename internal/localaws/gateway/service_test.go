package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

// openService is the real control API with what local says, and the access log of shop/prod on.
func openService(t testing.TB, clock func() time.Time, local apigateway.Local, format string) *apigateway.Service {
	t.Helper()
	s, err := apigateway.Open(t.Context(), apigateway.Config{Clock: clock}, &recordtest.Store{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ApplyLocal(t.Context(), local); err != nil {
		t.Fatal(err)
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	patch, err := json.Marshal(map[string][]operation{"patchOperations": {
		{"replace", "/accessLogSettings/destinationArn", testARN}, {"replace", "/accessLogSettings/format", format},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPatch, "/restapis/shop/stages/prod", bytes.NewReader(patch)))
	if w.Code != http.StatusOK {
		t.Fatalf("UpdateStage: %d %s", w.Code, w.Body)
	}
	return s
}

// The gateway over the real control API: what it serves, what it refuses, and what it counts.
func TestOverTheControlAPI(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(echo))
	defer upstream.Close()
	clock := &manual{now: time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)}
	const small, big = "small-key-small-key-small", "big-key-big-key-big-key-big"
	service := openService(t, clock.Now, apigateway.Local{
		APIs: []apigateway.LocalAPI{{ID: "shop", Upstream: upstream.URL + "/base", Stages: []string{"prod"}, APIKeyRequired: true}},
		Plans: []apigateway.LocalPlan{
			{Name: "Small", Stages: []record.StageRef{shopProd}, Quota: &apigateway.Quota{Limit: 2, Period: apigateway.Month},
				Customers: []apigateway.LocalCustomer{{Name: "Initech", ID: "initech", Value: small}}},
			{Name: "Big", Stages: []record.StageRef{shopProd}, Throttle: &apigateway.Throttle{Rate: 1, Burst: 3},
				Customers: []apigateway.LocalCustomer{{Name: "Acme", ID: "acme", Value: big}}},
		},
	}, fullFormat())
	lines := newSinkLines()
	g, err := New(Config{Clock: clock.Now}, service, lines)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	defer server.Close()
	b := &bench{gateway: g, lines: lines, url: server.URL, client: server.Client()}
	if got := b.do(t, "GET", "/shop/prod/orders/7?x=1", nil, "X-Api-Key", big); got.body != "GET /base/orders/7?x=1 " {
		t.Errorf("answer %d %q", got.StatusCode, got.body)
	}
	for _, c := range []struct{ what, key, want string }{
		{"quota", small, "200 200 quota quota"}, {"throttle", big, "200 200 throttle"}, {"unknown", "no-such-key-no-such-key", "403"},
	} {
		if got := b.codes(t, len(strings.Fields(c.want)), "GET", "/x", c.key); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	clock.Add(time.Hour) // a new month
	if got := b.codes(t, 3, "GET", "/", small); got != "200 200 quota" {
		t.Errorf("in the new month: %s", got)
	}
	for keyID, want := range map[string]int64{"initech": 4, "acme": 3} {
		plan, ok := service.PlanFor(keyID, "shop", "prod")
		if used := service.Used(plan.ID, keyID, clock.Now().AddDate(0, 0, -1), clock.Now()); !ok || used != want {
			t.Errorf("%s: usage %d, want %d", keyID, used, want)
		}
	}
	if line := b.line(t, 4); line["status"] != "429" || line["identity.apiKeyId"] != "initech" || line["error.responseType"] != "QUOTA_EXCEEDED" || line["identity.apiKey"] != small {
		t.Errorf("line %v", line)
	}
	if s := g.Stats(); s.Requests != 12 || len(lines.wait(12)) != 12 {
		t.Errorf("stats %+v", s)
	}
}

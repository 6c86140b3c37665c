package usageplan_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/stagelog/stagelog/internal/usageplan"
)

// secret is part of every key's value and must not appear anywhere.
const secret = "SECRET-VALUE-OF-A-KEY"

type fakeKey struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
	Type  string `json:"type"`
	plans []string
}

type fakeStage struct {
	APIID string `json:"apiId"`
	Stage string `json:"stage"`
}

type fakePlan struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	APIStages []fakeStage `json:"apiStages"`
}

// fakeGateway implements the calls of API Gateway's control API that the index uses: by default it
// pages by 25, omits unset names, and returns key values.
type fakeGateway struct {
	mu      sync.Mutex
	plans   []fakePlan
	keys    []fakeKey
	calls   []string
	before  func(w http.ResponseWriter, r *http.Request) bool // false if it has responded
	maxPage int
}

func (g *fakeGateway) plan(id, name string, stages ...string) {
	p := fakePlan{ID: id, Name: name, APIStages: []fakeStage{}}
	for _, s := range stages {
		api, stage, _ := strings.Cut(s, "/")
		p.APIStages = append(p.APIStages, fakeStage{api, stage})
	}
	g.change(func() { g.plans = append(g.plans, p) })
}

func (g *fakeGateway) key(id, name string, plans ...string) {
	g.change(func() { g.keys = append(g.keys, fakeKey{id, name, secret + id, "API_KEY", plans}) })
}

func (g *fakeGateway) deleteKey(id string) {
	g.change(func() { g.keys = slices.DeleteFunc(g.keys, func(k fakeKey) bool { return k.ID == id }) })
}

func (g *fakeGateway) intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	g.change(func() { g.before = f })
}

func (g *fakeGateway) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// count returns the number of calls since the last count.
func (g *fakeGateway) count() (n int) {
	g.change(func() { n, g.calls = len(g.calls), nil })
	return n
}

func (g *fakeGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.calls = append(g.calls, r.URL.String())
	before := g.before
	g.mu.Unlock()
	if auth := r.Header.Get("Authorization"); !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") ||
		!strings.Contains(auth, "/us-east-1/apigateway/aws4_request") || r.Header.Get("Accept") != "application/json" {
		http.Error(w, `{"message":"Missing Authentication Token"}`, http.StatusForbidden)
		return
	}
	if before != nil && !before(w, r) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) == 1 && parts[0] == "usageplans":
		g.page(w, r, filter(g.plans, func(p fakePlan) bool { return g.holds(p.ID, r.URL.Query()) }))
	case len(parts) == 3 && parts[2] == "keys":
		g.page(w, r, filter(g.keys, func(k fakeKey) bool { return slices.Contains(k.plans, parts[1]) }))
	case len(parts) == 2 && parts[0] == "apikeys":
		i := slices.IndexFunc(g.keys, func(k fakeKey) bool { return k.ID == parts[1] })
		if i < 0 {
			w.Header().Set("X-Amzn-Errortype", "NotFoundException")
			http.Error(w, `{"message":"Invalid API Key identifier specified"}`, http.StatusNotFound)
			return
		}
		writeJSON(w, g.keys[i])
	default:
		http.NotFound(w, r)
	}
}

// holds reports whether the query, which may be for one key, matches this plan.
func (g *fakeGateway) holds(planID string, query url.Values) bool {
	id := query.Get("keyId")
	return id == "" || slices.ContainsFunc(g.keys, func(k fakeKey) bool { return k.ID == id && slices.Contains(k.plans, planID) })
}

func (g *fakeGateway) page(w http.ResponseWriter, r *http.Request, items []any) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if limit <= 0 {
		limit = 25
	}
	limit = min(limit, cmp.Or(g.maxPage, 500))
	from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("position"), "at="))
	to := min(from+limit, len(items))
	answer := map[string]any{"item": items[from:to]}
	if to < len(items) {
		answer["position"] = fmt.Sprintf("at=%d", to)
	}
	writeJSON(w, answer)
}

func filter[T any](all []T, keep func(T) bool) (kept []any) {
	for _, v := range all {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (g *fakeGateway) client() *http.Client { return handlerClient(g) }

// handlerClient calls a handler without a network, for tests with a fake clock.
func handlerClient(h http.Handler) *http.Client { return &http.Client{Transport: direct{h}} }

type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

var credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, nil
})

func newSource(t testing.TB, g *fakeGateway, change func(*usageplan.APIConfig)) *usageplan.APISource {
	t.Helper()
	cfg := usageplan.APIConfig{Endpoint: "http://gateway.invalid", Credentials: credentials, HTTPClient: g.client()}
	if change != nil {
		change(&cfg)
	}
	s, err := usageplan.NewAPISource(cfg)
	if err != nil {
		t.Fatalf("NewAPISource: %v", err)
	}
	return s
}

func newIndex(t testing.TB, source usageplan.Source, change func(*usageplan.Config)) *usageplan.Index {
	t.Helper()
	cfg := usageplan.Config{Source: source}
	if change != nil {
		change(&cfg)
	}
	d, err := usageplan.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return d
}

// who looks up a key and returns "plan/customer", or "unknown".
func who(d *usageplan.Index, key, api, stage string) string {
	plan, _, customer, known := d.Lookup([]byte(key), []byte(api), []byte(stage))
	if !known {
		return "unknown"
	}
	return plan + "/" + customer
}

func wantWho(t *testing.T, d *usageplan.Index, key, stage, want string) {
	t.Helper()
	if got := who(d, key, "shop", stage); got != want {
		t.Errorf("Lookup(%s, shop, %s) = %s, want %s", key, stage, got, want)
	}
}

// pass advances the fake clock and waits for everything that becomes due.
func pass(d time.Duration) {
	pause(d)
	synctest.Wait()
}

// pause advances the fake clock within a call.
func pause(d time.Duration) { <-time.After(d) }

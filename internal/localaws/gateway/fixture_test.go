package gateway

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	testStream = "amazon-apigateway-test"
	testARN    = "arn:aws:firehose:us-east-1:000000000000:deliverystream/" + testStream
	goodKey    = "good-key-good-key-good-key"
)

// control is a Runtime whose state is given.
type control struct {
	mu    sync.Mutex // guards all below
	views map[record.StageRef]*apigateway.StageView
	keys  map[string]apigateway.KeyView
	plans map[string]map[record.StageRef]apigateway.PlanView // by key id
	used  map[string]int64                                   // by plan/key/day
	panic bool                                               // in PlanFor
}

func newControl() *control {
	return &control{
		views: map[record.StageRef]*apigateway.StageView{}, keys: map[string]apigateway.KeyView{},
		plans: map[string]map[record.StageRef]apigateway.PlanView{}, used: map[string]int64{},
	}
}

func (c *control) Route(api, stage string) (*apigateway.StageView, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.views[record.StageRef{API: api, Stage: stage}]
	return v, ok
}

func (c *control) Key(value string) (apigateway.KeyView, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.keys[value]
	return k, ok
}

func (c *control) PlanFor(keyID, api, stage string) (apigateway.PlanView, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.panic {
		panic("the test's panic")
	}
	p, ok := c.plans[keyID][record.StageRef{API: api, Stage: stage}]
	return p, ok
}

func usedKey(planID, keyID string, day time.Time) string {
	return planID + "/" + keyID + "/" + day.UTC().Format(time.DateOnly)
}

func (c *control) Take(planID, keyID string, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, plans := range c.plans {
		for _, p := range plans {
			if p.ID == planID && p.Quota != nil {
				var n int64
				for day := p.Quota.Start(at); !day.After(at); day = day.AddDate(0, 0, 1) {
					n += c.used[usedKey(planID, keyID, day)]
				}
				if n >= p.Quota.Limit-int64(p.Quota.Offset) {
					return false
				}
			}
		}
	}
	c.used[usedKey(planID, keyID, at)]++
	return true
}

func (c *control) Count(planID, keyID string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[usedKey(planID, keyID, at)]++
}

func (c *control) Used(planID, keyID string, from, to time.Time) (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for day := from.UTC(); !day.After(to); day = day.AddDate(0, 0, 1) {
		n += c.used[usedKey(planID, keyID, day)]
	}
	return n
}

// sinkLines keeps the lines, and lets a test wait for them: a line is written after the client
// has its answer.
type sinkLines struct {
	mu    sync.Mutex // guards lines
	lines []string
	more  chan struct{}
}

func newSinkLines() *sinkLines { return &sinkLines{more: make(chan struct{}, 1<<16)} }

func (s *sinkLines) Log(stream string, line []byte) {
	if stream != testStream {
		panic("BUG: line for " + stream)
	}
	s.mu.Lock()
	s.lines = append(s.lines, string(line))
	s.mu.Unlock()
	s.more <- struct{}{}
}

// wait returns the first n lines. A missing one is a test that hangs until its deadline.
func (s *sinkLines) wait(n int) []string {
	for {
		s.mu.Lock()
		if len(s.lines) >= n {
			defer s.mu.Unlock()
			return s.lines
		}
		s.mu.Unlock()
		<-s.more
	}
}

// fullFormat names every variable that has a slot, and one that has none.
var fullFormat = sync.OnceValue(func() string {
	fields := map[string]string{}
	for _, v := range []string{
		"accountId", "apiId", "identity.apiKey", "identity.apiKeyId", "cipherSuite", "domainName", "domainPrefix", "error.message",
		"error.responseType", "extendedRequestId", "httpMethod", "integration.error", "integration.latency",
		"integration.status", "integration.timeToAllHeaders", "path", "protocol", "requestId", "requestTime", "requestTimeEpoch",
		"resourceId", "resourcePath", "responseLatency", "responseLength", "identity.sourceIp", "stage", "status", "tlsVersion",
		"identity.userAgent", "wafResponseCode",
	} {
		fields[v] = "$context." + v
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(text) + "\n"
})

func decode(t *testing.T, line string) map[string]string {
	t.Helper()
	if !strings.HasSuffix(line, "\n") || strings.Count(line, "\n") != 1 {
		t.Fatalf("not one line: %q", line)
	}
	dec := json.NewDecoder(strings.NewReader(line))
	fields := map[string]string{}
	if err := dec.Decode(&fields); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	return fields
}

// bench is a stage over an upstream, behind a real server.
type bench struct {
	*control
	gateway *Gateway
	lines   *sinkLines
	url     string // of the server
	client  *http.Client
}

// newBench serves upstream as API shop, stage prod: the resources are given as path -> methods,
// each passing the path on. goodKey is Acme's, on plan gold.
func newBench(t testing.TB, cfg Config, upstream http.Handler, routes ...apigateway.Route) *bench {
	t.Helper()
	up := httptest.NewServer(upstream)
	t.Cleanup(up.Close)
	b := &bench{control: newControl(), lines: newSinkLines()}
	if len(routes) == 0 {
		routes = []apigateway.Route{
			newRoute("/", "ANY", up.URL+"/"),
			newRoute("/orders/{id}", "ANY", up.URL+"/orders/{id}"),
			newRoute("/{proxy+}", "ANY", up.URL+"/{proxy}"),
		}
	}
	for i := range routes {
		for name, m := range routes[i].Methods {
			m.Integration.URI = strings.ReplaceAll(m.Integration.URI, "UPSTREAM", up.URL)
			routes[i].Methods[name] = m
		}
	}
	b.views[shopProd] = &apigateway.StageView{
		APIID: "shop", APIName: "Shop", Stage: "prod", DeploymentID: "d1", KeySource: apigateway.KeyFromHeader,
		AccessLog: apigateway.AccessLog{DestinationARN: testARN, Format: fullFormat()}, Routes: routes,
	}
	b.keys[goodKey] = apigateway.KeyView{ID: "k1", Name: "Acme Corp", Enabled: true}
	b.setPlan("k1", apigateway.PlanView{ID: "p1", Name: "Gold"})
	g, err := New(cfg, b.control, b.lines)
	if err != nil {
		t.Fatal(err)
	}
	b.gateway = g
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.client = &http.Client{Transport: &http.Transport{DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(b.client.CloseIdleConnections)
	return b
}

var shopProd = record.StageRef{API: "shop", Stage: "prod"}

// setView changes the stage as a new deployment does.
func (b *bench) setView(change func(v *apigateway.StageView)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := *b.views[shopProd]
	v.Routes = append([]apigateway.Route(nil), v.Routes...)
	for i := range v.Routes {
		v.Routes[i].Methods = maps.Clone(v.Routes[i].Methods)
	}
	change(&v)
	b.views[shopProd] = &v
}

// eachMethod changes every method of a view.
func eachMethod(v *apigateway.StageView, change func(m *apigateway.Method)) {
	for _, r := range v.Routes {
		for name, m := range r.Methods {
			change(&m)
			r.Methods[name] = m
		}
	}
}

func (b *bench) requireKeys() {
	b.setView(func(v *apigateway.StageView) { eachMethod(v, func(m *apigateway.Method) { m.APIKeyRequired = true }) })
}

func (b *bench) setPlan(keyID string, p apigateway.PlanView) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plans[keyID] = map[record.StageRef]apigateway.PlanView{shopProd: p}
}

func newRoute(path, method, uri string) apigateway.Route {
	r := apigateway.Route{ResourceID: "r" + strings.NewReplacer("/", "_", "{", "", "}", "", "+", "").Replace(path), Path: path}
	params := map[string]string{}
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		name, isParam := strings.CutPrefix(part, "{")
		name = strings.TrimSuffix(name, "}")
		name, greedy := strings.CutSuffix(name, "+")
		switch {
		case part == "":
		case isParam:
			r.Segments = append(r.Segments, apigateway.Segment{Param: name, Greedy: greedy})
			params[name] = name
		default:
			r.Segments = append(r.Segments, apigateway.Segment{Literal: part})
		}
	}
	r.Methods = map[string]apigateway.Method{}
	for _, m := range strings.Split(method, ",") {
		r.Methods[m] = apigateway.Method{HTTPMethod: m, Integration: apigateway.Integration{
			Type: apigateway.HTTPProxy, HTTPMethod: "ANY", URI: uri, Params: params,
		}}
	}
	return r
}

// answer is an answer read whole.
type answer struct {
	*http.Response
	body string
}

func (b *bench) do(t testing.TB, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, b.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return answer{res, string(text)}
}

// line is the fields of the nth log line, from 1.
func (b *bench) line(t *testing.T, n int) map[string]string {
	t.Helper()
	return decode(t, b.lines.wait(n)[n-1])
}

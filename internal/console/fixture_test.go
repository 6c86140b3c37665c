package console

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"
	"golang.org/x/net/html"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/sandbox"
)

// testNow is the current time in tests.
var testNow = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// row is a request in a test's lake; nil is NULL.
type row struct {
	duplicate                         bool
	time                              time.Time
	id, api, stage, key, customer     any
	plan, planID, method, route, path any
	status, latency, bytes            any
	ip, agent, error, extra           any
}

// TestMain runs the SQL of the page in processes of this test binary.
func TestMain(m *testing.M) {
	if os.Getenv(sandbox.Variable) != "" {
		os.Exit(sandbox.Child(context.Background(), os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// newLake returns a lake with these requests.
func newLake(t testing.TB, rows ...row) *lake.Lake {
	t.Helper()
	l := emptyLake(t)
	if _, err := l.DB().Exec("INSERT INTO objects (id, bucket, key, etag, size, modified, imported, lines, bad, other, repaired) VALUES (1, 'acme-api-logs', 'logs/2026/03/14/15/one.gz', 'e', 10, now(), now(), 1, 0, 0, 0)"); err != nil {
		t.Fatal(err)
	}
	appendRows(t, l.DB(), rows)
	return l
}

func emptyLake(t testing.TB) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), filepath.Join(t.TempDir(), "lake.duckdb"), lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// appendRows writes the requests in one batch, as thousands of INSERT statements take seconds.
func appendRows(t testing.TB, db *sql.DB, rows []row) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		to, err := duckdb.NewAppenderWithColumns(c.(driver.Conn), "", "", "request_rows", []string{
			"object", "line", "duplicate", "time", "request_id", "api_id", "stage", "key_id", "customer", "usage_plan", "usage_plan_id",
			"method", "route", "path", "status", "latency", "bytes", "ip", "user_agent", "error", "extra"})
		if err != nil {
			return err
		}
		for i, r := range rows {
			if err := to.AppendRow(1, i+1, r.duplicate, r.time, r.id, r.api, r.stage, r.key, r.customer, r.plan, r.planID,
				r.method, r.route, r.path, r.status, r.latency, r.bytes, r.ip, r.agent, r.error, r.extra); err != nil {
				return errors.Join(fmt.Errorf("row %d: %w", i, err), to.Close())
			}
		}
		return to.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// randomRows returns requests of the two days before testNow, some of them duplicates or without values.
func randomRows(seed uint64, n int) []row {
	r := rand.New(rand.NewPCG(seed, 1))
	names := []string{"Acme Corp", "Globex", "Initech", "Umbrella Logistics", "Stark Industries", "Wayne Enterprises", "Hooli", "Vehement Capital", "Massive Dynamic", "Soylent", "Cyberdyne"}
	plans := []string{"Gold", "Silver", "Bronze", "Trial"}
	routes := []string{"/orders", "/orders/{id}", "/orders/{id}/items", "/customers/{id}", "/search", "/products/{sku}/availability", "/invoices", "/health", "/reports/{year}/{month}"}
	all := make([]row, n)
	for i := range all {
		c := min(r.IntN(len(names)), r.IntN(len(names)))
		route := routes[min(r.IntN(len(routes)), r.IntN(len(routes)))]
		at := testNow.Add(-time.Duration(r.Int64N(int64(48 * time.Hour)))).Truncate(time.Millisecond)
		q := row{
			time: at, id: fmt.Sprintf("req-%d", i), api: []string{"shop", "billing", "a1b2c3d4e5"}[r.IntN(3)], stage: []string{"prod", "prod", "dev"}[r.IntN(3)],
			key: fmt.Sprintf("key%03d", c), customer: names[c], plan: plans[c%4], planID: fmt.Sprintf("plan%d", c%4),
			method: []string{"GET", "GET", "GET", "POST", "DELETE"}[r.IntN(5)], route: route, path: strings.NewReplacer("{id}", fmt.Sprint(r.IntN(9000)), "{sku}", "B-77", "{year}", "2026", "{month}", "02").Replace(route),
			status: 200, latency: 4 + r.IntN(60), bytes: 200 + r.IntN(20000), ip: fmt.Sprintf("192.0.2.%d", r.IntN(250)), agent: "curl/8.5.0",
		}
		switch k := r.IntN(100); {
		case k < 3:
			q.status, q.error, q.latency = []any{500, 502, 504}[r.IntN(3)], "Internal server error", 900+r.IntN(3000)
		case k < 9:
			q.status = []any{404, 403, 429}[r.IntN(3)]
			q.error = map[any]any{404: "Not Found", 403: "Forbidden", 429: "Limit Exceeded"}[q.status]
		case k < 12:
			q.status = 304
		case k < 13:
			q.key, q.customer, q.plan, q.planID = nil, nil, nil, nil
		case k < 14:
			q.status, q.latency, q.bytes = nil, nil, nil
		case k < 18:
			q.latency = 150 + r.IntN(700)
		}
		if r.IntN(40) == 0 && i > 0 {
			q = all[i-1]
			q.duplicate = true
		}
		all[i] = q
	}
	return all
}

func config(l *lake.Lake) Config {
	return Config{Lake: func(context.Context) (*lake.Lake, error) { return l, nil }, Now: func() time.Time { return testNow }, Title: "acme"}
}

// get sends a GET request for a path to a handler.
func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
	return w
}

// pageAt gets a page, which must exist, and parses it.
func pageAt(t *testing.T, h http.Handler, path string) *html.Node {
	t.Helper()
	w := get(h, path)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: got %d, want 200: %s", path, w.Code, w.Body)
	}
	return parse(t, w.Body.String())
}

func parse(t *testing.T, body string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// text returns the text of a node, with single spaces.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// find returns the nodes with a tag and, unless it is "", a class.
func find(n *html.Node, tag, class string) []*html.Node {
	var all []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == tag && (class == "" || strings.Contains(" "+attr(d, "class")+" ", " "+class+" ")) {
			all = append(all, d)
		}
	}
	return all
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// section returns the panel with a heading.
func section(t *testing.T, doc *html.Node, heading string) *html.Node {
	t.Helper()
	for _, s := range find(doc, "section", "panel") {
		if h := find(s, "h2", ""); len(h) > 0 && strings.HasPrefix(text(h[0]), heading) {
			return s
		}
	}
	t.Fatalf("no panel %q in: %s", heading, text(doc))
	return nil
}

// cells returns the texts of a table's body.
func cells(n *html.Node) [][]string {
	var all [][]string
	for _, body := range find(n, "tbody", "") {
		for _, tr := range find(body, "tr", "") {
			var line []string
			for c := range tr.ChildNodes() {
				if c.Type == html.ElementNode {
					line = append(line, text(c))
				}
			}
			all = append(all, line)
		}
	}
	return all
}

// feed provides requests that a test sends.
type feed struct {
	mu      sync.Mutex // guards readers
	readers map[int]func(lake.Request)
	next    int
	joined  chan struct{} // receives a value for each reader
}

func newFeed() *feed {
	return &feed{readers: map[int]func(lake.Request){}, joined: make(chan struct{}, 100)}
}

func (l *feed) Subscribe(ctx context.Context, fn func(lake.Request)) {
	l.mu.Lock()
	id := l.next
	l.next++
	l.readers[id] = fn
	l.mu.Unlock()
	l.joined <- struct{}{}
	<-ctx.Done()
	l.mu.Lock()
	delete(l.readers, id)
	l.mu.Unlock()
}

func (l *feed) send(line string) {
	r, ok := lake.Mapping{}.Read([]byte(line))
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fn := range l.readers {
		fn(r)
	}
}

// status returns a Config.Delivery with a fixed status.
func status(d Deliveries) func(context.Context) (Deliveries, error) {
	return func(context.Context) (Deliveries, error) { return d, nil }
}

func someDeliveries() Deliveries {
	return Deliveries{
		Streams: []Stream{
			{Name: "amazon-apigateway-acme", Destination: "s3://acme-api-logs/logs/", Backlog: Backlog{Bytes: 463_760, Age: 41 * time.Second},
				Objects: 1893, Records: 4_210_334, Bytes: 203_000_000, ErrorRecords: 12, LastDelivered: testNow.Add(-19 * time.Second),
				Failures: []Failure{{Code: "Lambda.FunctionError", Message: "The Lambda function was successfully invoked but it returned an error result.",
					Count: 12, Last: testNow.Add(-3 * time.Hour), Replay: "stagelog replay --into logs/replayed/ --since 4h"}}},
			{Name: "amazon-apigateway-partners", Destination: "s3://acme-partner-logs/logs/", Objects: 88, Records: 91_000, Bytes: 4_000_000, LastDelivered: testNow.Add(-6 * time.Minute)},
		},
		Index: &PlanIndex{Keys: 10_412, Plans: 23, Remembered: 61, Pending: 2, Age: 34 * time.Second},
	}
}

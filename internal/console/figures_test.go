package console

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tally holds the expected figures, computed by loops over the rows.
type tally struct {
	n, before, client, server, size int64
	latencies                       []int
}

func (y *tally) add(r row, current bool) {
	if !current {
		y.before++
		return
	}
	y.n++
	if s, ok := r.status.(int); ok && s >= 500 {
		y.server++
	} else if ok && s >= 400 {
		y.client++
	}
	if b, ok := r.bytes.(int); ok {
		y.size += int64(b)
	}
	if ms, ok := r.latency.(int); ok {
		y.latencies = append(y.latencies, ms)
	}
}

// at returns the smallest latency that the given share of requests does not exceed.
func (y *tally) at(share float64) float64 {
	if len(y.latencies) == 0 {
		return math.NaN()
	}
	slices.Sort(y.latencies)
	return float64(y.latencies[int(math.Ceil(share*float64(len(y.latencies))-1e-9))-1])
}

func (y *tally) errorRate() float64 { return ratio(float64(y.client+y.server), float64(y.n)) }

// tallies groups the rows of a view and of its previous period.
func tallies(rows []row, p period, wanted func(row) bool, key func(row) string) map[string]*tally {
	all := map[string]*tally{}
	from, to := p.before()
	for _, r := range rows {
		current := !r.time.Before(p.From) && r.time.Before(p.To)
		before := !r.time.Before(from) && r.time.Before(to)
		if r.duplicate || !wanted(r) || !current && !before {
			continue
		}
		k := key(r)
		if all[k] == nil {
			all[k] = &tally{}
		}
		all[k].add(r, current)
	}
	return all
}

func everything(row) bool { return true }
func together(row) string { return "" }

// plainSpaces replaces no-break spaces by spaces.
func plainSpaces(text string) string { return strings.ReplaceAll(text, "\u00a0", " ") }

func periodOf(t *testing.T, query string) period {
	t.Helper()
	v, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePeriod(v, testNow)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// views maps query strings to the rows that they select.
var views = map[string]func(row) bool{
	"":         everything,
	"range=1h": everything,
	"range=7d": everything,
	"from=2026-03-13T20:00&to=2026-03-14T02:00": everything,
	"plan=Gold":                     func(r row) bool { return r.plan == "Gold" },
	"api=shop&stage=prod":           func(r row) bool { return r.api == "shop" && r.stage == "prod" },
	"key=-":                         func(r row) bool { return r.key == nil },
	"customer=Acme+Corp&method=GET": func(r row) bool { return r.customer == "Acme Corp" && r.method == "GET" },
	"route=%2Forders%2F%7Bid%7D":    func(r row) bool { return r.route == "/orders/{id}" },
	"status=404":                    func(r row) bool { return r.status == 404 },
	"status=5xx":                    func(r row) bool { s, ok := r.status.(int); return ok && s >= 500 },
	"status=errors":                 func(r row) bool { s, ok := r.status.(int); return ok && s >= 400 },
	"status=-":                      func(r row) bool { return r.status == nil },
	"status=400-499":                func(r row) bool { s, ok := r.status.(int); return ok && s >= 400 && s < 500 },
	"status!=2*":                    func(r row) bool { s, ok := r.status.(int); return !ok || s >= 300 },
	"plan!=Gold":                    func(r row) bool { return r.plan != "Gold" },
	"plan=plan1":                    func(r row) bool { return r.planID == "plan1" },
	"plan=Gold&plan=Silver":         func(r row) bool { return r.plan == "Gold" || r.plan == "Silver" },
	"route=%2Forders*&method!=GET": func(r row) bool {
		route, ok := r.route.(string)
		return ok && strings.HasPrefix(route, "/orders") && r.method != "GET"
	},
	"zone=Asia/Kolkata": everything,
	"zone=Asia/Kolkata&range=7d&day=2026-03-14": func(r row) bool {
		return r.time.Add(5*time.Hour+30*time.Minute).Format(time.DateOnly) == "2026-03-14"
	},
}

func TestOverviewFigures(t *testing.T) {
	rows := randomRows(11, 4000)
	c := New(config(newLake(t, rows...)))
	for query, wanted := range views {
		t.Run(query, func(t *testing.T) {
			p := periodOf(t, query)
			doc := pageAt(t, c, "/?"+query)
			want := tallies(rows, p, wanted, together)[""]
			if want == nil || want.n == 0 {
				section(t, doc, "No requests found")
				return
			}
			tiles := map[string]string{}
			for _, tile := range find(doc, "div", "tile") {
				label, value, _ := strings.Cut(text(tile), " "+strings.Fields(text(find(tile, "dd", "value")[0]))[0])
				tiles[label] = plainSpaces(strings.Fields(text(find(tile, "dd", "value")[0]))[0] + value)
			}
			for label, beginning := range map[string]string{
				"Requests": short(float64(want.n)), "Error rate": percent(want.errorRate()), "Latency p95": plainSpaces(millis(want.at(0.95))), "Data out": plainSpaces(byteSize(want.size)),
			} {
				if !strings.HasPrefix(tiles[label], beginning) {
					t.Errorf("tile %s: got %q, want it to begin with %q", label, tiles[label], beginning)
				}
			}
			for _, part := range []string{fmt.Sprintf("%s 4xx, %s 5xx", count(want.client), count(want.server)),
				plainSpaces("p50 " + millis(want.at(0.5)) + ", p99 " + millis(want.at(0.99)))} {
				if !strings.Contains(tiles["Error rate"]+tiles["Latency p95"], part) {
					t.Errorf("tiles: got %v, want %q in them", tiles, part)
				}
			}
			checkColumns(t, cells(section(t, doc, "Requests")), rows, p, wanted)
			checkLatency(t, cells(section(t, doc, "Latency")), rows, p, wanted)
			checkTop(t, cells(section(t, doc, "Plans")), tallies(rows, p, wanted, func(r row) string { return or(r.plan, "none") }))
			checkTop(t, cells(section(t, doc, "Routes")), tallies(rows, p, wanted, func(r row) string { return fmt.Sprint(r.method, " ", r.route) }))
			checkTop(t, cells(section(t, doc, "Customers")), tallies(rows, p, wanted, func(r row) string { return or(r.customer, "No API key") }))
		})
	}
}

func or(v any, instead string) string {
	if v == nil {
		return instead
	}
	return fmt.Sprint(v)
}

// checkColumns compares the table of the chart of requests.
func checkColumns(t *testing.T, table [][]string, rows []row, p period, wanted func(row) bool) {
	t.Helper()
	want := tallies(rows, p, wanted, func(r row) string { return fmt.Sprint(int(r.time.Sub(p.From) / p.Step)) })
	if len(table) != p.Columns() {
		t.Fatalf("chart of requests: got %d columns, want %d", len(table), p.Columns())
	}
	for i, line := range table {
		y := want[fmt.Sprint(i)]
		if y == nil {
			y = &tally{}
		}
		total := int64(0)
		for _, cell := range line[1:] {
			var n int64
			if _, err := fmt.Sscan(strings.ReplaceAll(cell, ",", ""), &n); err != nil {
				t.Fatalf("cell %q: %v", cell, err)
			}
			total += n
		}
		if total != y.n || line[1] != short(float64(y.server)) || line[2] != short(float64(y.client)) {
			t.Errorf("column %s: got %v, want %d requests, %d 5xx, %d 4xx", line[0], line[1:], y.n, y.server, y.client)
		}
	}
}

func checkLatency(t *testing.T, table [][]string, rows []row, p period, wanted func(row) bool) {
	t.Helper()
	want := tallies(rows, p, wanted, func(r row) string { return fmt.Sprint(int(r.time.Sub(p.From) / p.Step)) })
	for i, line := range table {
		y := want[fmt.Sprint(i)]
		if y == nil {
			y = &tally{}
		}
		got := []string{plainSpaces(line[1]), plainSpaces(line[2]), plainSpaces(line[3])}
		if diff := cmp.Diff([]string{plainSpaces(millis(y.at(0.99))), plainSpaces(millis(y.at(0.95))), plainSpaces(millis(y.at(0.5)))}, got); diff != "" {
			t.Errorf("latency of %s: want, got:\n%s", line[0], diff)
		}
	}
}

// checkTop compares a panel of the largest groups: those it shows, and that it shows the largest.
func checkTop(t *testing.T, table [][]string, want map[string]*tally) {
	t.Helper()
	least := int64(math.MaxInt64)
	for _, line := range table {
		y := want[line[0]]
		if y == nil {
			t.Errorf("got a row %q, want one of %d others", line[0], len(want))
			continue
		}
		if line[1] != short(float64(y.n)) || line[2] != percent(y.errorRate()) {
			t.Errorf("%s: got %v, want %s and %s", line[0], line[1:], short(float64(y.n)), percent(y.errorRate()))
		}
		if y.n > least {
			t.Errorf("%s is below a group with fewer requests", line[0])
		}
		least = y.n
		delete(want, line[0])
	}
	for name, y := range want {
		if y.n > least || y.n > 0 && len(table) < topGroups {
			t.Errorf("%s with %d requests is not shown", name, y.n)
		}
	}
}

func TestListFigures(t *testing.T) {
	rows := randomRows(12, 4000)
	c := New(config(newLake(t, rows...)))
	p := periodOf(t, "range=24h")
	for path, key := range map[string]func(row) string{
		"/customers": func(r row) string {
			if r.key == nil {
				return "No API key"
			}
			return fmt.Sprint(r.customer, " ", r.key)
		},
		"/plans":  func(r row) string { return or(r.plan, "none") },
		"/apis":   func(r row) string { return or(r.api, "none") },
		"/routes": func(r row) string { return fmt.Sprint(r.method, " ", r.route) },
	} {
		for _, o := range orders() {
			want := tallies(rows, p, everything, key)
			got := cells(find(pageAt(t, c, path+"?sort="+string(o.Name)), "section", "k-list")[0])
			if len(got) != len(want) {
				t.Errorf("%s: got %d groups, want %d", path, len(got), len(want))
			}
			last := math.Inf(1)
			for _, line := range got {
				y := want[line[0]]
				if y == nil {
					t.Errorf("%s: got a row %q", path, line[0])
					continue
				}
				cells := []string{count(y.n), newDelta(float64(y.n), float64(y.before), neutral).Text, percent(y.errorRate()), plainSpaces(millis(y.at(0.95))), plainSpaces(byteSize(y.size))}
				for i := range line {
					line[i] = plainSpaces(line[i])
				}
				if diff := cmp.Diff(cells, line[1:]); diff != "" {
					t.Errorf("%s, %s: want, got:\n%s", path, line[0], diff)
				}
				by := map[string]float64{"requests": float64(y.n), "change": math.Abs(float64(y.n - y.before)), "errors": float64(y.client + y.server),
					"latency": y.at(0.95), "bytes": float64(y.size)}[string(o.Name)]
				if by > last {
					t.Errorf("%s by %s: %s is below a smaller group", path, o.Name, line[0])
				}
				last = by
			}
		}
	}
}

func TestMoversFigures(t *testing.T) {
	rows := randomRows(13, 4000)
	doc := pageAt(t, New(config(newLake(t, rows...))), "/")
	p := periodOf(t, "")
	want := tallies(rows, p, everything, func(r row) string { return "Customer " + or(r.customer, "No API key") })
	for k, y := range tallies(rows, p, everything, func(r row) string { return fmt.Sprint("Route ", r.method, " ", r.route) }) {
		want[k] = y
	}
	largest := int64(0)
	for _, y := range want {
		largest = max(largest, abs(y.n-y.before))
	}
	got := cells(find(section(t, doc, "What changed"), "table", "traffic")[0])
	if len(got) != maxMovers {
		t.Fatalf("got %d movers, want %d", len(got), maxMovers)
	}
	for i, line := range got {
		y := want[line[0]]
		if y == nil {
			t.Errorf("got a mover %q", line[0])
			continue
		}
		if line[2] != short(float64(y.before)) || line[3] != short(float64(y.n)) {
			t.Errorf("%s: got %v, want %d before and %d now", line[0], line, y.before, y.n)
		}
		if i == 0 && abs(y.n-y.before) != largest {
			t.Errorf("the first mover, %s, changed by %d; another changed by %d", line[0], y.n-y.before, largest)
		}
	}
}

func TestSubjectFigures(t *testing.T) {
	rows := randomRows(14, 3000)
	c := New(config(newLake(t, rows...)))
	p := periodOf(t, "")
	for path, wanted := range map[string]func(row) bool{
		"/customer?key=key002":              func(r row) bool { return r.key == "key002" },
		"/customer?key=-":                   func(r row) bool { return r.key == nil },
		"/api?api=billing":                  func(r row) bool { return r.api == "billing" },
		"/route?method=GET&route=%2Forders": func(r row) bool { return r.method == "GET" && r.route == "/orders" },
		"/api?api=billing&plan=Gold":        func(r row) bool { return r.api == "billing" && r.plan == "Gold" },
		"/customer?key=key002&status=errors&method=DELETE": func(r row) bool {
			s, ok := r.status.(int)
			return r.key == "key002" && ok && s >= 400 && r.method == "DELETE"
		},
	} {
		doc := pageAt(t, c, path)
		want := tallies(rows, p, wanted, together)[""]
		if want == nil || want.n == 0 {
			t.Fatalf("%s: the rows have none", path)
		}
		checkColumns(t, cells(section(t, doc, "Requests")), rows, p, wanted)
		if got := text(find(doc, "div", "tile")[0]); !strings.HasPrefix(got, "Requests "+short(float64(want.n))) {
			t.Errorf("%s: got %q, want %d requests", path, got, want.n)
		}
		if got := len(cells(section(t, doc, "Latest requests"))); got != int(min(want.n, latestRequests)) {
			t.Errorf("%s: got %d latest requests, want %d", path, got, min(want.n, latestRequests))
		}
	}
	if doc := pageAt(t, c, "/customer?key=key002"); text(find(doc, "h1", "")[0]) != "Initech key002" {
		t.Errorf("the customer's page is headed %q", text(find(doc, "h1", "")[0]))
	}
	if w := get(c, "/route?route=%2Forders"); w.Code != 303 || w.Header().Get("Location") != "/routes?route=%2Forders" {
		t.Errorf("a route without a method: got %d to %s, want 303 to the list", w.Code, w.Header().Get("Location"))
	}
}

func TestRequestsPagesAreComplete(t *testing.T) {
	rows := randomRows(15, 900)
	for i := range rows { // many at the same moment: pages must neither repeat nor lose them
		if i%3 > 0 {
			rows[i].time = rows[i-i%3].time.Truncate(time.Hour)
		}
	}
	c := New(config(newLake(t, rows...)))
	want := map[string]bool{}
	p := periodOf(t, "range=7d")
	for _, r := range rows {
		if !r.duplicate && r.time.Before(p.To) {
			want[clock(r.time)+" "+fmt.Sprint(r.path)] = true
		}
	}
	seen := map[string]int{}
	last, n := "9999", 0
	for path := "/requests?range=7d"; path != ""; {
		doc := pageAt(t, c, path)
		path = ""
		for _, a := range find(doc, "a", "") {
			if attr(a, "rel") == "next" {
				path = attr(a, "href")
			}
		}
		table := find(doc, "table", "requests")[0]
		for i, line := range cells(table) {
			if line[0] > last {
				t.Errorf("%s is below %s, want newest first", line[0], last)
			}
			last = line[0]
			seen[attr(find(find(table, "td", "at")[i], "a", "")[0], "href")]++
			n++
		}
	}
	unique := 0
	for _, r := range rows {
		if !r.duplicate {
			unique++
		}
	}
	if n != unique || len(seen) != unique {
		t.Errorf("got %d requests, %d of them different; want %d", n, len(seen), unique)
	}
}

func TestEmptyRangeLinksToRequests(t *testing.T) {
	rows := randomRows(16, 50)
	for i := range rows {
		rows[i].time = rows[i].time.Add(-100 * 24 * time.Hour)
	}
	c := New(config(newLake(t, rows...)))
	for _, path := range []string{"/", "/customers", "/requests", "/customer?key=key000"} {
		doc := pageAt(t, c, path)
		link := attr(find(section(t, doc, "No requests found"), "a", "button")[0], "href")
		if got := pageAt(t, c, link); strings.Contains(text(got), "No requests found") {
			t.Errorf("%s links to %s, which has no requests either", path, link)
		}
	}
	doc := pageAt(t, c, "/?plan=Platinum")
	if got := attr(find(section(t, doc, "No requests found"), "a", "button")[0], "href"); got != "/" {
		t.Errorf("filters without matches link to %q, want /", got)
	}
}

func TestInvalidURLShowsError(t *testing.T) {
	c := New(config(newLake(t, randomRows(1, 10)...)))
	for _, path := range []string{"/?range=x", "/?status=abc", "/customers?from=x", "/?zone=Nowhere", "/?status!=xyz", "/?where=nonsense", "/?where=custmer=x", "/requests?before=1.2", "/requests?before=a.b.c", "/request?object=x&line=1"} {
		w := get(c, path)
		doc := parse(t, w.Body.String())
		if w.Code != http.StatusBadRequest || len(find(doc, "a", "button")) == 0 {
			t.Errorf("%s: got %d %q, want 400 and a link", path, w.Code, text(doc))
		}
	}
	for _, path := range []string{"/request?object=9&line=9", "/nowhere", "/customers/x", "/assets/x"} {
		if w := get(c, path); w.Code != http.StatusNotFound {
			t.Errorf("GET %s, which does not exist: got %d, want 404", path, w.Code)
		}
	}
}

// The form sends any condition in one field; the redirect turns it into a filter.
func TestWhereBecomesFilters(t *testing.T) {
	c := New(config(newLake(t, randomRows(1, 10)...)))
	w := get(c, "/customers?plan=Gold&sort=errors&where=route!%3D%2Fhealth*")
	if got, want := w.Header().Get("Location"), "/customers?plan=Gold&route%21=%2Fhealth%2A&sort=errors"; w.Code != http.StatusSeeOther || got != want {
		t.Errorf("got %d to %s, want 303 to %s", w.Code, got, want)
	}
}

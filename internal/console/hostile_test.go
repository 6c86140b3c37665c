package console

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/stagelog/stagelog/internal/lake/query"
)

// hostile holds values that callers of an API could put into a log.
var hostile = []string{
	`<hostile-el onhostile=x>`,
	`"><hostile-el onhostile="x">`,
	`'><hostile-el onhostile='x' x='`,
	`</title></textarea></script></style></svg><script>hostile()</script>`,
	`--><hostile-el>`,
	`javascript:hostile()`,
	"JaVa\tScRiPt:hostile()",
	`//hostile.example/`,
	`{{.Hostile}} ${hostile} <%= hostile %>`,
	"a\r\nSet-Cookie: hostile=1\r\n\r\n<hostile-el>",
	"\x00\x1b[31mhostile\u202e\u2028\ufeff",
	`=HYPERLINK("http://hostile.example")`,
	`../../hostile`, `?key=hostile&x=#hostile`, `%3Chostile-el%3E`,
	strings.Repeat("hostile", 500),
}

// hostileRows returns requests with the value in every text column.
func hostileRows(value string) []row {
	q := func(column string) string { return value + column } // distinct groups
	quoted := fmt.Sprintf("{%q: %q}", "field", "x")
	if !strings.ContainsAny(value, "\x00\x1b") {
		quoted = fmt.Sprintf(`{"%s": "%s"}`, jsonText(value), jsonText(value))
	}
	r := row{time: testNow.Add(-3000e9), id: q("id"), api: q("api"), stage: q("stage"), key: q("key"), customer: q("customer"), plan: q("plan"), planID: q("planID"),
		method: q("method"), route: q("route"), path: q("path"), status: 500, latency: 12, bytes: 100, ip: q("ip"), agent: q("agent"), error: q("error"), extra: quoted}
	nameless := r
	nameless.customer, nameless.path = nil, nil
	before := r
	before.time = testNow.Add(-30 * 3600e9)
	return []row{r, nameless, before}
}

func jsonText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", `\r`, "\n", `\n`, "\t", `\t`, "\x00", `\u0000`, "\x1b", `\u001b`).Replace(s)
}

// hostilePages returns the URLs of all pages that show those rows.
func hostilePages(value string) []string {
	e := func(column string) string { return url.QueryEscape(value + column) }
	all := []string{"/", "/customers", "/plans", "/apis", "/routes", "/requests", "/request?object=1&line=1", "/request?object=1&line=2", "/delivery", "/live", "/sql",
		"/customer?key=" + e("key"), "/api?api=" + e("api"), "/route?method=" + e("method") + "&route=" + e("route"),
		"/live?customer=" + e(""), "/sql?q=" + e(""), "/?range=" + e(""), "/?status=" + e(""), "/customers?sort=" + e(""), "/requests?before=" + e(""), "/?zone=" + e(""), "/?where=" + e("")}
	are, areNot := "/requests?range=7d", "/requests?range=7d"
	for _, d := range query.Dimensions() {
		if d != query.Status && d != query.Class {
			are += "&" + string(d) + "=" + e(string(d))
			areNot += "&" + string(d) + "!=" + e("")
		}
	}
	return append(all, are, areNot)
}

// shape returns the elements of a page with the names of their attributes.
func shape(doc *html.Node) []string {
	var all []string
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		s := n.Data
		for _, a := range n.Attr {
			s += " " + a.Key
		}
		all = append(all, s)
	}
	return all
}

// A page has the same elements and attributes, whatever the log contains.
func TestHostileValuesStayText(t *testing.T) {
	pages := func(t *testing.T, value string) map[string]*html.Node {
		d := someDeliveries()
		d.Streams[0].Name, d.Streams[0].Destination = value, value
		d.Streams[0].Failures = []Failure{{Code: value, Message: value, Count: 1, Last: testNow, Replay: value}}
		cfg := config(newLake(t, hostileRows(value)...))
		cfg.Title, cfg.Live, cfg.Delivery = value, newFeed().Subscribe, status(d)
		c := New(cfg)
		all := map[string]*html.Node{}
		for i, path := range hostilePages(value) {
			w := get(c, path)
			if w.Code >= 500 {
				t.Fatalf("GET %s: %d", path, w.Code)
			}
			if got := w.Header().Get("Content-Security-Policy"); got != policy {
				t.Errorf("GET %s: policy %q", path, got)
			}
			all[fmt.Sprint(i)] = parse(t, w.Body.String())
		}
		for i, statement := range []string{"SELECT * FROM requests", "SELECT error('x' || customer) FROM requests", "SELECT " + value} {
			all[fmt.Sprint("sql", i)] = parse(t, post(c, "/sql", url.Values{"q": {statement}}).Body.String())
		}
		return all
	}
	harmless := pages(t, "harmless")
	for i, value := range hostile {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for name, doc := range pages(t, value) {
				if !strings.HasPrefix(name, "sql") { // the statement itself differs there
					if diff := cmp.Diff(shape(harmless[name]), shape(doc)); diff != "" {
						t.Errorf("value %.60q, page %s: the page has other elements than with harmless values:\n%s", value, name, diff)
					}
				}
				for n := range doc.Descendants() {
					if strings.Contains(n.Data, "hostile") && n.Type != html.TextNode {
						t.Errorf("value %.60q, page %s: a %v node of data: %.80s", value, name, n.Type, n.Data)
					}
					if n.Type != html.ElementNode {
						continue
					}
					for _, a := range n.Attr {
						leads := a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction"
						if leads && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") || leads && strings.HasPrefix(a.Val, "//") {
							t.Errorf("value %.60q, page %s: %s leads to %.80q", value, name, n.Data, a.Val)
						}
						if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.Contains(a.Key, "hostile") {
							t.Errorf("value %.60q, page %s: an attribute %s on %s", value, name, a.Key, n.Data)
						}
					}
				}
			}
		})
	}
}

//go:build cgo

package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/lake/laketest"
	"github.com/stagelog/stagelog/internal/lake/query"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var goldenFrom = time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)

func goldenPage(t *testing.T) *Page {
	t.Helper()
	db := laketest.Open(t)
	laketest.AddRows(t, db, laketest.Random(rand.New(rand.NewPCG(1, 2)), 3000, goldenFrom, goldenFrom.AddDate(0, 0, 14))...)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	filter, err := query.ParseFilter("status!=301", "api=*")
	if err != nil {
		t.Fatal(err)
	}
	p, err := RunPage(t.Context(), db, query.Query{
		By: []query.Dimension{query.Customer, query.Route}, From: goldenFrom.AddDate(0, 0, 7), To: goldenFrom.AddDate(0, 0, 14),
		Filter: filter, Top: 8, Compare: true, Zone: berlin,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGolden(t *testing.T) {
	p := goldenPage(t)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"table.txt":   func(b *bytes.Buffer) error { return p.Main.WriteTable(b, 0) },
		"narrow.txt":  func(b *bytes.Buffer) error { return p.Main.WriteTable(b, 60) },
		"report.csv":  func(b *bytes.Buffer) error { return p.Main.WriteCSV(b) },
		"report.json": func(b *bytes.Buffer) error { return p.Main.WriteJSON(b) },
		"page.html":   func(b *bytes.Buffer) error { return p.WriteHTML(b) },
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := write(&got); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got), -update rewrites it:\n%s", name, diff)
			}
		})
	}
}

// hostile holds texts that attackers may put into a path, a user agent or a name.
var hostile = []string{
	`=HYPERLINK("http://evil.example","x")`, "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1+1", "  =1+1", "＝1+1",
	"\x1b]0;owned\a\x1b[2J", "\u009b31m", "\u202egpj.exe", "a\nb", "\"quoted\",x", "</script><script>alert(1)</script>", `" onmouseover="alert(1)`,
	"<svg onload=alert(1)>", "{{.Title}}", "'; DROP TABLE request_rows; --", "\x00", "\u2028", "日本語の名前",
}

// Values may attack a terminal, a spreadsheet or a browser.
func TestOutputsEscapeHostileValues(t *testing.T) {
	db := laketest.Open(t)
	for i, text := range hostile {
		laketest.AddRows(t, db, laketest.Row{
			Line: int64(i + 1), Time: laketest.P(goldenFrom), KeyID: &text, Customer: &text, Path: &text, UserAgent: &text, Error: &text, Status: laketest.P(int16(200)),
		})
	}
	p, err := RunPage(t.Context(), db, query.Query{By: []query.Dimension{query.Customer, query.Path, query.UserAgent, query.Error}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Main.Rows) != len(hostile) {
		t.Fatalf("%d rows, want %d", len(p.Main.Rows), len(hostile))
	}
	p.Title = hostile[13]
	outputs := map[string]string{}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"table": func(b *bytes.Buffer) error { return p.Main.WriteTable(b, 100) },
		"csv":   func(b *bytes.Buffer) error { return p.Main.WriteCSV(b) },
		"json":  func(b *bytes.Buffer) error { return p.Main.WriteJSON(b) },
		"html":  func(b *bytes.Buffer) error { return p.WriteHTML(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		outputs[name] = b.String()
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%s contains the character %U", name, r)
			}
		}
	}
	records, err := csv.NewReader(strings.NewReader(outputs["csv"])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records[1:] {
		for _, cell := range record[1:6] {
			if bare := strings.TrimSpace(cell); bare != "" && strings.ContainsAny(bare[:1], "=+-@") || strings.HasPrefix(bare, "＝") {
				t.Errorf("a CSV cell is a formula: %q", cell)
			}
		}
	}
	var doc struct {
		Rows []struct{ Keys map[string]string }
	}
	if err := json.Unmarshal([]byte(outputs["json"]), &doc); err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for _, row := range doc.Rows {
		paths[row.Keys["path"]] = true
	}
	for _, text := range hostile {
		if !paths[text] {
			t.Errorf("JSON lacks %q", text)
		}
	}
	html := outputs["html"]
	if bad := regexp.MustCompile(`(?i)<script|<svg onload|" onmouseover="|https?://[^e]|src=|@import|url\(`).FindString(html); bad != "" {
		t.Errorf("the page contains %q", bad)
	}
}

func TestFilterValuesCannotInjectSQL(t *testing.T) {
	db := laketest.Open(t)
	for i, text := range hostile {
		laketest.AddRows(t, db, laketest.Row{Line: int64(i + 1), Time: laketest.P(goldenFrom), Path: &text})
	}
	for _, text := range append(hostile, "' OR '1'='1", "?", "$1", "%", "_", `\`) {
		r, err := Run(t.Context(), db, query.Query{Filter: query.Filter{{Dimension: query.Path, Pattern: text}}})
		if err != nil {
			t.Fatalf("path=%q: %v", text, err)
		}
		want := int64(0)
		for _, h := range hostile {
			if h == text {
				want = 1
			}
		}
		if r.Total.Requests != want {
			t.Errorf("path=%q selects %d requests, want %d", text, r.Total.Requests, want)
		}
	}
}

func TestInvalidQueryErrorHasHint(t *testing.T) {
	day := goldenFrom
	for _, c := range []struct {
		query query.Query
		want  string
	}{
		{query.Query{By: []query.Dimension{"custommer"}}, "did you mean customer?"},
		{query.Query{By: []query.Dimension{query.Day, query.Day}}, "given twice"},
		{query.Query{From: day, To: day}, "is empty"},
		{query.Query{Compare: true, From: day}, "set from and to"},
		{query.Query{Top: -1}, "0 for all rows"},
		{query.Query{Filter: query.Filter{{Dimension: "x\x1b[2J", Pattern: "1"}}}, `x\x1b[2J`},
	} {
		if _, err := Run(t.Context(), nil, c.query); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Run(%+v): %v, want %q", c.query, err, c.want)
		}
	}
	if _, err := query.ParseFilter("status"); err == nil || !strings.Contains(err.Error(), "dimension=value") {
		t.Errorf("ParseFilter(status): %v", err)
	}
	f, err := query.ParseFilter("path!=/a=b", "status=5xx")
	if diff := gocmp.Diff(query.Filter{{Dimension: query.Path, Not: true, Pattern: "/a=b"}, {Dimension: query.Status, Pattern: "5xx"}}, f); err != nil || diff != "" {
		t.Errorf("ParseFilter: %v %s", err, diff)
	}
}

func TestEmptyLakeHasReportAndPage(t *testing.T) {
	p, err := RunPage(t.Context(), laketest.Open(t), query.Query{By: []query.Dimension{query.Customer}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if err := p.Main.WriteTable(&b, 20); err != nil {
		t.Fatal(err)
	}
	if p.Main.Total.Requests != 0 || len(p.Main.Rows) != 0 {
		t.Errorf("rows %v, total %v", p.Main.Rows, p.Main.Total)
	}
}

// The earliest and latest times that the importer accepts do not break a report.
func TestReportHandlesExtremeTimes(t *testing.T) {
	db := laketest.Open(t)
	times := []string{"0001-01-01 (BC) 00:00:00", "0001-01-01 00:00:00", "1969-12-31 23:59:59", "2026-10-25 00:30:00", "9999-12-31 23:59:59.999999"}
	for i, at := range times {
		laketest.Exec(t, db, "INSERT INTO request_rows (object, line, duplicate, time) VALUES (1, ?, false, CAST(? AS TIMESTAMP))", i+1, at)
	}
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []query.Dimension{query.Hour, query.Day, query.Month} {
			p, err := RunPage(t.Context(), db, query.Query{By: []query.Dimension{d}, Zone: zone})
			if err != nil {
				t.Errorf("by %s in %s: %v", d, name, err)
				continue
			}
			if p.Main.Total.Requests != int64(len(times)) {
				t.Errorf("by %s in %s: %d requests, want %d", d, name, p.Main.Total.Requests, len(times))
			}
			if err := p.WriteHTML(&bytes.Buffer{}); err != nil {
				t.Error(err)
			}
		}
	}
}

// A report says what the lake's objects have besides requests.
func TestReportShowsUnreadLines(t *testing.T) {
	db := laketest.Open(t)
	laketest.AddObjects(t, db, laketest.Object{ID: 1, Key: "a", Modified: goldenFrom}, laketest.Object{ID: 2, Key: "b", Modified: goldenFrom})
	laketest.Exec(t, db, "UPDATE objects SET bad = 2 * (id - 1), other = id - 1")
	r, err := Run(t.Context(), db, query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.WriteTable(&out, 0); err != nil {
		t.Fatal(err)
	}
	const want = "Not requests: the lake's objects also have 2 lines that could not be read and 1 JSON object that is not an access log;"
	if !strings.Contains(out.String(), want) {
		t.Errorf("got %s\nwant %s", out.String(), want)
	}
}

//go:build cgo

package invoice

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/lake/laketest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var october = Month{2026, time.October}

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func prices(t testing.TB) *PriceFile {
	t.Helper()
	p, err := ParsePrices("prices.yaml", []byte(goodPrices))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// objects returns five objects, the last of which was delivered after October was closed.
func objects() []laketest.Object {
	var all []laketest.Object
	for i := range int32(5) {
		modified := time.Date(2026, 10, 10, 0, 0, 0, 0, time.UTC)
		if i == 4 {
			modified = time.Date(2026, 11, 3, 23, 0, 0, 0, time.UTC) // midnight in Berlin
		}
		all = append(all, laketest.Object{ID: i + 1, Bucket: "logs", Key: fmt.Sprintf("2026/10/%d.gz", i), ETag: fmt.Sprintf("etag-%d", i), Modified: modified})
	}
	return all
}

// randomRows returns rows from before October until after it.
func randomRows(rng *rand.Rand, n int) []laketest.Row {
	return laketest.Random(rng, n, time.Date(2026, 9, 25, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC))
}

func lakeOf(t testing.TB, objects []laketest.Object, rows []laketest.Row) *sql.DB {
	t.Helper()
	db := laketest.Open(t)
	laketest.AddObjects(t, db, objects...)
	laketest.AddRows(t, db, rows...)
	return db
}

func options(t testing.TB) Options {
	t.Helper()
	return Options{Zone: berlin(t), Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
}

func build(t testing.TB, db *sql.DB) *Invoice {
	t.Helper()
	in, err := Build(t.Context(), db, prices(t), october, options(t))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestBuildAgreesWithPlainGo counts the lines over the rows, without SQL.
func TestBuildAgreesWithPlainGo(t *testing.T) {
	rng := laketest.Rand(t)
	rows := randomRows(rng, 8000)
	in := build(t, lakeOf(t, objects(), rows))
	zone := berlin(t)
	type id struct{ keyID, nameOfNoKey, planID, nameOfNoID string }
	requests, counted := map[id]int64{}, map[id]int64{}
	var all, late, undated, repeated int64
	text := func(p *string) string {
		if p == nil {
			return "-"
		}
		return *p
	}
	for _, r := range rows {
		switch {
		case r.Duplicate:
			if r.Time != nil && r.Object < 5 && r.Time.In(zone).Format("2006-01") == "2026-10" {
				repeated++
			}
			continue
		case r.Time == nil:
			if r.Object < 5 {
				undated++
			}
			continue
		case r.Time.In(zone).Format("2006-01") != "2026-10":
			continue
		case r.Object == 5:
			late++
			continue
		}
		of := id{keyID: text(r.KeyID), planID: text(r.PlanID)}
		if r.KeyID == nil {
			of.nameOfNoKey = text(r.Customer)
		}
		if r.PlanID == nil {
			of.nameOfNoID = text(r.Plan)
		}
		all++
		requests[of]++
		status := 0
		if r.Status != nil {
			status = int(*r.Status)
		}
		switch {
		case of.planID == "plan1" || of.planID == "plan2":
			counted[of] += one(status != 429 && status < 500)
		case text(r.Plan) == "Gold":
			counted[of] += one(status >= 200 && status < 300)
		}
	}
	if len(in.Lines) != len(requests) {
		t.Errorf("%d lines, want %d", len(in.Lines), len(requests))
	}
	var sum int64
	for _, l := range in.Lines {
		of := id{keyID: l.KeyID, planID: l.PlanID}
		if l.KeyID == "-" {
			of.nameOfNoKey = l.Customer
		}
		if l.PlanID == "-" {
			of.nameOfNoID = l.Plan
		}
		if l.Requests != requests[of] || l.Counted != counted[of] {
			t.Errorf("line %+v: %d requests, %d counted, want %d, %d", of, l.Requests, l.Counted, requests[of], counted[of])
		}
		sum += l.Requests
	}
	m := in.Manifest
	if sum != all || m.Rows != all || m.Late != late || m.Undated != undated || m.Repeated != repeated || m.RepeatedLines != repeated {
		t.Errorf("lines have %d requests, manifest %d, late %d, undated %d, repeated %d, want %d, %d, %d, %d",
			sum, m.Rows, m.Late, m.Undated, m.Repeated, all, late, undated, repeated)
	}
	for _, want := range []string{"of - (key -, plan -) are unbilled: no customer", "(key key2, plan -) are unbilled: no usage plan", "after it was closed", "have no time", "the same in every field; this is unusually many"} {
		if !slices.ContainsFunc(in.Problems, func(p string) bool { return strings.Contains(p, want) }) {
			t.Errorf("problems %q, want %q", in.Problems, want)
		}
	}
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func everything(t *testing.T, in *Invoice) string {
	t.Helper()
	var b bytes.Buffer
	for _, write := range []func() error{
		func() error { return in.WriteJSON(&b) },
		func() error { return in.WriteCSV(&b) },
		func() error { _, err := in.WriteStripe(&b, "api_requests"); return err },
		func() error { _, err := in.WriteOpenMeter(&b, "api.request"); return err },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Rebuild returns the same bytes in a lake with later imports, and in one that was imported again in another order.
func TestRebuildReturnsSameBytes(t *testing.T) {
	rng := laketest.Rand(t)
	rows := randomRows(rng, 4000)
	db := lakeOf(t, objects(), rows)
	first := build(t, db)
	want := everything(t, first)
	var kept bytes.Buffer
	if err := first.Manifest.Write(&kept); err != nil {
		t.Fatal(err)
	}
	later := laketest.Object{ID: 6, Bucket: "logs", Key: "2026/10/late.gz", ETag: "late", Modified: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)}
	more := randomRows(rng, 500)
	for i := range more {
		more[i].Object = 6
	}
	laketest.AddObjects(t, db, later)
	laketest.AddRows(t, db, more...)

	var again []laketest.Object
	for _, o := range slices.Backward(append(objects(), later)) {
		o.ID = 100 - o.ID
		again = append(again, o)
	}
	shuffled := slices.Concat(rows, more)
	for i := range shuffled {
		shuffled[i].Object = 100 - shuffled[i].Object
	}
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	markDuplicates(shuffled)

	for name, db := range map[string]*sql.DB{"later imports": db, "imported again": lakeOf(t, again, shuffled)} {
		manifest, err := ReadManifest(bytes.NewReader(kept.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if different, err := differencesFrom(t.Context(), db, prices(t), manifest); err != nil || len(different) > 0 {
			t.Errorf("%s: differences: %v %v", name, different, err)
		}
		in, err := Rebuild(t.Context(), db, prices(t), manifest)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := gocmp.Diff(want, everything(t, in)); diff != "" {
			t.Errorf("%s: not the same bytes (-first +again)\n%s", name, diff)
		}
	}
}

// markDuplicates marks all but the first row of a request by object and line, as the importer does.
func markDuplicates(rows []laketest.Row) {
	first := map[string]int{}
	for i, r := range rows {
		j, known := first[*r.RequestID]
		if !known || cmp.Or(cmp.Compare(r.Object, rows[j].Object), cmp.Compare(r.Line, rows[j].Line)) < 0 {
			first[*r.RequestID] = i
		}
	}
	for i := range rows {
		rows[i].Duplicate = first[*rows[i].RequestID] != i
	}
}

// The lines of the month's objects that are no requests are a problem to check.
func TestBuildCountsUnreadLines(t *testing.T) {
	db := lakeOf(t, objects(), randomRows(rand.New(rand.NewPCG(11, 12)), 100))
	laketest.Exec(t, db, "UPDATE objects SET bad = id, other = 1")
	in := build(t, db)
	const want = "not billed: the objects delivered since the month began also have 10 lines that could not be read and 4 JSON objects that are not access logs"
	if u := in.Manifest.Unread; u.Bad != 10 || u.Other != 4 || !slices.Contains(in.Problems, want) {
		t.Errorf("%+v, problems %q", u, in.Problems)
	}
}

func TestBuildRefusesUnfinishedImport(t *testing.T) {
	db := lakeOf(t, objects(), randomRows(rand.New(rand.NewPCG(11, 12)), 100))
	laketest.Exec(t, db, "INSERT INTO unchecked VALUES (1)")
	if _, err := Build(t.Context(), db, prices(t), october, options(t)); err == nil || !strings.Contains(err.Error(), "run the command again without --no-import") {
		t.Errorf("Build: %v", err)
	}
}

func TestVerifyListsDifferences(t *testing.T) {
	rows := randomRows(rand.New(rand.NewPCG(3, 4)), 3000)
	manifest := build(t, lakeOf(t, objects(), rows)).Manifest
	other, err := ParsePrices("prices.yaml", []byte(strings.Replace(goodPrices, "49.00", "59.00", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, change string
		prices       *PriceFile
		want         []string
	}{
		{"nothing", "SELECT 1", prices(t), nil},
		{"price file", "SELECT 1", other, []string{"price file"}},
		{"etag", "UPDATE objects SET etag = 'x' WHERE id = 2", prices(t), []string{"object logs/2026/10/1.gz, ETag"}},
		{"object", "DELETE FROM request_rows WHERE object = 3", prices(t), []string{"object logs/2026/10/2.gz", "rows", "content"}},
		{"one row", `DELETE FROM request_rows WHERE request_id = (SELECT min(request_id) FROM request_rows
			WHERE object = 1 AND time > '2026-10-02' AND request_id NOT IN (SELECT request_id FROM request_rows WHERE duplicate))`,
			prices(t), []string{"object logs/2026/10/0.gz, rows", "rows", "content"}},
		{"one of two copies", `DELETE FROM request_rows WHERE duplicate AND object = 4 AND line = (SELECT max(line) FROM request_rows WHERE duplicate AND object = 4)`,
			prices(t), nil},
		{"attribution", "UPDATE request_rows SET customer = 'Known Ltd' WHERE key_id = 'key2'", prices(t), []string{"content of the rows"}},
		{"status", "UPDATE request_rows SET status = 204 WHERE status = 201", prices(t), []string{"content of the rows"}},
	} {
		db := lakeOf(t, objects(), rows)
		laketest.Exec(t, db, c.change)
		different, err := differencesFrom(t.Context(), db, c.prices, &manifest)
		if err != nil {
			t.Fatal(err)
		}
		match := (len(different) == 0) == (len(c.want) == 0)
		for _, want := range c.want {
			match = match && slices.ContainsFunc(different, func(d Difference) bool { return strings.HasPrefix(d.What, want) })
		}
		if !match {
			t.Errorf("%s: differences %v, want %q", c.name, different, c.want)
		}
		if _, err := Rebuild(t.Context(), db, c.prices, &manifest); (err == nil) != (len(c.want) == 0) {
			t.Errorf("%s: Rebuild: %v", c.name, err)
		}
	}
}

func TestGolden(t *testing.T) {
	rows := randomRows(rand.New(rand.NewPCG(5, 6)), 3000)
	evil := `=cmd|' /C calc'!A0`
	rows = append(rows, laketest.Row{Object: 1, Line: 9999, Time: laketest.P(time.Date(2026, 10, 31, 22, 59, 59, 999999000, time.UTC)), KeyID: laketest.P("key99"), Customer: &evil, Plan: laketest.P("Gold"), Status: laketest.P(int16(200))})
	in := build(t, lakeOf(t, objects(), rows))
	for name, write := range map[string]func(*bytes.Buffer) error{
		"invoice.txt":  func(b *bytes.Buffer) error { return in.WriteTable(b, 100) },
		"invoice.csv":  func(b *bytes.Buffer) error { return in.WriteCSV(b) },
		"invoice.json": func(b *bytes.Buffer) error { return in.WriteJSON(b) },
		"stripe.jsonl": func(b *bytes.Buffer) error {
			unmapped, err := in.WriteStripe(b, "api_requests")
			for _, l := range unmapped {
				fmt.Fprintf(b, "unmapped: %s (%s)\n", l.Customer, l.KeyID)
			}
			return err
		},
		"openmeter.jsonl": func(b *bytes.Buffer) error { _, err := in.WriteOpenMeter(b, "api.request"); return err },
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

func TestTotalIsSumOfPrintedLines(t *testing.T) {
	in := build(t, lakeOf(t, objects(), randomRows(laketest.Rand(t), 3000)))
	var b bytes.Buffer
	if err := in.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc jsonInvoice
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	sum := rat(t, "0")
	for _, l := range doc.Lines {
		if l.Amount != nil {
			sum.Add(sum, rat(t, *l.Amount))
		}
	}
	if got := sum.FloatString(2); got != doc.Total || got == "0.00" {
		t.Errorf("lines sum to %s, total %s", got, doc.Total)
	}
}

func TestPreliminaryInvoiceHasNoMeterEvents(t *testing.T) {
	db := lakeOf(t, objects(), randomRows(rand.New(rand.NewPCG(7, 8)), 500))
	o := options(t)
	o.Now = time.Date(2026, 11, 3, 22, 59, 59, 0, time.UTC)
	in, err := Build(t.Context(), db, prices(t), october, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.WriteStripe(&bytes.Buffer{}, "x"); !errors.Is(err, ErrPreliminary) {
		t.Errorf("WriteStripe: %v, want ErrPreliminary", err)
	}
	if !strings.Contains(in.Problems[0], "preliminary: objects count until 2026-11-03T23:00:00Z") {
		t.Errorf("problems: %q", in.Problems)
	}
	o.Zone = time.FixedZone("here", 3600)
	if _, err := Build(t.Context(), db, prices(t), october, o); err == nil || !strings.Contains(err.Error(), "Europe/Berlin") {
		t.Errorf("a zone without a name: %v", err)
	}
}

func TestLateDaysBoundTheWindow(t *testing.T) {
	rows := randomRows(rand.New(rand.NewPCG(9, 10)), 2000)
	for days, late := range map[int]bool{-1: true, 0: true, 3: true, 4: false} {
		o := options(t)
		o.LateDays = days
		in, err := Build(t.Context(), lakeOf(t, objects(), rows), prices(t), october, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := in.Manifest.Late > 0; got != late {
			t.Errorf("%d days: %d late requests, want some: %v", days, in.Manifest.Late, late)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	const n = 1_000_000
	db := laketest.Open(b)
	laketest.AddObjects(b, db, objects()...)
	laketest.Exec(b, db, `INSERT INTO request_rows SELECT 1 + i % 4, i, false, TIMESTAMP '2026-10-01' + to_microseconds(i * 2500000),
		'id' || i, 'shop', 'prod', 'key' || (hash(i) % 2000), 'Customer ' || (hash(i) % 1500), 'Gold', 'plan1', 'GET', '/orders/{id}',
		'/orders/1', 200, 5, 5, 5, '10.0.0.1', 'curl', NULL, NULL, NULL FROM range(?) r(i)`, n)
	o, p := options(b), prices(b)
	for b.Loop() {
		if _, err := Build(b.Context(), db, p, october, o); err != nil {
			b.Fatal(err)
		}
	}
}

// differencesFrom returns the differences between a manifest and the current lake and price file. If there are none, Rebuild
// returns the same bytes.
func differencesFrom(ctx context.Context, db *sql.DB, prices *PriceFile, frozen *Manifest) ([]Difference, error) {
	var different []Difference
	err := read(ctx, db, frozen, func(r *month) (err error) {
		different, err = r.verify(ctx, prices, frozen)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", frozen.Month, err)
	}
	return different, nil
}

// The objects of a bucket that was copied are billed by the time in their names. Without one, the bill says loudly that it is empty.
func TestCopiedBucketIsBilled(t *testing.T) {
	copied := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	at := time.Date(2026, 10, 12, 0, 0, 0, 0, time.UTC)
	for key, want := range map[string]int64{
		"logs/s-1-2026-10-12-00-05-00-9f1e.gz": 1,
		"logs/s-1-2026-11-20-00-05-00-9f1e.gz": 0, // late at first, too
		"logs/s-1-2026-10-32-00-05-00-9f1e.gz": 0,
		"logs/x.gz":                            0,
	} {
		db := lakeOf(t, []laketest.Object{{ID: 1, Bucket: "logs", Key: key, ETag: "e", Modified: copied}},
			[]laketest.Row{{Object: 1, Line: 1, Time: &at, RequestID: laketest.P("r"), KeyID: laketest.P("k"), Customer: laketest.P("Acme"), PlanID: laketest.P("plan1"), Plan: laketest.P("Gold")}})
		in := build(t, db)
		if in.Manifest.Rows != want || in.Manifest.Late != 1-want {
			t.Errorf("%s: %d requests billed and %d late, want %d", key, in.Manifest.Rows, in.Manifest.Late, want)
		}
		if loud := slices.ContainsFunc(in.Problems, func(p string) bool { return strings.Contains(p, "NOTHING IS BILLED: the requests of the month (1)") }); loud != (want == 0) {
			t.Errorf("%s: problems %q", key, in.Problems)
		}
	}
}

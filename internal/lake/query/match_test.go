//go:build cgo

package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/laketest"
)

// TestWhereAndMatchAgreeWithPlainGo selects the same rows by SQL, by Match and by plain Go.
func TestWhereAndMatchAgreeWithPlainGo(t *testing.T) {
	rng := laketest.Rand(t)
	from := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
	rows := laketest.Random(rng, 2000, from, from.AddDate(0, 0, 14))
	rows = slices.DeleteFunc(rows, func(r laketest.Row) bool { return r.Duplicate })
	db := laketest.Open(t)
	laketest.AddRows(t, db, rows...)
	for range 60 {
		q := randomQuery(t, rng, from)
		where, err := Where(t.Context(), db, q)
		if err != nil {
			t.Fatal(err)
		}
		found := map[int64]bool{}
		lines, err := db.Query("SELECT line FROM requests WHERE "+where.SQL, where.Args...)
		if err != nil {
			t.Fatalf("%s: %v", where.SQL, err)
		}
		for lines.Next() {
			var line int64
			if err := lines.Scan(&line); err != nil {
				t.Fatal(err)
			}
			found[line] = true
		}
		if err := lines.Close(); err != nil {
			t.Fatal(err)
		}
		if q.Zone == nil {
			q.Zone = time.UTC
		}
		for _, row := range rows {
			filtered := accepts(q, row, row.Time)
			if got := q.Filter.Match(request(row), q.Zone); got != filtered {
				t.Fatalf("%v selects %+v: Match %v, want %v", q.Filter, request(row), got, filtered)
			}
			inside := (q.From.IsZero() || row.Time != nil && !row.Time.Before(q.From)) && (q.To.IsZero() || row.Time != nil && row.Time.Before(q.To))
			if want := filtered && inside; found[row.Line] != want {
				t.Fatalf("%v from %v to %v selects %+v: SQL %v, want %v", q.Filter, q.From, q.To, request(row), found[row.Line], want)
			}
		}
	}
}

// request returns the row as a Request.
func request(r laketest.Row) lake.Request {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	q := lake.Request{API: text(r.API), Stage: text(r.Stage), KeyID: text(r.KeyID), Customer: text(r.Customer), UsagePlan: text(r.Plan), UsagePlanID: text(r.PlanID),
		Method: text(r.Method), Route: text(r.Route), Path: text(r.Path), IP: text(r.IP), UserAgent: text(r.UserAgent), ErrorMsg: text(r.Error)}
	if r.Time != nil {
		q.Time = *r.Time
	}
	if r.Status != nil {
		q.Status = fmt.Sprint(*r.Status)
	}
	return q
}

func TestParseFilterReportsInvalidConditions(t *testing.T) {
	for text, want := range map[string]string{
		"status=abc":     `filter status=abc: expected a status like 404, a class like 5xx, a range like 400-499, errors, - or a pattern with *`,
		"status=499-400": "expected a status like 404",
		"status=4040":    "expected a status like 404",
		"class=404":      "filter class=404: expected a class like 5xx, - or a pattern with *",
		"custmer=x":      `filter custmer=x: unknown dimension custmer: did you mean customer?`,
		"step=1":         "unknown dimension step",
		"status":         "filter status: expected dimension=value or dimension!=value",
		"zzz!=\x1b[2J":   `unknown dimension zzz: expected one of customer, key`,
	} {
		if _, err := ParseFilter(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("ParseFilter(%q): %v, want %s", text, err, want)
		}
	}
}

// FuzzIs checks that the condition for a value selects that value and survives being written and read.
func FuzzIs(f *testing.F) {
	for _, seed := range []string{"Acme", "*", `\*`, `\\*`, "a=b!=c", "%_", "-", "5xx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c := Is(Path, value)
		again, err := ParseFilter(c.String())
		if err != nil || again[0] != c {
			t.Fatalf("%v reads as %v, %v", c, again, err)
		}
		if got, ok := c.Value(); !ok || got != value {
			t.Errorf("Is(%q).Value() = %q, %v", value, got, ok)
		}
		if value != "" && !strings.Contains(value, "\xff") && !c.matches(lake.Request{Path: value}, nil) {
			t.Errorf("%v does not match %q", c, value)
		}
	})
}

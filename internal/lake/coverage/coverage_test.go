//go:build cgo

package coverage

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/lake/laketest"
)

var (
	first = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	last  = time.Date(2026, 10, 7, 0, 0, 0, 0, time.UTC)
)

// counted is an in-memory Counter.
type counted []Count

func (c counted) Counts(_ context.Context, _, _ time.Time, fn func(Count) error) error {
	for _, count := range c {
		if err := fn(count); err != nil {
			return err
		}
	}
	return nil
}

// The gateway's counts are above the lake's for some keys and below for others.
func TestCompareAgreesWithPlainGo(t *testing.T) {
	rng := laketest.Rand(t)
	rows := laketest.Random(rng, 5000, first.AddDate(0, 0, -2), last.AddDate(0, 0, 3))
	db := laketest.Open(t)
	laketest.AddRows(t, db, rows...)

	type id struct{ day, key string }
	want := map[id]*Figures{}
	at := func(day, key string) *Figures {
		if want[id{day, key}] == nil {
			want[id{day, key}] = &Figures{}
		}
		return want[id{day, key}]
	}
	var keyless, undated int64
	for _, r := range rows {
		if r.Time == nil {
			if r.KeyID != nil && !r.Duplicate {
				undated++
			}
			continue
		}
		day := r.Time.Format(time.DateOnly)
		if day < "2026-10-01" || day > "2026-10-07" {
			continue
		}
		switch {
		case r.KeyID == nil && !r.Duplicate:
			keyless++
		case r.KeyID == nil:
		case r.Duplicate:
			at(day, *r.KeyID).Double++
		default:
			at(day, *r.KeyID).Lake++
			if r.Customer == nil {
				at(day, *r.KeyID).Unattributed++
			}
		}
	}
	var counts counted
	for of, f := range want {
		for range 1 + rng.IntN(2) {
			d, err := time.Parse(time.DateOnly, of.day)
			if err != nil {
				t.Fatal(err)
			}
			c := Count{KeyID: of.key, Day: d, Calls: f.Lake/2 + rng.Int64N(f.Lake+3)}
			f.Counted += c.Calls
			counts = append(counts, c)
		}
	}
	counts = append(counts, Count{"silent", last, 7})
	at("2026-10-07", "silent").Counted = 7

	got, err := Compare(t.Context(), db, counts, first, last)
	if err != nil {
		t.Fatal(err)
	}
	var total Figures
	for of, f := range want {
		f.Backed = min(f.Counted, f.Lake)
		f.Missing, f.Extra = max(0, f.Counted-f.Lake), max(0, f.Lake-f.Counted)
		total.add(*f)
		i := slices.IndexFunc(got.Rows, func(r Row) bool { return r.Day.Format(time.DateOnly) == of.day && r.KeyID == of.key })
		if i < 0 {
			t.Errorf("no row for %v", of)
		} else if diff := cmp.Diff(*f, got.Rows[i].Figures); diff != "" {
			t.Errorf("%v (-want +got)\n%s", of, diff)
		}
	}
	if diff := cmp.Diff(total, got.Total); diff != "" || len(got.Rows) != len(want) || got.Keyless != keyless || got.Undated != undated {
		t.Errorf("%d rows, keyless %d, undated %d, want %d, %d, %d; total (-want +got)\n%s", len(got.Rows), got.Keyless, got.Undated, len(want), keyless, undated, diff)
	}
}

func TestOutput(t *testing.T) {
	db := laketest.Open(t)
	evil := "=1+1\x1b[2J"
	for i := range 3 {
		laketest.AddRows(t, db, laketest.Row{Line: int64(i + 1), Time: &first, KeyID: laketest.P("k1"), Customer: &evil})
	}
	laketest.AddRows(t, db, laketest.Row{Line: 4, Time: &last, KeyID: laketest.P("k2")}, laketest.Row{Line: 5, Time: &last})
	r, err := Compare(t.Context(), db, counted{{"k1", first, 1234}, {"k2", last, 1}}, first, last)
	if err != nil {
		t.Fatal(err)
	}
	var text, csv, doc bytes.Buffer
	if err := errors.Join(r.WriteTable(&text, 100, true), r.WriteCSV(&csv), r.WriteJSON(&doc)); err != nil {
		t.Fatal(err)
	}
	want := `2026-10-01 to 2026-10-07 (UTC): 4 of 1,235 counted requests are in the logs (0.32%); 1,231 missing,
  0 not counted, 0 duplicate, 1 without a customer

day         customer     key id  counted  in the lake  backed  missing  extra  no customer
2026-10-01  =1+1\x1b[2J  k1        1,234            3       3    1,231      0            0
2026-10-07  -            k2            1            1       1        0      0            1
total                              1,235            4       4    1,231      0            1

1 request without an API key, which API Gateway's counts exclude.
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("table (-want +got)\n%s", diff)
	}
	if want := `2026-10-01,'=1+1\x1b[2J,k1,1234,3,3,1231,0,0,0`; !strings.Contains(csv.String(), want) {
		t.Errorf("CSV has no line %s:\n%s", want, csv.String())
	}
	if want := `"unattributed": 1`; !strings.Contains(doc.String(), want) {
		t.Errorf("JSON has no %s:\n%s", want, doc.String())
	}
}

func TestCompareRefusesInvalidCounts(t *testing.T) {
	db := laketest.Open(t)
	if _, err := Compare(t.Context(), db, counted{}, last, first); err == nil || !strings.Contains(err.Error(), "before the first") {
		t.Errorf("last before first: %v", err)
	}
	for _, c := range []Count{{"k", first, -1}, {"k", last.AddDate(0, 0, 1), 1}} {
		if _, err := Compare(t.Context(), db, counted{c}, first, last); err == nil || !strings.Contains(err.Error(), "not in the period") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

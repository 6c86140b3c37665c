//go:build cgo

package coverage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/lake/laketest"
)

// history is an in-memory History, by key, API and stage.
type history map[string][]Period

func (h history) Periods(_ context.Context, keyID, apiID, stage string) ([]Period, error) {
	if keyID == "broken" {
		return nil, errors.New("no answer")
	}
	return h[keyID+"/"+apiID+"/"+stage], nil
}

func TestReattribute(t *testing.T) {
	noon := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	p := laketest.P[string]
	row := func(line int64, at time.Time, key, stage string) laketest.Row {
		return laketest.Row{Object: 1, Line: line, Time: &at, KeyID: &key, API: p("shop"), Stage: &stage}
	}
	rows := []laketest.Row{
		row(1, noon.Add(-time.Microsecond), "k1", "prod"),
		row(2, noon, "k1", "prod"),
		row(3, noon.Add(time.Hour), "k1", "prod"), // after the last period
		row(4, noon, "k1", "test"),                // another stage, another plan
		row(5, noon, "k2", "prod"),                // unknown key
		row(6, noon, "k1", "prod"),
		row(7, noon, "k1", "prod"),
		{Object: 1, Line: 8, KeyID: p("k1"), API: p("shop"), Stage: p("prod")}, // no time
		{Object: 1, Line: 9, Time: &noon},                                      // no key
		{Object: 1, Line: 10, Time: &noon, KeyID: p("k1")},                     // no API and stage
		row(11, noon, "k1", "prod"),
	}
	rows[5].Customer, rows[5].Plan = p("Known Ltd"), p("Kept")
	rows[6].Plan, rows[6].PlanID = p("Kept"), p("kept")
	rows[10].Duplicate = true
	h := history{
		"k1/shop/prod": {{To: noon, Customer: "Old Ltd", Plan: "Silver", PlanID: "p1"}, {From: noon, To: noon.Add(time.Hour), Customer: "New'; DROP TABLE request_rows --", Plan: "Gold", PlanID: "p2"}},
		"k1/shop/test": {{From: noon.Add(-time.Hour), Customer: "New Ltd"}},
		"k1//":         {{Customer: "-"}},
	}
	db := laketest.Open(t)
	laketest.AddRows(t, db, rows...)
	want := []Reattribution{{"k1", 5, 3}, {"k2", 0, 1}}
	for range 2 {
		got, err := Reattribute(t.Context(), db, h)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Reattribute (-want +got)\n%s", diff)
		}
		want = []Reattribution{{"k1", 0, 3}, {"k2", 0, 1}} // nothing is left to do
	}
	answer, err := db.Query("SELECT line, coalesce(customer, '-') || '|' || coalesce(usage_plan, '-') || '|' || coalesce(usage_plan_id, '-') FROM request_rows ORDER BY line")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	found := map[int64]string{}
	for answer.Next() {
		var line int64
		var text string
		if err := answer.Scan(&line, &text); err != nil {
			t.Fatal(err)
		}
		found[line] = text
	}
	evil := "New'; DROP TABLE request_rows --"
	if diff := cmp.Diff(map[int64]string{
		1: "Old Ltd|Silver|p1", 2: evil + "|Gold|p2", 3: "-|-|-", 4: "New Ltd|-|-", 5: "-|-|-", 6: "Known Ltd|Kept|-", 7: evil + "|Kept|kept",
		8: "-|-|-", 9: "-|-|-", 10: "-|-|-", 11: evil + "|Gold|p2",
	}, found); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
}

func TestReattributeIsAllOrNothing(t *testing.T) {
	db := laketest.Open(t)
	at := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	for i, key := range []string{"a", "broken"} {
		laketest.AddRows(t, db, laketest.Row{Object: 1, Line: int64(i), Time: &at, KeyID: &key})
	}
	_, err := Reattribute(t.Context(), db, history{"a//": {{Customer: "A Ltd"}}})
	if err == nil || !strings.Contains(err.Error(), `history of key "broken": no answer`) {
		t.Fatalf("Reattribute: %v", err)
	}
	var n int
	if err := db.QueryRow("SELECT count(customer) FROM request_rows").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows have a customer, want none: %v", n, err)
	}
}

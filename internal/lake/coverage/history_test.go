//go:build cgo

package coverage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/lake/laketest"
)

// A key was unknown at first, then renamed, then named as before.
func TestLakeHistoryKeepsNamesOverTime(t *testing.T) {
	noon := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	p := laketest.P[string]
	names := []string{"-", "Acme", "Acme", "-", "Acme Ltd", "-", "Acme", "-", "Other"}
	var rows []laketest.Row
	for i, name := range names {
		at := noon.Add(time.Duration(i) * time.Hour)
		row := laketest.Row{Object: 1, Line: int64(i + 1), Time: &at, KeyID: p("k1"), API: p("shop"), Stage: p("prod")}
		if name != "-" {
			row.Customer, row.Plan, row.PlanID = p(name), p("Gold"), p("g")
		}
		if name == "Other" { // of another stage, which does not affect this one
			row.Stage = p("test")
		}
		rows = append(rows, row)
	}
	at := noon
	rows = append(rows, laketest.Row{Object: 2, Line: 1, Time: &at, KeyID: p("k2"), API: p("shop"), Stage: p("prod")},
		laketest.Row{Object: 2, Line: 2, Time: &at, KeyID: p("k3")})
	db := laketest.Open(t)
	laketest.AddRows(t, db, rows...)
	h := LakeHistory{DB: db, Else: history{"k2/shop/prod": {{Customer: "Globex", Plan: "Free"}}}}
	reattributed, err := Reattribute(t.Context(), db, h)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Reattribution{{"k1", 4, 0}, {"k2", 1, 0}, {"k3", 0, 1}}, reattributed); diff != "" {
		t.Errorf("Reattribute (-want +got)\n%s", diff)
	}
	answer, err := db.Query("SELECT coalesce(customer, '-') || '/' || coalesce(usage_plan_id, '-') FROM request_rows ORDER BY object, line")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	var got []string
	for answer.Next() {
		var text string
		if err := answer.Scan(&text); err != nil {
			t.Fatal(err)
		}
		got = append(got, text)
	}
	want := []string{"Acme/g", "Acme/g", "Acme/g", "Acme/g", "Acme Ltd/g", "Acme Ltd/g", "Acme/g", "Acme/g", "Other/g", "Globex/-", "-/-"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("customers (-want +got)\n%s", diff)
	}
}

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
	"github.com/stagelog/stagelog/internal/record"
)

// metered is an in-memory StageCounter. An API without a name is not a REST API.
type metered struct {
	names  map[string]string // by API id
	shared map[string]int    // by name
	sums   []sum
	err    error
	asked  []Metric
}

type sum struct {
	api, stage string // what the metric has
	day        time.Time
	requests   int64
}

func (m *metered) Metrics(_ context.Context, stages []record.StageRef) (metrics []Metric, err error) {
	for _, s := range stages {
		if name := m.names[s.API]; name != "" {
			metrics = append(metrics, Metric{API: name, ByName: true, Shared: max(1, m.shared[name]), Stage: s.Stage})
		} else {
			metrics = append(metrics, Metric{API: s.API, Stage: s.Stage})
		}
	}
	return metrics, nil
}

func (m *metered) Sums(_ context.Context, metrics []Metric, _, _ time.Time, fn func(Metric, time.Time, int64) error) error {
	m.asked = metrics
	for _, s := range m.sums {
		for _, of := range metrics {
			if of.API != s.api || of.Stage != s.stage {
				continue
			}
			if err := fn(of, s.day, s.requests); err != nil {
				return err
			}
		}
	}
	return m.err
}

// later is a time at which CloudWatch has complete counts of all days of the tests.
var later = last.AddDate(0, 1, 0)

// CloudWatch's counts are above the lake's for some stages and below for others. The APIs have different names or the same.
func TestCompareStagesAgreesWithPlainGo(t *testing.T) {
	for name, names := range map[string]map[string]string{
		"a REST API and an HTTP API": {"shop": "The shop"},
		"REST APIs of one name":      {"shop": "The shop", "pay": "The shop"},
	} {
		t.Run(name, func(t *testing.T) {
			rng := laketest.Rand(t)
			rows := laketest.Random(rng, 5000, first.AddDate(0, 0, -2), last.AddDate(0, 0, 3))
			for i := range rows {
				if rng.IntN(50) == 0 {
					rows[i].API = nil
				}
			}
			db := laketest.Open(t)
			laketest.AddRows(t, db, rows...)

			type id struct{ day, api, stage string }
			want := map[id]*Figures{}
			at := func(day, api, stage string) *Figures {
				if n := names[api]; n != "" {
					api = n
				}
				if want[id{day, api, stage}] == nil {
					want[id{day, api, stage}] = &Figures{}
				}
				return want[id{day, api, stage}]
			}
			var stageless, undated int64
			for _, r := range rows {
				if r.Time == nil {
					if !r.Duplicate {
						undated++
					}
					continue
				}
				day := r.Time.Format(time.DateOnly)
				if day < "2026-10-01" || day > "2026-10-07" {
					continue
				}
				switch {
				case (r.API == nil || r.Stage == nil) && !r.Duplicate:
					stageless++
				case r.API == nil || r.Stage == nil:
				case r.Duplicate:
					at(day, *r.API, *r.Stage).Double++
				default:
					f := at(day, *r.API, *r.Stage)
					f.Lake++
					if r.Customer == nil {
						f.Unattributed++
					}
				}
			}
			counter := &metered{names: names}
			for of, f := range want {
				day, err := time.Parse(time.DateOnly, of.day)
				if err != nil {
					t.Fatal(err)
				}
				f.Counted = 1 + f.Lake/2 + rng.Int64N(f.Lake+3)
				counter.sums = append(counter.sums, sum{of.api, of.stage, day, f.Counted})
			}
			counter.sums = append(counter.sums, sum{"silent", "prod", last, 7}) // nothing of it arrived
			want[id{"2026-10-07", "silent", "prod"}] = &Figures{Counted: 7}

			got, err := CompareStages(t.Context(), db, counter, StagesOf{Asked: []record.StageRef{{API: "silent", Stage: "prod"}, {API: "shop", Stage: "prod"}, {API: "unused", Stage: "prod"}}, First: first, Last: last, Now: later})
			if err != nil || got.Without != nil {
				t.Fatal(err, got.Without)
			}
			var total Figures
			have := map[id]*Figures{}
			for _, r := range got.Rows {
				have[id{r.Day.Format(time.DateOnly), r.Metric.API, r.Metric.Stage}] = &r.Figures
			}
			totals := map[string]Figures{}
			for of, f := range want {
				f.Backed = min(f.Counted, f.Lake)
				f.Missing, f.Extra = max(0, f.Counted-f.Lake), max(0, f.Lake-f.Counted)
				total.add(*f)
				sum := totals[of.api+"/"+of.stage]
				sum.add(*f)
				totals[of.api+"/"+of.stage] = sum
			}
			haveTotals := map[string]Figures{}
			for _, r := range got.Totals {
				haveTotals[r.Metric.API+"/"+r.Metric.Stage] = r.Figures
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("rows (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(totals, haveTotals); diff != "" {
				t.Errorf("totals (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(total, got.Total); diff != "" || got.Stageless != stageless || got.Undated != undated || len(got.Uncounted) != 0 {
				t.Errorf("stageless %d, undated %d, want %d, %d; uncounted %v; total (-want +got)\n%s", got.Stageless, got.Undated, stageless, undated, got.Uncounted, diff)
			}
			for i, m := range counter.asked {
				if slices.Contains(counter.asked[:i], m) {
					t.Errorf("%v is asked for twice", m)
				}
			}
		})
	}
}

// stageRows returns n requests of a stage at a time.
func stageRows(n int, at time.Time, api, stage string) []laketest.Row {
	rows := make([]laketest.Row, n)
	for i := range rows {
		rows[i] = laketest.Row{Line: int64(i + 1), Time: &at, API: &api, Stage: &stage, KeyID: laketest.P("k1"), Customer: laketest.P("Acme")}
	}
	return rows
}

func TestCompareStagesMarksIncomparableRows(t *testing.T) {
	db := laketest.Open(t)
	laketest.AddRows(t, db, stageRows(3, first, "gone", "prod")...)
	laketest.AddRows(t, db, stageRows(2, last, "shop", "prod")...)
	counter := &metered{names: map[string]string{"shop": "Shop"}, sums: []sum{{"Shop", "prod", last, 2}}}

	got, err := CompareStages(t.Context(), db, counter, StagesOf{First: first, Last: last, Now: later})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Uncounted) != 1 || got.Uncounted[0].Name() != "gone/prod" || got.Uncounted[0].Lake != 3 || got.Total.Lake != 2 || len(got.Rows) != 1 {
		t.Errorf("uncounted %+v, total %+v, rows %+v", got.Uncounted, got.Total, got.Rows)
	}

	end := last.AddDate(0, 0, 1)
	for now, young := range map[time.Time]bool{last: true, end.Add(settling - 1): true, end.Add(settling): false} {
		got, err := CompareStages(t.Context(), db, counter, StagesOf{First: first, Last: last, Now: now})
		if err != nil || len(got.Rows) != 1 || got.Rows[0].Young != young || got.Totals[0].Young != young {
			t.Errorf("at %v: %+v (%v), want young %v", now, got, err, young)
		}
	}

	// 455 days after noon of the third day, what is left of that day is no whole day.
	now := first.AddDate(0, 0, 2).Add(12*time.Hour + retained)
	got, err = CompareStages(t.Context(), db, counter, StagesOf{First: first, Last: last, Now: now})
	if err != nil || !got.Forgotten || got.First != first.AddDate(0, 0, 3) || len(got.Uncounted) != 0 || got.Total.Lake != 2 {
		t.Errorf("15 months later: %+v (%v)", got, err)
	}
	got, err = CompareStages(t.Context(), db, counter, StagesOf{First: first, Last: last, Now: now.AddDate(1, 0, 0)})
	if err != nil || got.Without == nil || !strings.Contains(got.Without.Error(), "15 months") {
		t.Errorf("long after: %+v (%v)", got, err)
	}
}

func TestCompareStagesReportsMissingCounts(t *testing.T) {
	db := laketest.Open(t)
	laketest.AddRows(t, db, stageRows(2, last, "shop", "prod")...)
	for name, c := range map[string]struct {
		counter *metered
		want    string
	}{
		"an error": {&metered{err: errors.New("out of reach")}, "out of reach"},
		"before":   {&metered{sums: []sum{{"shop", "prod", first.AddDate(0, 0, -1), 1}}}, "not in the period"},
		"after":    {&metered{sums: []sum{{"shop", "prod", last.AddDate(0, 0, 1), 1}}}, "not in the period"},
		"negative": {&metered{sums: []sum{{"shop", "prod", last, -1}}}, "not in the period"},
	} {
		got, err := CompareStages(t.Context(), db, c.counter, StagesOf{First: first, Last: last, Now: later})
		if err != nil || got.Without == nil || !strings.Contains(got.Without.Error(), c.want) || got.Rows != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := CompareStages(ctx, db, &metered{}, StagesOf{First: first, Last: last, Now: later}); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: %v", err)
	}
}

func TestStagesOutput(t *testing.T) {
	db := laketest.Open(t)
	laketest.AddRows(t, db, stageRows(998, first, "a1", "prod")...)
	laketest.AddRows(t, db, stageRows(5, last, "h1", "$default")...)
	laketest.AddRows(t, db, stageRows(1, last, "gone", "prod")...)
	laketest.AddRows(t, db, laketest.Row{Line: 2000, API: laketest.P("a1"), Stage: laketest.P("prod")}, laketest.Row{Line: 2001, Time: &last})
	evil := "=Shop\x1b[2J"
	counter := &metered{names: map[string]string{"a1": evil, "b1": evil}, shared: map[string]int{evil: 3},
		sums: []sum{{evil, "prod", first, 1000}, {"h1", "$default", last, 5}}}
	r, err := Compare(t.Context(), db, counted{}, first, last)
	if err != nil {
		t.Fatal(err)
	}
	if r.Stages, err = CompareStages(t.Context(), db, counter, StagesOf{Asked: []record.StageRef{{API: "b1", Stage: "prod"}}, First: first, Last: last, Now: last.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	var text, csv, doc bytes.Buffer
	if err := errors.Join(r.WriteTable(&text, 0, true), r.WriteCSV(&csv), r.WriteJSON(&doc)); err != nil {
		t.Fatal(err)
	}
	want := `
All requests to each stage, compared with CloudWatch's counts:
=Shop\x1b[2J/prod (a1 b1): 998 of 1,000 counted requests to the stage are in the logs (99.80%); 2 missing, 0 not counted, 0 duplicate
h1/$default: 5 of 5 counted requests to the stage are in the logs (100.00%); 0 missing, 0 not counted, 0 duplicate

day         api           api id  stage  counted  in the lake  backed  missing  extra  duplicate  no customer
2026-10-01  =Shop\x1b[2J  a1 b1   prod     1,000          998     998        2      0          0            0
total                                      1,005        1,003   1,003        2      0          0            0

2026-10-07 is incomplete: until an hour after its end, requests may be missing on either side.
3 REST APIs are named =Shop\x1b[2J: CloudWatch counts their stages prod together, including those that do not log here.
CloudWatch has no counts of gone/prod, but the lake has 1 request: the API was deleted or renamed, or is in another account or Region.
1 request without an API or a stage may be among the missing ones.
1 request without a time, with or without a key, may be among the missing ones.
`
	if _, got, _ := strings.Cut(text.String(), "counts exclude.\n"); got != want {
		t.Errorf("table (-want +got)\n%s", cmp.Diff(want, got))
	}
	for _, want := range []string{
		"day,customer,key_id,counted,lake,backed,missing,extra,double,unattributed,api,api_id,stage,young\n",
		"2026-10-01,Acme,k1,0,998,0,0,998,0,0,,,,\n",
		"2026-10-01,,,1000,998,998,2,0,0,0,'=Shop\\x1b[2J,a1 b1,prod,false\n2026-10-07,,,5,5,5,0,0,0,0,-,h1,$default,true\n",
	} {
		if !strings.Contains(csv.String(), want) {
			t.Errorf("CSV has no\n%sbut\n%s", want, csv.String())
		}
	}
	for _, want := range []string{`"day": "2026-10-07",`, `"api": "=Shop`, `"api_id": "a1 b1"`, `"stage": "$default"`, `"young": true`, `"uncounted": [`, `"stageless": 1`} {
		if !strings.Contains(doc.String(), want) {
			t.Errorf("JSON has no %s:\n%s", want, doc.String())
		}
	}
}

func TestStagesOutputWithoutCounts(t *testing.T) {
	r := &Report{First: first, Last: last, Stages: &Stages{First: first, Last: last, Without: errors.New("no\nanswer")}}
	var text, csv, doc bytes.Buffer
	if err := errors.Join(r.WriteTable(&text, 0, true), r.WriteCSV(&csv), r.WriteJSON(&doc)); err != nil {
		t.Fatal(err)
	}
	if want := "\nStages were not compared with CloudWatch: no\\x0aanswer.\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("table does not end with %q:\n%s", want, text.String())
	}
	if want := `"without": "no\nanswer"`; !strings.Contains(doc.String(), want) || strings.Count(csv.String(), "\n") != 1 {
		t.Errorf("JSON has no %s, or CSV has rows:\n%s%s", want, doc.String(), csv.String())
	}
}

package console

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/lake/chart"
	"github.com/stagelog/stagelog/internal/lake/query"
)

// noStatus is the series of requests without a valid HTTP status.
const noStatus = "no status"

// classes returns the series of statuses in stacking order. Errors are at the bottom, where they can be compared.
func classes() []chart.Series {
	return []chart.Series{
		{Name: "5xx", Class: "s5"}, {Name: "4xx", Class: "s4"}, {Name: noStatus, Class: "sx"},
		{Name: "1xx", Class: "s1"}, {Name: "3xx", Class: "s3"}, {Name: "2xx", Class: "s2"},
	}
}

// traffic returns the requests per class of statuses and column.
func traffic(ctx context.Context, db *sql.DB, v view) ([]chart.Series, error) {
	q := v.query()
	q.By, q.Every, q.RowsOnly = []query.Dimension{query.Step, query.Class}, v.Step, true
	r, err := query.Run(ctx, db, q)
	if err != nil {
		return nil, err
	}
	all := classes()
	byClass := map[string][]float64{}
	for i := range all {
		all[i].Values = make([]float64, v.Columns())
		byClass[all[i].Name] = all[i].Values
	}
	for _, row := range r.Rows {
		values, ok := byClass[row.Keys[1].Value]
		if !ok {
			values = byClass[noStatus]
		}
		i, err := strconv.Atoi(row.Keys[0].Value)
		if err != nil || i < 0 || i >= len(values) {
			panic("BUG: no column " + row.Keys[0].Value)
		}
		values[i] += float64(row.Requests)
	}
	return all, nil
}

// trafficChart draws requests over time, by class.
func trafficChart(v view, all []chart.Series) chart.Chart {
	var shown []chart.Series
	for _, s := range all {
		if sum(s.Values) > 0 || s.Class == "s2" || s.Class == "s4" || s.Class == "s5" {
			shown = append(shown, s)
		}
	}
	spec := v.spec("traffic", "Requests", shown)
	spec.Counts, spec.Format = true, short
	total, worst := 0.0, 0.0
	for _, s := range all {
		total += sum(s.Values)
		if s.Class == "s4" || s.Class == "s5" {
			worst += sum(s.Values)
		}
	}
	spec.Desc = fmt.Sprintf("%s requests, %s of them errors, in %d columns; %s.", count(int64(total)), count(int64(worst)), v.Columns(), v.Label())
	return chart.Stacked(spec)
}

// errorChart draws the share of requests that were errors, of the client and of the server.
func errorChart(v view, all []chart.Series) chart.Chart {
	total := make([]float64, v.Columns())
	client, server := chart.Series{Name: "4xx", Class: "s4"}, chart.Series{Name: "5xx", Class: "s5"}
	for _, s := range all {
		for i, n := range s.Values {
			total[i] += n
		}
		switch s.Class {
		case "s4":
			client.Values = append([]float64{}, s.Values...)
		case "s5":
			server.Values = append([]float64{}, s.Values...)
		}
	}
	for i, n := range total { // no rate without requests
		client.Values[i] = ratio(client.Values[i], n)
		server.Values[i] = ratio(server.Values[i], n)
	}
	s := v.spec("errors", "Error rate", []chart.Series{client, server})
	s.Desc = "Share of requests answered 4xx and 5xx, " + v.Label() + "."
	s.Least, s.Format = 0.01, percent
	return chart.Lines(s)
}

// latencyChart draws the latency's percentiles over time.
func latencyChart(ctx context.Context, db *sql.DB, v view) (chart.Chart, error) {
	q := v.query()
	q.By, q.Every, q.RowsOnly, q.CountsOnly = []query.Dimension{query.Step}, v.Step, true, false
	r, err := query.Run(ctx, db, q)
	if err != nil {
		return chart.Chart{}, err
	}
	all := []chart.Series{{Name: "p99", Class: "p99"}, {Name: "p95", Class: "p95"}, {Name: "p50", Class: "p50"}}
	for i := range all {
		all[i].Values = slices.Repeat([]float64{math.NaN()}, v.Columns())
	}
	for _, row := range r.Rows {
		i, err := strconv.Atoi(row.Keys[0].Value)
		if err != nil || i < 0 || i >= v.Columns() {
			panic("BUG: no column " + row.Keys[0].Value)
		}
		all[0].Values[i], all[1].Values[i], all[2].Values[i] = orNaN(row.P99), orNaN(row.P95), orNaN(row.P50)
	}
	s := v.spec("latency", "Latency", all)
	s.Desc = "Percentiles of the response time in milliseconds, " + v.Label() + "."
	s.Least, s.Format = 1, millis
	return chart.Lines(s), nil
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

// ratio returns part/whole, or NaN if whole is 0.
func ratio(part, whole float64) float64 {
	if whole == 0 {
		return math.NaN()
	}
	return part / whole
}

// spec returns the description of a chart over the view's range.
func (v view) spec(id, title string, all []chart.Series) chart.Spec {
	s := chart.Spec{ID: id, Title: title, Head: "Time (" + v.ZoneName() + ")", Ticks: chart.TimeTicks(v.From, v.To), Series: all,
		Zoom: &chart.Zoom{From: v.From.Unix(), Step: int64(v.Step / time.Second), Until: v.To.Unix()}}
	for i := range v.Columns() {
		s.Labels = append(s.Labels, v.columnLabel(i))
		if v.From.Add(time.Duration(i+1) * v.Step).After(v.now) {
			s.UnderWay++
		}
	}
	return s
}

// columnLabel returns the time of a column.
func (p period) columnLabel(i int) string {
	t := p.From.Add(time.Duration(i) * p.Step)
	hour, minute, second := t.Clock()
	switch {
	case p.Step < time.Minute:
		return t.Format("2 Jan 15:04:05")
	case p.Step >= 24*time.Hour && hour+minute+second == 0:
		return t.Format("Mon 2 Jan 2006")
	}
	return t.Format("2 Jan 15:04")
}

// orNaN returns a latency in milliseconds, or NaN if it is nil.
func orNaN(ms *int64) float64 {
	if ms == nil {
		return math.NaN()
	}
	return float64(*ms)
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

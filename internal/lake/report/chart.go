package report

import (
	"fmt"
	"math"
	"time"

	"github.com/stagelog/stagelog/internal/lake/chart"
	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
)

const (
	mostPoints = 1200 // a chart with more points has only those with requests
	halfHour   = 30 * time.Minute
	nameCells  = 26 // of a customer
)

// charts returns the charts over time.
func (p *Page) charts() []chart.Chart {
	points := p.points()
	each := string(p.Times.Query.By[0])
	base := chart.Spec{Head: each, Hover: true}
	for _, pt := range points {
		base.Labels = append(base.Labels, pt.Keys[0].Value)
	}
	base.Ticks = ticks(base.Labels)
	series := func(name, class string, value func(query.Measures) float64) chart.Series {
		s := chart.Series{Name: name, Class: class}
		for _, pt := range points {
			s.Values = append(s.Values, value(pt.Measures))
		}
		return s
	}
	requests := base
	requests.ID, requests.Title, requests.Counts = "requests", "Requests by "+each, true
	requests.Format = func(v float64) string { return table.Thousands(int64(v)) }
	requests.Desc = table.Plural(p.Times.Total.Requests, "request") + ", " + table.Plural(p.Times.Total.Errors, "error")
	requests.Series = []chart.Series{
		series("5xx and above", "s5", func(m query.Measures) float64 { return float64(m.Errors - m.Client) }),
		series("4xx", "s4", func(m query.Measures) float64 { return float64(m.Client) }),
		series("below 400", "s2", func(m query.Measures) float64 { return float64(m.Requests - m.Errors) }),
	}
	rates := base
	rates.ID, rates.Title, rates.Desc = "rates", "Error rate by "+each, "Share of requests answered 4xx and 5xx"
	rates.Least = 0.01
	rates.Format = func(v float64) string { return fmt.Sprintf("%.4g%%", v) }
	rates.Series = []chart.Series{
		series("4xx", "s4", func(m query.Measures) float64 { return 100 * query.Share(m.Client, m.Requests) }),
		series("5xx", "s5", func(m query.Measures) float64 { return 100 * query.Share(m.Server, m.Requests) }),
	}
	charts := []chart.Chart{chart.Stacked(requests), chart.Lines(rates)}
	if p.Times.Query.CountsOnly {
		return charts
	}
	latency := base
	latency.ID, latency.Title, latency.Desc = "latency", "Latency by "+each, "Percentiles of the response time"
	latency.Counts, latency.Format = true, formatLatency
	latency.Series = []chart.Series{
		series("p99", "p99", func(m query.Measures) float64 { return orNaN(m.P99) }),
		series("p95", "p95", func(m query.Measures) float64 { return orNaN(m.P95) }),
		series("p50", "p50", func(m query.Measures) float64 { return orNaN(m.P50) }),
	}
	return append(charts, chart.Lines(latency))
}

func orNaN(ms *int64) float64 {
	if ms == nil {
		return math.NaN()
	}
	return float64(*ms)
}

func formatLatency(ms float64) string {
	if math.IsNaN(ms) {
		return table.Latency(nil)
	}
	n := int64(ms)
	return table.Latency(&n)
}

// points returns the rows of the report over time, including times without requests.
func (p *Page) points() []query.Row {
	r := p.Times
	known := map[string]query.Row{}
	for _, row := range r.Rows {
		known[row.Keys[0].Value] = row
	}
	from, to := r.Span()
	var points []query.Row
	for _, name := range pieces(r.Query.By[0], from.In(r.Query.Zone), to) {
		row, ok := known[name]
		if !ok {
			row.Keys = []query.Value{{Value: name}}
		}
		points = append(points, row)
	}
	if len(points) > 0 && len(points) < mostPoints {
		return points
	}
	for _, row := range r.Rows {
		if row.Keys[0].Value != query.Missing {
			points = append(points, row)
		}
	}
	return points[max(0, len(points)-mostPoints):]
}

// pieces returns the names of all hours, days or months from from until before to.
func pieces(d query.Dimension, from, to time.Time) []string {
	var names []string
	for t := from; t.Before(to) && len(names) < mostPoints; {
		var name string
		year, month, day := t.Date()
		switch d {
		case query.Hour:
			name = t.Format("2006-01-02T15:00Z07:00")
			// Steps of half an hour, because some zones' clocks change by that.
			t = t.Truncate(halfHour).Add(halfHour)
		case query.Day:
			name = t.Format(query.DayLayout)
			t = time.Date(year, month, day+1, 0, 0, 0, 0, t.Location())
		default:
			name = t.Format(query.MonthLayout)
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, t.Location())
		}
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names
}

// ticks returns the labels below the columns, shortened.
func ticks(labels []string) []chart.Tick {
	all := chart.EachTick(labels)
	for i := range all {
		all[i].Label = short(all[i].Label)
	}
	return all
}

// short returns the name of an hour or day, shortened for an axis.
func short(name string) string {
	if t, err := time.Parse(query.HourLayout, name); err == nil {
		return t.Format("01-02 15:04")
	}
	if t, err := time.Parse(query.DayLayout, name); err == nil {
		return t.Format("01-02")
	}
	return name
}

// bars returns the chart of the customers with the most requests.
func (p *Page) bars() chart.Bars {
	r := p.Customers
	rows := r.Rows
	if r.Others != nil {
		others := *r.Others
		others.Keys = []query.Value{{Name: table.Plural(r.OtherRows, "other")}}
		rows = append(rows[:len(rows):len(rows)], others)
	}
	b := chart.Bars{ID: "customers", Title: "Customers with the most requests", Desc: fmt.Sprintf("%d shown", len(rows))}
	names := barNames(rows)
	for i, row := range rows {
		b.All = append(b.All, chart.Bar{
			Name: table.Shorten(names[i], nameCells), Value: float64(row.Requests), Part: float64(row.Errors),
			Text: fmt.Sprintf("%s (%s errors)", table.Thousands(row.Requests), table.Percent(row.Errors, row.Requests)),
		})
	}
	return chart.NewBars(b)
}

// barNames returns the customers' names, with the id if several customers have the same name.
func barNames(rows []query.Row) []string {
	shared := map[string]int{}
	for _, row := range rows {
		shared[row.Keys[0].Name]++
	}
	names := make([]string, len(rows))
	for i, row := range rows {
		key := row.Keys[0]
		switch {
		case key.Name == query.Missing && key.Value != query.Missing:
			names[i] = table.Shown(key.Value)
		case shared[key.Name] > 1 && key.Value != query.Missing:
			names[i] = table.Shown(key.Name) + " (" + table.Shown(key.Value) + ")"
		default:
			names[i] = table.Shown(key.Name)
		}
	}
	return names
}

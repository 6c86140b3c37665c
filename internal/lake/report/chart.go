package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake/query"
	"github.com/stagelog/stagelog/internal/lake/table"
)

// The drawing of a chart, in the units of its SVG.
const (
	chartWidth, chartHeight = 720.0, 220.0
	plotLeft, plotRight     = 64.0, 708.0
	plotTop, plotBottom     = 12.0, 190.0
	barHeight, barLeft      = 22.0, 200.0
	barRight                = 560.0
	mostTicks               = 8    // of time
	mostPoints              = 1200 // of a line: what is longer shows only pieces of time that have requests
	hoverable               = 400  // points that get an area of their own to point at
	halfHour                = 30 * time.Minute
	nameCells               = 26 // of a customer
)

// chart is one drawing. Areas are stacked on each other, lines are not.
type chart struct {
	Title, Label string // Label says for screen readers what is to be seen
	Width        float64
	Height       float64
	Y, X         []tick
	Paths        []path
	Bars         []bar
	Hovers       []hover
	Stacked      bool // drawn as columns
}

type tick struct {
	At   float64
	Text string
}

// path is one series. Class is its style, which is not colour alone.
type path struct{ Class, Name, D string }

// bar is one customer.
type bar struct {
	Y, Width, Errors float64 // Errors is the part of Width that failed
	Name, Text       string
}

// End is where the text after a bar begins.
func (b bar) End() float64 { return barLeft + b.Width + 6 }

// hover says what a point is when one points at it.
type hover struct {
	X, Width float64
	Text     string
}

// series is the values of one path, one for each point; NaN is none.
type series struct {
	class, name string
	values      []float64
}

func (p *Page) charts() []chart {
	points := p.Times.points()
	pick := func(value func(query.Measures) float64) []float64 {
		values := make([]float64, len(points))
		for i, pt := range points {
			values[i] = value(pt.Measures)
		}
		return values
	}
	count := func(v float64) string { return table.Thousands(int64(v)) }
	each := string(p.Times.Query.By[0])
	charts := []chart{
		draw("Requests by "+each, points, true, true, count,
			series{"ok", "below 400", pick(func(m query.Measures) float64 { return float64(m.Requests - m.Errors) })},
			series{"client", "4xx", pick(func(m query.Measures) float64 { return float64(m.Client) })},
			series{"server", "5xx and above", pick(func(m query.Measures) float64 { return float64(m.Errors - m.Client) })}),
		draw("Error rate by "+each, points, false, false, func(v float64) string { return fmt.Sprintf("%.4g%%", v) },
			series{"client", "4xx", pick(func(m query.Measures) float64 { return 100 * query.Share(m.Client, m.Requests) })},
			series{"server", "5xx", pick(func(m query.Measures) float64 { return 100 * query.Share(m.Server, m.Requests) })}),
	}
	if !p.Times.Query.CountsOnly {
		ms := func(of func(query.Measures) *int64) []float64 {
			return pick(func(m query.Measures) float64 {
				if v := of(m); v != nil {
					return float64(*v)
				}
				return math.NaN()
			})
		}
		charts = append(charts, draw("Latency by "+each, points, false, true, func(v float64) string { n := int64(v); return table.Latency(&n) },
			series{"p50", "p50", ms(func(m query.Measures) *int64 { return m.P50 })},
			series{"p95", "p95", ms(func(m query.Measures) *int64 { return m.P95 })},
			series{"p99", "p99", ms(func(m query.Measures) *int64 { return m.P99 })}))
	}
	return append(charts, p.Customers.bars())
}

// points is the rows of a report by time, with those between in which nothing happened.
func (r *Report) points() []query.Row {
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
		if row.Keys[0].Value != "-" {
			points = append(points, row)
		}
	}
	return points[max(0, len(points)-mostPoints):]
}

// pieces is the names of all pieces of time from from until before to.
func pieces(d query.Dimension, from, to time.Time) []string {
	var names []string
	for t := from; t.Before(to) && len(names) < mostPoints; {
		var name string
		year, month, day := t.Date()
		switch d {
		case query.Hour:
			name = t.Format("2006-01-02T15:00Z07:00")
			// Half hours, as there are clocks that change by one.
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

// draw places series over points of time. Where whole, the ticks are whole numbers.
func draw(title string, points []query.Row, stacked, whole bool, unit func(float64) string, all ...series) chart {
	c := chart{Title: title, Width: chartWidth, Height: chartHeight, Stacked: stacked}
	n := len(points)
	if n == 0 {
		c.Label = title + ": no requests"
		return c
	}
	top := make([]float64, n) // of the stack so far
	var most float64
	stacks := make([][]float64, len(all))
	for i, s := range all {
		stacks[i] = make([]float64, n)
		for j, v := range s.values {
			if stacked {
				top[j] += v
				v = top[j]
			}
			stacks[i][j] = v
			if v > most {
				most = v
			}
		}
	}
	scale := nice(most)
	if whole {
		scale = 4 * math.Ceil(scale/4) // ticks stand at quarters
	}
	step := (plotRight - plotLeft) / float64(n)
	x := func(i int) float64 { return plotLeft + (float64(i)+0.5)*step }
	y := func(v float64) float64 { return plotBottom - v/scale*(plotBottom-plotTop) }
	for i := range 5 {
		v := scale * float64(i) / 4
		c.Y = append(c.Y, tick{y(v), unit(v)})
	}
	for i := 0; i < n; i += (n + mostTicks - 1) / mostTicks {
		c.X = append(c.X, tick{x(i), short(points[i].Keys[0].Value)})
	}
	// The highest stack is drawn first, so that each one covers what is not its own.
	for i := len(all) - 1; i >= 0; i-- {
		d := lines(stacks[i], x, y)
		if stacked {
			d = columns(stacks[i], step, y)
		}
		c.Paths = append(c.Paths, path{all[i].class, all[i].name, d})
	}
	c.Label = fmt.Sprintf("%s, %s to %s, at most %s", title, points[0].Keys[0].Value, points[n-1].Keys[0].Value, unit(most))
	if n <= hoverable {
		for i, pt := range points {
			text := pt.Keys[0].Value
			for _, s := range all {
				if !math.IsNaN(s.values[i]) {
					text += "\n" + s.name + ": " + unit(s.values[i])
				}
			}
			c.Hovers = append(c.Hovers, hover{plotLeft + float64(i)*step, step, text})
		}
	}
	return c
}

// short is the name of a piece of time as an axis has room for it.
func short(name string) string {
	if t, err := time.Parse(query.HourLayout, name); err == nil {
		return t.Format("01-02 15:04")
	}
	if t, err := time.Parse(query.DayLayout, name); err == nil {
		return t.Format("01-02")
	}
	return name
}

// columns draws one column for each point.
func columns(values []float64, step float64, y func(float64) float64) string {
	var b strings.Builder
	gap := min(step*0.15, 3)
	for i, v := range values {
		if v > 0 {
			fmt.Fprintf(&b, "M%.2f %.2fV%.2fH%.2fV%.2fZ", plotLeft+float64(i)*step+gap/2, plotBottom, y(v), plotLeft+float64(i+1)*step-gap/2, plotBottom)
		}
	}
	return b.String()
}

// lines draws a line that is broken where there are no values. A value alone is a short dash.
func lines(values []float64, x func(int) float64, y func(float64) float64) string {
	var b strings.Builder
	for i, v := range values {
		switch {
		case math.IsNaN(v):
		case i == 0 || math.IsNaN(values[i-1]):
			fmt.Fprintf(&b, "M%.2f %.2fh1", x(i)-0.5, y(v))
		default:
			fmt.Fprintf(&b, "L%.2f %.2f", x(i), y(v))
		}
	}
	return b.String()
}

// nice is a round number that is not below v, and not 0.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	magnitude := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10} {
		if m*magnitude >= v {
			return m * magnitude
		}
	}
	return 10 * magnitude
}

// bars draws the customers of a report.
func (r *Report) bars() chart {
	rows := r.Rows
	if r.Others != nil {
		others := *r.Others
		others.Keys = []query.Value{{Name: table.Plural(r.OtherRows, "other")}}
		rows = append(rows[:len(rows):len(rows)], others)
	}
	c := chart{Title: "Customers with the most requests", Width: chartWidth, Height: barHeight*float64(len(rows)) + 8, Stacked: true}
	c.Label = fmt.Sprintf("%s: %d shown", c.Title, len(rows))
	names := barNames(rows)
	var most int64 = 1
	for _, row := range rows {
		most = max(most, row.Requests)
	}
	for i, row := range rows {
		width := float64(row.Requests) / float64(most) * (barRight - barLeft)
		c.Bars = append(c.Bars, bar{
			Y: 4 + barHeight*float64(i), Width: width, Errors: width * row.ErrorRate(),
			Name: table.Shorten(names[i], nameCells), Text: fmt.Sprintf("%s (%s errors)", table.Thousands(row.Requests), table.Percent(row.Errors, row.Requests)),
		})
	}
	return c
}

// barNames is what bars of customers are called: by name, and by id too where two have one name.
func barNames(rows []query.Row) []string {
	shared := map[string]int{}
	for _, row := range rows {
		shared[row.Keys[0].Name]++
	}
	names := make([]string, len(rows))
	for i, row := range rows {
		key := row.Keys[0]
		switch {
		case key.Name == "-" && key.Value != "-":
			names[i] = table.Shown(key.Value)
		case shared[key.Name] > 1 && key.Value != "-":
			names[i] = table.Shown(key.Name) + " (" + table.Shown(key.Value) + ")"
		default:
			names[i] = table.Shown(key.Name)
		}
	}
	return names
}

package console

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// series is one quantity of a chart, a value per column; NaN is none.
type series struct {
	Name   string
	Class  string // in the style sheet: gives the colour
	Values []float64
}

// chart is a drawing in SVG, and the table of what it shows. Its marks are in a space of Columns by 100 units that the
// browser stretches; its labels are placed in percent of what they label.
type chart struct {
	ID, Title, Desc string
	Columns         int
	Grid            string // path of the horizontal lines
	Y, X            []tick
	Marks           []mark
	Legend          []series
	Rows            []chartRow
	From            int64 // Unix seconds, for zooming
	Step            int64 // seconds
	Until           int64 // Unix seconds
}

// tick is a label on an axis, At in percent of its length.
type tick struct {
	At    float64
	Label string
	Minor bool // left out where there is little room
}

// mark is a path of one colour.
type mark struct{ D, Class string }

// chartRow is a column of the chart as a row of its table.
type chartRow struct {
	Label string
	Cells []string
}

// newChart has everything but the marks. whole says that the values are counts; format writes a value.
func newChart(id, title string, p period, all []series, top float64, whole bool, format func(float64) string) chart {
	max, step := axis(top, whole)
	c := chart{
		ID: id, Title: title, Columns: p.Columns(), Legend: all, X: timeTicks(p),
		From: p.From.Unix(), Step: int64(p.Step / time.Second), Until: p.To.Unix(),
	}
	var grid strings.Builder
	for v := 0.0; v <= max*1.001; v += step {
		at := 100 - v/max*100
		c.Y = append(c.Y, tick{At: round2(at), Label: format(v)})
		fmt.Fprintf(&grid, "M0 %.2fH%d", at, c.Columns)
	}
	c.Grid = grid.String()
	for i := range c.Columns {
		row := chartRow{Label: columnLabel(p, i)}
		for _, s := range all {
			row.Cells = append(row.Cells, format(s.Values[i]))
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

// stackedChart draws columns, the first series at the bottom. The column that is under way is a mark of its own.
func stackedChart(id, title string, p period, all []series) chart {
	n := p.Columns()
	top := 0.0
	for i := range n {
		sum := 0.0
		for _, s := range all {
			sum += s.Values[i]
		}
		top = math.Max(top, sum)
	}
	c := newChart(id, title, p, all, top, true, short)
	max, _ := axis(top, true)
	base := make([]float64, n)
	for _, s := range all {
		var done, underWay strings.Builder
		for i, v := range s.Values {
			if v <= 0 {
				continue
			}
			d := &done
			if p.underWay(i) {
				d = &underWay
			}
			y0, y1 := 100-base[i]/max*100, 100-(base[i]+v)/max*100
			fmt.Fprintf(d, "M%.2f %.2fV%.2fH%.2fV%.2fZ", float64(i)+0.08, y0, y1, float64(i)+0.92, y0)
			base[i] += v
		}
		c.add(done.String(), "col "+s.Class)
		c.add(underWay.String(), "col part "+s.Class)
	}
	return c
}

// lineChart draws a line per series, with gaps where there is no value; a value alone is a dot.
func lineChart(id, title string, p period, all []series, least float64, format func(float64) string) chart {
	top := least
	for _, s := range all {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				top = math.Max(top, v)
			}
		}
	}
	c := newChart(id, title, p, all, top, false, format)
	max, _ := axis(top, false)
	for _, s := range all {
		var line, dots strings.Builder
		has := func(i int) bool { return i >= 0 && i < len(s.Values) && !math.IsNaN(s.Values[i]) }
		for i, v := range s.Values {
			x, y := float64(i)+0.5, 100-v/max*100
			switch {
			case !has(i):
			case has(i - 1):
				fmt.Fprintf(&line, "L%.1f %.2f", x, y)
			case has(i + 1):
				fmt.Fprintf(&line, "M%.1f %.2f", x, y)
			default: // a line of no length, with round ends
				fmt.Fprintf(&dots, "M%.1f %.2fh0", x, y)
			}
		}
		c.add(line.String(), "line "+s.Class)
		c.add(dots.String(), "line dot "+s.Class)
	}
	return c
}

func (c *chart) add(d, class string) {
	if d != "" {
		c.Marks = append(c.Marks, mark{d, class})
	}
}

// underWay says whether column i has not ended yet.
func (p period) underWay(i int) bool {
	return p.From.Add(time.Duration(i+1) * p.Step).After(p.now)
}

// axis is the end of an axis that reaches top, and the distance of its lines: round numbers, three to five lines.
func axis(top float64, whole bool) (end, step float64) {
	if top <= 0 || math.IsNaN(top) || math.IsInf(top, 0) {
		top = 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(top/4)))
	step = 10 * unit
	for _, m := range []float64{1, 2, 2.5, 5} {
		if top/(m*unit) <= 4.001 {
			step = m * unit
			break
		}
	}
	if whole && step < 1 {
		step = 1
	}
	return math.Ceil(top/step-1e-9) * step, step
}

// timeTicks are about eight labels below the columns, at round times.
func timeTicks(p period) []tick {
	const day = 24 * time.Hour
	length := p.To.Sub(p.From)
	every := 30 * day
	for _, d := range []time.Duration{
		time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 4 * day, 7 * day, 14 * day,
	} {
		if length <= 9*d {
			every = d
			break
		}
	}
	for length > 12*every {
		every *= 2
	}
	layout := "15:04"
	switch {
	case every < time.Minute:
		layout = "15:04:05"
	case every >= day || length > 3*day:
		layout = "2 Jan"
	}
	var all []tick
	first := p.From.Truncate(every)
	for t := first; t.Before(p.To); t = t.Add(every) {
		at := float64(t.Sub(p.From)) / float64(length) * 100
		if at < 2 || at > 98 { // would be cut off
			continue
		}
		label := t.Format(layout)
		if layout == "15:04" && t.Hour() == 0 && t.Minute() == 0 {
			label = t.Format("2 Jan")
		}
		all = append(all, tick{At: round2(at), Label: label, Minor: len(all)%2 == 1})
	}
	return all
}

// columnLabel is the time of a column.
func columnLabel(p period, i int) string {
	t := p.From.Add(time.Duration(i) * p.Step)
	switch {
	case p.Step < time.Minute:
		return t.Format("2 Jan 15:04:05")
	case p.Step >= 24*time.Hour && t.Equal(t.Truncate(24*time.Hour)):
		return t.Format("Mon 2 Jan 2006")
	}
	return t.Format("2 Jan 15:04")
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

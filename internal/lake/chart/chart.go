// Package chart draws time series and bar charts as SVG, with a table of the same figures. Reports and the console share its
// templates in chart.html and its style in chart.css.
package chart

import (
	"fmt"
	"math"
	"strings"
)

// Series is one quantity of a chart: a value per column, NaN if missing.
type Series struct {
	Name   string
	Class  string // class in chart.css; sets the colour
	Values []float64
}

// Spec describes a chart.
type Spec struct {
	ID          string // unique on the page
	Title, Desc string
	Head        string   // of the labels in the table
	Labels      []string // of the columns
	Ticks       []Tick   // below the columns
	Series      []Series
	Format      func(float64) string // writes a value
	Counts      bool                 // values are whole numbers
	Least       float64              // minimum end of the axis
	UnderWay    int                  // number of columns, at the end, that are not complete
	Zoom        *Zoom                // nil disables zooming
	Hover       bool                 // columns have tooltips that need no JavaScript
}

// Zoom holds the times of the columns for the script that zooms: From and Until in Unix seconds, Step in seconds.
type Zoom struct{ From, Step, Until int64 }

// Tick is a label on an axis, At in percent of its length.
type Tick struct {
	At    float64
	Label string
	Minor bool // hidden on narrow pages
}

// Chart is a drawing and the table of its values. Its marks use a coordinate system of Columns by 100 units that the browser
// stretches; its labels are placed in percent.
type Chart struct {
	ID, Title, Desc string
	Head            string // of the table's first column
	Columns         int
	Grid            string // path of the horizontal lines
	Y, X            []Tick
	Marks           []Mark
	Legend          []Series
	Rows            []Row
	Zoom            *Zoom
	Hovers          []string // tooltip of each column; empty without Spec.Hover
}

// Mark is an SVG path with its class.
type Mark struct{ D, Class string }

// Row is the table row of one column.
type Row struct {
	Label string
	Cells []string
}

// mostHovers bounds the columns of a chart with tooltips.
const mostHovers = 400

// new returns the chart without marks, with an axis that includes top, and the end of that axis.
func (s Spec) new(top float64) (c Chart, end float64) {
	end, step := Axis(max(top, s.Least), s.Counts)
	c = Chart{ID: s.ID, Title: s.Title, Desc: s.Desc, Head: s.Head, Columns: len(s.Labels), Legend: s.Series, X: s.Ticks, Zoom: s.Zoom}
	var grid strings.Builder
	for v := 0.0; v <= end*1.001; v += step {
		at := 100 - v/end*100
		c.Y = append(c.Y, Tick{At: round2(at), Label: s.Format(v)})
		fmt.Fprintf(&grid, "M0 %.2fH%d", at, c.Columns)
	}
	c.Grid = grid.String()
	for i, label := range s.Labels {
		row, hover := Row{Label: label}, label
		for _, series := range s.Series {
			row.Cells = append(row.Cells, s.Format(series.Values[i]))
			if !math.IsNaN(series.Values[i]) {
				hover += "\n" + series.Name + ": " + s.Format(series.Values[i])
			}
		}
		c.Rows = append(c.Rows, row)
		if s.Hover && len(s.Labels) <= mostHovers {
			c.Hovers = append(c.Hovers, hover)
		}
	}
	return c, end
}

// Stacked draws stacked columns, the first series at the bottom. Incomplete columns are separate marks.
func Stacked(s Spec) Chart {
	n := len(s.Labels)
	top := 0.0
	for i := range n {
		sum := 0.0
		for _, series := range s.Series {
			sum += series.Values[i]
		}
		top = max(top, sum)
	}
	c, end := s.new(top)
	base := make([]float64, n)
	for _, series := range s.Series {
		var ended, underWay strings.Builder
		for i, v := range series.Values {
			if v <= 0 {
				continue
			}
			d := &ended
			if i >= n-s.UnderWay {
				d = &underWay
			}
			y0, y1 := 100-base[i]/end*100, 100-(base[i]+v)/end*100
			fmt.Fprintf(d, "M%.2f %.2fV%.2fH%.2fV%.2fZ", float64(i)+0.08, y0, y1, float64(i)+0.92, y0)
			base[i] += v
		}
		c.add(ended.String(), "col "+series.Class)
		c.add(underWay.String(), "col part "+series.Class)
	}
	return c
}

// Lines draws a line per series, with gaps for missing values; an isolated value is a dot.
func Lines(s Spec) Chart {
	top := 0.0
	for _, series := range s.Series {
		for _, v := range series.Values {
			if !math.IsNaN(v) {
				top = max(top, v)
			}
		}
	}
	c, end := s.new(top)
	for _, series := range s.Series {
		var line, dots strings.Builder
		has := func(i int) bool { return i >= 0 && i < len(series.Values) && !math.IsNaN(series.Values[i]) }
		for i, v := range series.Values {
			x, y := float64(i)+0.5, 100-v/end*100
			switch {
			case !has(i):
			case has(i - 1):
				fmt.Fprintf(&line, "L%.1f %.2f", x, y)
			case has(i + 1):
				fmt.Fprintf(&line, "M%.1f %.2f", x, y)
			default: // a line of zero length with round ends
				fmt.Fprintf(&dots, "M%.1f %.2fh0", x, y)
			}
		}
		c.add(line.String(), "line "+series.Class)
		c.add(dots.String(), "line dot "+series.Class)
	}
	return c
}

func (c *Chart) add(d, class string) {
	if d != "" {
		c.Marks = append(c.Marks, Mark{d, class})
	}
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

// Bars is a horizontal bar chart.
type Bars struct {
	ID, Title, Desc string
	All             []Bar
}

// Bar is one bar of Bars.
type Bar struct {
	Name, Text string
	Value      float64
	Part       float64 // the part of Value that failed

	Width, PartWidth float64 // in percent of the space for bars; set by NewBars
}

// NewBars sets the widths of the bars. The largest is 100 percent wide.
func NewBars(b Bars) Bars {
	most := 0.0
	for _, bar := range b.All {
		most = max(most, bar.Value)
	}
	for i := range b.All {
		bar := &b.All[i]
		if most > 0 {
			bar.Width, bar.PartWidth = round2(bar.Value/most*100), round2(bar.Part/most*100)
		}
	}
	return b
}

package chart

import (
	"bytes"
	"html/template"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAxesAreRound(t *testing.T) {
	for top := 0.001; top < 1e7; top *= 1.37 {
		end, step := Axis(top, false)
		if lines := end / step; end < top*0.999999 || lines < 1.9 || lines > 5.001 {
			t.Errorf("Axis(%v): got %v in steps of %v", top, end, step)
		}
	}
	if end, step := Axis(1, true); end != 1 || step != 1 {
		t.Errorf("Axis of one request: got %v in steps of %v, want 1 in steps of 1", end, step)
	}
}

func spec() Spec {
	return Spec{ID: "x", Title: "Requests", Labels: []string{"one", "two", "three"}, Counts: true, UnderWay: 1, Hover: true,
		Format: func(v float64) string {
			return template.HTMLEscapeString(strings.TrimSuffix(time.Duration(v*1e9).String(), "s"))
		},
		Series: []Series{{"5xx", "s5", []float64{1, 0, 1}}, {"2xx", "s2", []float64{3, 2, 1}}}}
}

func TestStackedDrawsColumnsOnEachOther(t *testing.T) {
	c := Stacked(spec())
	want := []Mark{
		{"M0.08 100.00V75.00H0.92V100.00Z", "col s5"}, {"M2.08 100.00V75.00H2.92V100.00Z", "col part s5"},
		{"M0.08 75.00V0.00H0.92V75.00ZM1.08 100.00V50.00H1.92V100.00Z", "col s2"}, {"M2.08 75.00V50.00H2.92V75.00Z", "col part s2"},
	}
	if diff := cmp.Diff(want, c.Marks); diff != "" {
		t.Errorf("marks (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]Row{{"one", []string{"1", "3"}}, {"two", []string{"0", "2"}}, {"three", []string{"1", "1"}}}, c.Rows); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
	if c.Hovers[1] != "two\n5xx: 0\n2xx: 2" {
		t.Errorf("hover %q", c.Hovers[1])
	}
}

func TestLinesHaveGapsAndDots(t *testing.T) {
	nan := math.NaN()
	s := spec()
	s.Labels = []string{"a", "b", "c", "d", "e"}
	s.Series = []Series{{"p99", "p99", []float64{4, 2, nan, 1, nan}}}
	c := Lines(s)
	if diff := cmp.Diff([]Mark{{"M0.5 0.00L1.5 50.00", "line p99"}, {"M3.5 75.00h0", "line dot p99"}}, c.Marks); diff != "" {
		t.Errorf("marks (-want +got)\n%s", diff)
	}
}

func TestEmptyChartsRender(t *testing.T) {
	s := Spec{ID: "x", Format: func(float64) string { return "" }, Series: []Series{{Name: "5xx"}}}
	var b bytes.Buffer
	for _, c := range []Chart{Stacked(s), Lines(s)} {
		if err := Define(template.New("")).ExecuteTemplate(&b, "chart", c); err != nil {
			t.Error(err)
		}
	}
	if err := Define(template.New("")).ExecuteTemplate(&b, "bar-chart", NewBars(Bars{All: []Bar{{Name: "none"}}})); err != nil {
		t.Error(err)
	}
}

func TestNewBarsSetsWidths(t *testing.T) {
	b := NewBars(Bars{All: []Bar{{Value: 200, Part: 50}, {Value: 50}}})
	if diff := cmp.Diff([]Bar{{Value: 200, Part: 50, Width: 100, PartWidth: 25}, {Value: 50, Width: 25}}, b.All); diff != "" {
		t.Errorf("bars (-want +got)\n%s", diff)
	}
}

// Ticks are at round times in the zone of the period.
func TestTicksAreRoundInTheirZone(t *testing.T) {
	kolkata := time.FixedZone("", 19800)
	from := time.Date(2026, 3, 13, 20, 0, 0, 0, kolkata)
	var labels []string
	for _, tick := range TimeTicks(from, from.Add(24*time.Hour)) {
		labels = append(labels, tick.Label)
	}
	if got := strings.Join(labels, " "); got != "21:00 14 Mar 03:00 06:00 09:00 12:00 15:00 18:00" {
		t.Errorf("ticks %s", got)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	labels = nil
	from = time.Date(2026, 3, 26, 0, 0, 0, 0, berlin) // clocks change on the 29th
	for _, tick := range TimeTicks(from, from.AddDate(0, 0, 6)) {
		labels = append(labels, tick.Label)
	}
	if got := strings.Join(labels, " "); got != "27 Mar 28 Mar 29 Mar 30 Mar 31 Mar" {
		t.Errorf("ticks over a change of clocks: %s", got)
	}
	if ticks := EachTick([]string{"a", "b"}); len(ticks) != 2 || ticks[0].At != 25 || ticks[1].At != 75 {
		t.Errorf("EachTick: %v", ticks)
	}
}

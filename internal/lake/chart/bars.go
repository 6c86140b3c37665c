package chart

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

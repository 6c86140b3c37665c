package chart

import (
	"math"
	"time"
)

// Axis returns the end of an axis that includes top, and the distance between its lines: round numbers, for three to five lines.
func Axis(top float64, whole bool) (end, step float64) {
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

// mostTicks is the approximate number of labels that fit below the columns.
const mostTicks = 8

const day = 24 * time.Hour

// TimeTicks returns about eight labels for a period, at round times of from's zone.
func TimeTicks(from, to time.Time) []Tick {
	length := to.Sub(from)
	every := tickDistance(length)
	layout := "15:04"
	switch {
	case every < time.Minute:
		layout = "15:04:05"
	case every >= day || length > 3*day:
		layout = "2 Jan"
	}
	var all []Tick
	for t := Truncate(from, every); t.Before(to); t = next(t, every) {
		at := float64(t.Sub(from)) / float64(length) * 100
		if at < 2 || at > 98 { // would be clipped
			continue
		}
		label := t.Format(layout)
		if layout == "15:04" && t.Hour() == 0 && t.Minute() == 0 {
			label = t.Format("2 Jan")
		}
		all = append(all, Tick{At: round2(at), Label: label, Minor: len(all)%2 == 1})
	}
	return all
}

func tickDistance(length time.Duration) time.Duration {
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
	return every
}

// Truncate rounds what clocks show at t down to a multiple of d.
func Truncate(t time.Time, d time.Duration) time.Time {
	_, offset := t.Zone()
	ahead := time.Duration(offset) * time.Second
	return t.Add(ahead).Truncate(d).Add(-ahead)
}

// next returns the time at which clocks show d more than at t.
func next(t time.Time, d time.Duration) time.Time {
	after := t.Add(d)
	_, was := t.Zone()
	_, is := after.Zone()
	return after.Add(time.Duration(was-is) * time.Second)
}

// EachTick returns up to mostTicks of the labels, centred below their columns.
func EachTick(labels []string) []Tick {
	var all []Tick
	n := len(labels)
	for i := 0; i < n; i += (n + mostTicks - 1) / mostTicks {
		all = append(all, Tick{At: round2((float64(i) + 0.5) / float64(n) * 100), Label: labels[i], Minor: len(all)%2 == 1})
	}
	return all
}

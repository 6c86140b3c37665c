package console

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// timeLayout is how a time stands in an address and in a datetime-local field. It is UTC.
const timeLayout = "2006-01-02T15:04:05"

// maxColumns bounds the columns of a chart over a range of a person's own.
const maxColumns = 90

// span is a range that ends now.
type span struct {
	name, label string
	length      time.Duration
	step        time.Duration // the width of a chart's column
}

// spans are the ranges to choose from.
func spans() []span {
	const day = 24 * time.Hour
	return []span{
		{"15m", "15 min", 15 * time.Minute, 15 * time.Second},
		{"1h", "1 hour", time.Hour, time.Minute},
		{"24h", "24 hours", day, 20 * time.Minute},
		{"7d", "7 days", 7 * day, 2 * time.Hour},
		{"30d", "30 days", 30 * day, 12 * time.Hour},
	}
}

// defaultSpan is the range of an address that names none.
const defaultSpan = "24h"

// period is a range of time, From included and To not, cut into columns of Step.
type period struct {
	Name     string // of a span, or "custom"
	From, To time.Time
	Step     time.Duration
	now      time.Time
}

// parsePeriod reads range, from and to. A range that ends now begins and ends at a whole step, so that the columns of a
// chart do not change from one second to the next; its last column is under way.
func parsePeriod(v url.Values, now time.Time) (period, error) {
	now = now.UTC()
	name := v.Get("range")
	if v.Get("from") != "" || v.Get("to") != "" {
		name = "custom"
	}
	if name == "" {
		name = defaultSpan
	}
	if name == "custom" {
		return parseCustom(v.Get("from"), v.Get("to"), now)
	}
	all := spans()
	i := slices.IndexFunc(all, func(s span) bool { return s.name == name })
	if i < 0 {
		return period{}, fmt.Errorf("range=%s is no range: use 15m, 1h, 24h, 7d or 30d, or from and to", name)
	}
	to := now.Truncate(all[i].step).Add(all[i].step)
	return period{Name: name, From: to.Add(-all[i].length), To: to, Step: all[i].step, now: now}, nil
}

func parseCustom(from, to string, now time.Time) (period, error) {
	p := period{Name: "custom", To: now, now: now}
	var err error
	if to != "" {
		if p.To, err = parseTime(to); err != nil {
			return p, fmt.Errorf("to=%s: %w", to, err)
		}
	}
	p.From = p.To.Add(-24 * time.Hour)
	if from != "" {
		if p.From, err = parseTime(from); err != nil {
			return p, fmt.Errorf("from=%s: %w", from, err)
		}
	}
	if !p.From.Before(p.To) {
		return p, fmt.Errorf("from=%s is not before to=%s", p.From.Format(timeLayout), p.To.Format(timeLayout))
	}
	p.Step = stepFor(p.To.Sub(p.From))
	return p, nil
}

// parseTime reads a time as people and datetime-local fields write it, in UTC.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{timeLayout, "2006-01-02T15:04", "2006-01-02", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("not a time: use 2026-01-31T15:04 (UTC)")
}

// stepFor is the width of a column of a chart over so long a range.
func stepFor(length time.Duration) time.Duration {
	const day = 24 * time.Hour
	for _, step := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		day, 7 * day, 30 * day,
	} {
		if length <= maxColumns*step {
			return step
		}
	}
	return (length / maxColumns).Truncate(day) + day
}

// Columns is how many columns a chart over the range has; the last may be narrower than Step.
func (p period) Columns() int {
	return int((p.To.Sub(p.From) + p.Step - 1) / p.Step)
}

// before is the range to compare with: as long before, and ended as far before as now is, where the range is under way.
func (p period) before() (from, to time.Time) {
	length := p.To.Sub(p.From)
	end := p.To
	if p.now.Before(end) && p.now.After(p.From) {
		end = p.now
	}
	return p.From.Add(-length), end.Add(-length)
}

// Label says the range in words.
func (p period) Label() string {
	for _, s := range spans() {
		if s.name == p.Name {
			return "last " + s.label
		}
	}
	return p.Dates()
}

// Dates says from when to when, in UTC.
func (p period) Dates() string { return dates(p.From, p.To) + " UTC" }

// dates says from when to when; what both have in common once.
func dates(from, to time.Time) string {
	first, last := stamp(from), stamp(to)
	switch {
	case from.Format(time.DateOnly) == to.Format(time.DateOnly):
		last = last[strings.LastIndexByte(last, ' ')+1:]
	case from.Year() == to.Year():
		first = strings.Replace(first, from.Format(" 2006 "), " ", 1)
	}
	return first + " – " + last
}

// stamp is a time for people, as short as it can be said.
func stamp(t time.Time) string {
	if t.Second() != 0 {
		return t.UTC().Format("2 Jan 2006 15:04:05")
	}
	return t.UTC().Format("2 Jan 2006 15:04")
}

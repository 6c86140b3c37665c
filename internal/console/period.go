package console

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake/chart"
	"github.com/stagelog/stagelog/internal/lake/query"
)

// timeLayout is the format of times in datetime-local fields and, for UTC, in URLs.
const timeLayout = "2006-01-02T15:04:05"

// maxColumns bounds the columns of a chart over a custom range.
const maxColumns = 90

// span is a range that ends now.
type span struct {
	name, label string
	length      time.Duration
	step        time.Duration // the width of a chart's column
}

// spans returns the predefined ranges.
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

// defaultSpan is the range of a URL without one.
const defaultSpan = "24h"

// period is a range of time, From included and To excluded, divided into columns of Step.
type period struct {
	Name     string // of a span, or "custom"
	From, To time.Time
	Step     time.Duration
	now      time.Time
	zone     *time.Location // of From, To and every time that the page shows; nil is UTC
}

// utc is the time zone of a URL without one.
const utc = "UTC"

// ZoneName returns the name of the zone.
func (p period) ZoneName() string {
	if p.zone == nil {
		return utc
	}
	return p.zone.String()
}

// inAddress formats a time for a URL: in UTC without a zone, else with its offset, as local times may be ambiguous.
func (p period) inAddress(t time.Time) string {
	if p.ZoneName() == utc {
		return t.UTC().Format(timeLayout)
	}
	return t.In(p.zone).Format(time.RFC3339)
}

// zoneSuffix returns the zone as a further query parameter, or "" for UTC.
func (p period) zoneSuffix() string {
	if p.ZoneName() == utc {
		return ""
	}
	return "&zone=" + url.QueryEscape(p.ZoneName())
}

// parsePeriod parses range, from, to and zone. A predefined range begins and ends at a whole step, so that the columns of a
// chart do not change every second; its last column is incomplete.
func parsePeriod(v url.Values, now time.Time) (period, error) {
	zone, err := query.ParseZone(v.Get("zone"))
	if err != nil {
		return period{zone: time.UTC}, err
	}
	now = now.In(zone)
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
		return period{zone: zone}, fmt.Errorf("unknown range %q; use 15m, 1h, 24h, 7d or 30d, or from and to", name)
	}
	to := chart.Truncate(now, all[i].step).Add(all[i].step)
	return period{Name: name, From: to.Add(-all[i].length), To: to, Step: all[i].step, now: now, zone: zone}, nil
}

func parseCustom(from, to string, now time.Time) (period, error) {
	p := period{Name: "custom", To: now, now: now, zone: now.Location()}
	var err error
	if to != "" {
		if p.To, err = parseTime(to, p.zone); err != nil {
			return p, fmt.Errorf("to=%s: %w", to, err)
		}
	}
	p.From = p.To.Add(-24 * time.Hour)
	if from != "" {
		if p.From, err = parseTime(from, p.zone); err != nil {
			return p, fmt.Errorf("from=%s: %w", from, err)
		}
	}
	if !p.From.Before(p.To) {
		return p, fmt.Errorf("from=%s is not before to=%s", p.From.Format(timeLayout), p.To.Format(timeLayout))
	}
	p.Step = stepFor(p.To.Sub(p.From))
	return p, nil
}

// parseTime parses a time from a user or a datetime-local field, in a zone.
func parseTime(text string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{timeLayout, "2006-01-02T15:04", "2006-01-02", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.In(zone), nil
		}
	}
	return time.Time{}, errors.New("invalid time; use the form 2026-01-31T15:04")
}

// stepFor returns the width of a chart's columns for a range of the given length.
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

// Columns returns the number of columns of a chart; the last may be narrower than Step.
func (p period) Columns() int {
	return int((p.To.Sub(p.From) + p.Step - 1) / p.Step)
}

// before returns the previous period of the same length. If the period is not over, the previous one ends at the same offset.
func (p period) before() (from, to time.Time) {
	length := p.To.Sub(p.From)
	end := p.To
	if p.now.Before(end) && p.now.After(p.From) {
		end = p.now
	}
	return p.From.Add(-length), end.Add(-length)
}

// Label returns the range in words.
func (p period) Label() string {
	for _, s := range spans() {
		if s.name == p.Name {
			return "last " + s.label
		}
	}
	return p.Dates()
}

// Dates returns the period's beginning and end with its zone.
func (p period) Dates() string { return dates(p.From, p.To) + " " + p.ZoneName() }

// dates formats two times without repeating their common parts.
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

// stamp formats a time, without seconds if they are 0.
func stamp(t time.Time) string {
	if t.Second() != 0 {
		return t.Format("2 Jan 2006 15:04:05")
	}
	return t.Format("2 Jan 2006 15:04")
}

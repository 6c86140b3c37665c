package query

import (
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Match reports whether the filter selects a request that is not in a lake. Hours, days and months are those of zone;
// nil is UTC.
func (f Filter) Match(r lake.Request, zone *time.Location) bool {
	alternatives := map[Dimension]bool{} // by dimension: whether one of them holds
	for _, c := range f {
		holds := c.matches(r, zone)
		if c.Not {
			if holds {
				return false
			}
			continue
		}
		alternatives[c.Dimension] = alternatives[c.Dimension] || holds
	}
	for _, holds := range alternatives {
		if !holds {
			return false
		}
	}
	return true
}

// matches compares c's pattern with the request, without regard to Not.
func (c Condition) matches(r lake.Request, zone *time.Location) bool {
	if of, ok := c.statuses(); ok {
		n, err := strconv.ParseInt(r.Status, 10, 64)
		return err == nil && of.low <= n && n <= of.high
	}
	id, text := c.Dimension.of(r, zone)
	if c.Dimension.Named() {
		if c.Pattern == Missing {
			return text == ""
		}
		return matchGlob(c.Pattern, id) || matchGlob(c.Pattern, text)
	}
	return matchGlob(c.Pattern, text)
}

// of returns the request's value in d, and its id where d is named; "" is missing.
func (d Dimension) of(r lake.Request, zone *time.Location) (id, text string) {
	switch {
	case d.Timed():
		return "", d.ofTime(r.Time, zone)
	case d == Class && r.Status != "":
		return "", r.Status[:1] + "xx"
	}
	return map[Dimension]string{Customer: r.KeyID, Plan: r.UsagePlanID}[d], map[Dimension]string{
		Customer: r.Customer, Key: r.KeyID, Plan: r.UsagePlan, API: r.API, Stage: r.Stage, Method: r.Method, Route: r.Route, Path: r.Path,
		Status: r.Status, IP: r.IP, UserAgent: r.UserAgent, Error: r.ErrorMsg,
	}[d]
}

func (d Dimension) ofTime(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format(map[Dimension]string{Hour: "2006-01-02T15:00Z07:00", Day: DayLayout, Month: MonthLayout}[d])
}

// matchGlob compares a value with a pattern as the SQL does. A missing value is "-".
func matchGlob(pattern, value string) bool {
	if value == "" {
		value = Missing
	}
	// This byte, which stands for an escaped star, cannot be part of valid UTF-8.
	const star = "\xff"
	parts := strings.Split(strings.ReplaceAll(pattern, `\*`, star), "*")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], star, "*")
	}
	if len(parts) == 1 {
		return parts[0] == value
	}
	rest, ok := strings.CutPrefix(value, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		var found bool
		if _, rest, found = strings.Cut(rest, part); !found {
			return false
		}
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}

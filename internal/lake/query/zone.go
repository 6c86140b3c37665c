package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// maxChanges bounds the clock changes in one statement: those of more than two centuries. A time beyond them
// has the offset of the last.
const maxChanges = 500

// zone generates SQL that converts the lake's UTC to local time. It uses Go's time zone database, so that reports and invoices
// agree and zones without a name work. It puts only integers into SQL.
type zone struct {
	until   []int64 // Unix seconds at which an offset ends; one less than offsets
	offsets []int   // seconds east of UTC
}

// newZone returns the offsets of loc between two times.
func newZone(loc *time.Location, from, to time.Time) zone {
	var z zone
	for t := from.In(loc); ; {
		_, offset := t.Zone()
		z.offsets = append(z.offsets, offset)
		_, end := t.ZoneBounds()
		if end.IsZero() || !end.Before(to) || len(z.until) == maxChanges {
			return z
		}
		z.until = append(z.until, end.Unix())
		t = end
	}
}

// offset returns the SQL for the seconds east of UTC at t.
func (z zone) offset(t string) string { return z.scaled(t, 1) }

// local returns the SQL for the local time at t. It adds integers, as intervals take twice as long.
func (z zone) local(t string) string {
	if o := z.scaled(t, microseconds); o != "0" {
		return fmt.Sprintf("make_timestamp(epoch_us(%s) + %s)", t, o)
	}
	return t
}

const microseconds = 1_000_000 // of a second

// scaled returns the SQL for the offset at t in parts of a second.
func (z zone) scaled(t string, parts int64) string {
	if len(z.until) == 0 {
		return fmt.Sprint(int64(z.offsets[0]) * parts)
	}
	var b strings.Builder
	b.WriteString("CASE")
	for i, end := range z.until {
		fmt.Fprintf(&b, " WHEN %s < make_timestamp(%d) THEN %d", t, end*microseconds, int64(z.offsets[i])*parts)
	}
	fmt.Fprintf(&b, " ELSE %d END", int64(z.offsets[len(z.offsets)-1])*parts)
	return b.String()
}

// suffix returns the SQL that formats an offset like +02:00.
func (z zone) suffix(offset string) string {
	all := slices.Compact(slices.Sorted(slices.Values(z.offsets)))
	var b strings.Builder
	b.WriteString("CASE " + offset)
	for _, o := range all {
		fmt.Fprintf(&b, " WHEN %d THEN '%s'", o, time.Unix(0, 0).In(time.FixedZone("", o)).Format("Z07:00"))
	}
	b.WriteString(" END")
	return b.String()
}

// ParseZone returns the time zone of a name like Europe/Berlin; "" is UTC.
func ParseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, fmt.Errorf("zone %s: expected a name like Europe/Berlin", table.Printable(name))
	}
	return zone, nil
}

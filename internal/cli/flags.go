package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// size is a flag value for a number of bytes: whole KiB, MiB, GiB or TiB.
type size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// String returns the size in the largest unit of which it is a whole number.
func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	shown := fmt.Sprintf("%d", int64(*s))
	for _, u := range sizeUnits {
		if int64(*s)%u.bytes == 0 {
			shown = fmt.Sprintf("%d%s", int64(*s)/u.bytes, u.name)
		}
	}
	return shown
}

// Type returns the name of the value in the help.
func (s *size) Type() string { return "size" }

// Set parses the flag's value.
func (s *size) Set(text string) error {
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*s = size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("expected a size like 512MiB or 20GiB")
}

// when is a flag value for a time: RFC 3339, a date, or a date and a time, in UTC unless in is called, or an age, like 90m,
// 24h and 7d.
type when struct {
	time.Time
	now      func() time.Time
	zoneless bool // given as a date, with or without a time of the day
}

const whenHelp = "2026-11-23, 2026-11-23T08:00, RFC 3339 with a zone, or an age: 90m, 24h, 7d"

// in takes a value without a zone as a time in zone.
func (w *when) in(zone *time.Location) *when {
	if w.zoneless {
		t := w.Time
		return &when{Time: time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, zone).UTC()}
	}
	return w
}

// or returns the flag's value, or otherwise if it was not given.
func (w *when) or(otherwise time.Time) time.Time {
	if w.IsZero() {
		return otherwise
	}
	return w.Time
}

// String returns the parsed time.
func (w *when) String() string {
	if w.IsZero() {
		return ""
	}
	return w.Format(time.RFC3339)
}

// Type returns the name of the value in the help.
func (w *when) Type() string { return "time" }

// Set parses the flag's value.
func (w *when) Set(text string) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			w.Time, w.zoneless = at.UTC(), layout != time.RFC3339
			return nil
		}
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 {
		return fmt.Errorf("expected %s", whenHelp)
	}
	w.Time, w.zoneless = w.now().Add(-ago).UTC(), false
	return nil
}

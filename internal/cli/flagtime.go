package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// when is a flag value for a time: RFC 3339, a date, or a date and a time, in UTC by default, or an age, like 90m,
// 24h and 7d.
type when struct {
	time.Time
	now func() time.Time
}

const whenHelp = "2026-11-23, 2026-11-23T08:00, RFC 3339 with a zone, or an age: 90m, 24h, 7d"

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
			w.Time = at.UTC()
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
	w.Time = w.now().Add(-ago).UTC()
	return nil
}

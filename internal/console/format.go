package console

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// count formats a whole number with thousands separators.
func count(n int64) string {
	return strings.Replace(table.Thousands(n), "-", "−", 1)
}

// short formats a number with about three digits: 1.24M.
func short(n float64) string {
	if math.IsNaN(n) {
		return "–"
	}
	abs := math.Abs(n)
	for _, unit := range []struct {
		from, size float64
		name       string
	}{{999.5e9, 1e12, "T"}, {999.5e6, 1e9, "G"}, {999.5e3, 1e6, "M"}, {1e4, 1e3, "k"}} {
		if abs >= unit.from {
			return digits(n/unit.size) + unit.name
		}
	}
	if abs >= 100 || n == math.Trunc(n) {
		return count(int64(math.Round(n)))
	}
	return digits(n)
}

// digits formats a number with three digits, without trailing zeros.
func digits(n float64) string {
	places := 2
	switch abs := math.Abs(n); {
	case abs >= 100:
		places = 0
	case abs >= 10:
		places = 1
	}
	text := strconv.FormatFloat(n, 'f', places, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return strings.Replace(text, "-", "−", 1)
}

// byteSize formats a number of bytes.
func byteSize(n int64) string {
	v := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if math.Abs(v) < 1024 || unit == "TiB" {
			return digits(v) + "\u00a0" + unit
		}
		v /= 1024
	}
	panic("BUG: no unit left")
}

// millis formats a time in milliseconds.
func millis(ms float64) string {
	switch {
	case math.IsNaN(ms):
		return "–"
	case ms >= 1000:
		return digits(ms/1000) + "\u00a0s"
	}
	return short(ms) + "\u00a0ms"
}

// took formats a time in whole milliseconds, for columns.
func took(ms float64) string {
	if math.IsNaN(ms) {
		return "–"
	}
	return count(int64(math.Round(ms))) + "\u00a0ms"
}

// percent formats a share from 0 to 1.
func percent(share float64) string {
	switch p := share * 100; {
	case math.IsNaN(p):
		return "–"
	case p > 0 && p < 0.01:
		return "<0.01%"
	case p < 100 && p > 99.9:
		return ">99.9%"
	default:
		return digits(p) + "%"
	}
}

// clock formats a date and time with milliseconds.
func clock(t time.Time) string { return t.Format("2006-01-02 15:04:05.000") }

// age formats a duration in one or two units.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// statusClass returns the CSS class of a status.
func statusClass(status int64) string {
	if status < 100 || status > 599 {
		return "sx"
	}
	return "s" + strconv.FormatInt(status/100, 10)
}

// orNone returns a value, or a dash if it is "".
func orNone(s string) string {
	return cmp.Or(s, "–")
}

package lake

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// parseTime parses a time in seconds, milliseconds, microseconds or nanoseconds since 1970, depending on its size, in
// common log format, or in the forms of ISO 8601 that databases and log shippers write. It returns microseconds since 1970.
// zoneless reports that the text has no time zone and was read as UTC.
func parseTime(text []byte) (micros int64, zoneless, ok bool) {
	if n, ok := parseNumber(text); ok {
		switch {
		case n < 1e8:
			return 0, false, false
		case n < 1e11:
			return n * 1e6, false, true
		case n < 1e14:
			return n * 1e3, false, true
		case n < 1e17:
			return n, false, true
		}
		return n / 1e3, false, true
	}
	if t, ok := parseCLF(text); ok {
		return t, false, true
	}
	if len(text) > maxTimeBytes {
		return 0, false, false
	}
	if f, ok := parseDecimal(text); ok {
		switch {
		case f < 1e8 || f > math.MaxInt64:
			return 0, false, false
		case f < 1e11:
			return int64(math.Round(f * 1e6)), false, true
		case f < 1e14:
			return int64(math.Round(f * 1e3)), false, true
		case f < 1e17:
			return int64(math.Round(f)), false, true
		}
		return int64(math.Round(f / 1e3)), false, true
	}
	return parseISO(string(text))
}

// maxTimeBytes is longer than any text of a time.
const maxTimeBytes = 64

// isoZones are the layouts of the zone after the seconds; "" comes last.
var isoZones = []string{"Z07:00", "Z0700", "Z07", " Z07:00", " Z0700", " UTC", ""}

// parseISO parses a date and a time of the day, with "T" or a space between them, and any number of digits after the second.
func parseISO(text string) (micros int64, zoneless, ok bool) {
	if len(text) > 10 && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	for _, zone := range isoZones {
		if t, err := time.Parse("2006-01-02T15:04:05"+zone, text); err == nil {
			return t.UnixMicro(), zone == "", true
		}
	}
	return 0, false, false
}

// parseDecimal parses a number with a fraction or an exponent, as JSON has it.
func parseDecimal(text []byte) (float64, bool) {
	if len(text) > maxTimeBytes || !bytes.ContainsAny(text, ".eE") || len(bytes.Trim(text, "0123456789.eE+-")) > 0 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	return f, err == nil
}

const clfLayout = "02/Jan/2006:15:04:05 -0700"

// parseCLF parses a time in common log format. For the usual zone +0000 it is five times as fast
// as time.Parse.
func parseCLF(b []byte) (micros int64, ok bool) {
	if len(b) != len(clfLayout) || b[2] != '/' || b[6] != '/' {
		return 0, false
	}
	two := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	month := months[[3]byte(b[3:6])]
	for _, i := range [...]int{0, 1, 7, 8, 9, 10, 12, 13, 15, 16, 18, 19} {
		if b[i] < '0' || b[i] > '9' {
			return 0, false
		}
	}
	if string(b[20:]) != " +0000" || month == 0 || two(0) == 0 || two(0) > 28 || two(12) > 23 || two(15) > 59 || two(18) > 59 {
		t, err := time.Parse(clfLayout, string(b))
		return t.UnixMicro(), err == nil
	}
	return time.Date(two(7)*100+two(9), month, two(0), two(12), two(15), two(18), 0, time.UTC).UnixMicro(), true
}

var months = map[[3]byte]time.Month{
	{'J', 'a', 'n'}: 1, {'F', 'e', 'b'}: 2, {'M', 'a', 'r'}: 3, {'A', 'p', 'r'}: 4, {'M', 'a', 'y'}: 5, {'J', 'u', 'n'}: 6,
	{'J', 'u', 'l'}: 7, {'A', 'u', 'g'}: 8, {'S', 'e', 'p'}: 9, {'O', 'c', 't'}: 10, {'N', 'o', 'v'}: 11, {'D', 'e', 'c'}: 12,
}

// parseNumber parses a whole number of at most 19 digits.
func parseNumber(b []byte) (n int64, ok bool) {
	digits := b
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		n, err := strconv.ParseInt(string(b), 10, 64)
		return n, len(digits) == 19 && digits[0] != '+' && err == nil
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(b) {
		n = -n
	}
	return n, true
}

// wholeNumber parses a number with a fraction or an exponent, which other writers give to whole numbers: 200.0 is 200. Only
// latencies are rounded.
func wholeNumber(c column, text []byte) (n int64, ok bool) {
	f, ok := parseDecimal(text)
	rounded := math.Round(f)
	if !ok || math.Abs(rounded) > 1<<53 || rounded != f && c != colLatency && c != colIntegrationLatency {
		return 0, false
	}
	return int64(rounded), true
}

// fits reports whether n is in the range of a number column.
func fits(c column, n int64) bool {
	switch c {
	case colStatus:
		return n == int64(int16(n))
	case colLatency, colIntegrationLatency:
		return n == int64(int32(n))
	}
	return true
}

// The files of rows are CSV without quotes: a value ends at a separator and a row at a line feed, wherever DuckDB begins to
// read. The few values that contain such a byte are escaped, and the last column of the row marks it.
const (
	separator = 0x1f
	escape    = 0x1e // followed by the byte | 0x40
)

// appendField appends a value of a row, and reports whether it is escaped.
func appendField(dst, text []byte) (out []byte, escaped bool) {
	for i, c := range text {
		if c < ' ' {
			return appendEscaped(append(dst, text[:i]...), text[i:])
		}
	}
	return append(dst, text...), false
}

func appendEscaped(dst, text []byte) (out []byte, escaped bool) {
	for _, c := range text {
		switch c {
		case '\n', '\r', separator, escape:
			dst = append(dst, escape, c|0x40)
			escaped = true
		case 0:
			dst = append(dst, "\uFFFD"...) // a column of text ends at one
		default:
			dst = append(dst, c)
		}
	}
	return dst, escaped
}

// endRow appends the last column and ends the row.
func endRow(dst []byte, escaped bool) []byte {
	if escaped {
		dst = append(dst, '1')
	}
	return append(dst, '\n')
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

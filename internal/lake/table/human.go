package table

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Thousands formats a number with separators: 12,345.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Signed formats a difference: +12,345.
func Signed(n int64) string {
	if n > 0 {
		return "+" + Thousands(n)
	}
	return Thousands(n)
}

// Percent formats a share. It never rounds a share to 0% or 100%.
func Percent(part, whole int64) string {
	switch p := 100 * float64(part) / float64(whole); {
	case whole == 0:
		return "-"
	case p > 0 && p < 0.01:
		return "<0.01%"
	case p < 100 && p >= 99.995:
		return ">99.99%"
	default:
		return fmt.Sprintf("%.2f%%", p)
	}
}

// Size formats a number of bytes: 1.5 MiB.
func Size(bytes int64) string {
	const unit = 1024
	if bytes > -unit && bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, exp := float64(bytes)/unit, 0
	for (value >= unit-0.05 || value <= -unit+0.05) && exp < 5 {
		value /= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[exp])
}

// Latency formats milliseconds: 230 ms, 1.20 s, 2m05s, or "-" for nil.
func Latency(ms *int64) string {
	switch {
	case ms == nil:
		return "-"
	case *ms < 1000:
		return fmt.Sprintf("%d ms", *ms)
	case *ms < 59_995:
		return fmt.Sprintf("%.2f s", float64(*ms)/1000)
	}
	seconds := (*ms + 500) / 1000
	return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)
}

// Plural formats a count with its noun: 1 row, 2,000 rows.
func Plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return Thousands(n) + " " + thing + "s"
}

// Shorten shortens a text to at most most cells.
func Shorten(s string, most int) string {
	if Width(s) <= most {
		return s
	}
	var b strings.Builder
	width := 1 // of the ellipsis
	for _, r := range s {
		if width += runeWidth(r); width > most {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}

// Wrap breaks a text at spaces into lines of at most width cells, except for longer words. 0 is no limit.
func Wrap(text string, width int) []string {
	if width <= 0 || Width(text) <= width {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Split(text, " ") {
		if line != "" && Width(line)+1+Width(word) > width {
			lines, line = append(lines, line), "  "+word
			continue
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Width returns the number of terminal cells of a printable text.
func Width(s string) int {
	width := 0
	for _, r := range s {
		width += runeWidth(r)
	}
	return width
}

// runeWidth returns the number of cells of a rune that names and paths contain. Terminals disagree about others.
func runeWidth(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), r >= 0xff01 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

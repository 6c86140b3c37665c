package table

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable is a text with everything escaped that is not a printed character or a space: control characters, which can
// rewrite a terminal, characters that change the direction of writing, and bytes that are not UTF-8.
func Printable(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[size:]
	}
	return b.String()
}

// Cell is a text that a stranger may have written, as a cell of a CSV file that people open in spreadsheets.
//
// A spreadsheet runs a cell that begins with = + - or @ as a formula, which can send the sheet away or start a program. Such a
// text gets an apostrophe in front, as OWASP advises, and so does one that has the sign after blanks or in its full-width
// form. "-" alone is our mark for a missing value and no formula. Characters that are not printed are escaped as in tables,
// so that looking at the file in a terminal is safe too.
func Cell(text string) string {
	text = Printable(text)
	bare := strings.TrimLeft(text, " ")
	if bare == "-" || bare == "" {
		return text
	}
	// A tab or carriage return in front, which spreadsheets skip, is an escape by now.
	for _, sign := range []string{"=", "+", "-", "@", "＝", "＋", "－", "＠", `\x09`, `\x0d`, `\x0a`} {
		if strings.HasPrefix(bare, sign) {
			return "'" + text
		}
	}
	return text
}

// JSON is a JSON document with everything escaped that is not printed: for a reader of JSON it is the same. In valid JSON such
// characters stand in strings only.
func JSON(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out = append(out, data[:size]...)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
		data = data[size:]
	}
	return out
}

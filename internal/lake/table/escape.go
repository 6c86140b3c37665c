package table

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable escapes everything in a text that is not a printable character or a space: control characters, which can
// manipulate a terminal, characters that change the writing direction, and invalid UTF-8.
func Printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
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

// Cell escapes an untrusted text for a cell of a CSV file that may be opened in a spreadsheet.
//
// Spreadsheets run a cell that begins with = + - or @ as a formula, which can leak the sheet's contents or start a program.
// Cell prepends an apostrophe to such a text, as OWASP advises, also if spaces precede the sign or the sign is full-width. A
// single "-" stands for a missing value and stays unchanged. Unprintable characters are escaped as in tables, so that the
// file is safe to view in a terminal.
func Cell(text string) string {
	return Guard(Printable(text))
}

// Guard prepends an apostrophe to a text that a spreadsheet would run as a formula, as Cell does, and changes no other text.
func Guard(text string) string {
	bare := strings.TrimLeft(text, " ")
	if bare == "-" || bare == "" {
		return text
	}
	// Spreadsheets skip a leading tab or line break, which Printable may have escaped.
	for _, sign := range []string{"=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", `\x09`, `\x0d`, `\x0a`} {
		if strings.HasPrefix(bare, sign) {
			return "'" + text
		}
	}
	return text
}

// WriteJSON writes v as indented JSON, escaped by JSON.
func WriteJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = w.Write(append(JSON(data), '\n'))
	}
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// JSON escapes the unprintable characters of a JSON document, which does not change its meaning: valid JSON has them only in
// strings.
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

package accesslog

import (
	"strings"
	"unicode/utf8"
)

// unset is what API Gateway writes for a variable that has no value.
const unset = '-'

// AppendLine appends one log line. It calls value with each variable, named as in Variables; false or "" means no value,
// which renders as "-". Values are escaped as in AppendValues.
func (f *Format) AppendLine(dst []byte, value func(variable string) (string, bool)) []byte {
	values := make([]string, len(f.variables))
	for i, name := range f.variables {
		values[i], _ = value(name)
	}
	return f.AppendValues(dst, values)
}

// AppendValues appends one log line with values in the order of Variables. "" and values missing at the end render as "-".
// Values are escaped as the content of a JSON string: no value can end its string or its line, and a JSON parser reads back
// exactly the value, with each invalid UTF-8 byte replaced by U+FFFD. "<" is escaped too, so that a line can be embedded in
// a script of a web page. The line ends with a newline only if the format does. AppendValues allocates only to grow dst.
func (f *Format) AppendValues(dst []byte, values []string) []byte {
	for i, slot := range f.slots {
		dst = append(dst, f.literals[i]...)
		switch {
		case slot >= len(values) || values[slot] == "":
			dst = append(dst, unset)
		case f.quoted[slot]:
			dst = append(appendEscaped(append(dst, '"'), values[slot]), '"')
		default:
			dst = appendEscaped(dst, values[slot])
		}
	}
	return append(dst, f.literals[len(f.slots)]...)
}

const hexDigits = "0123456789abcdef"

// plainBytes marks the bytes that need no escaping in a JSON string. It is read-only.
var plainBytes = [256]bool(plainTable())

func plainTable() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\' && c != '<'
	}
	return t
}

// appendEscaped appends s as the content of a JSON string. It escapes DEL too, which JSON allows but terminals interpret.
func appendEscaped(dst []byte, s string) []byte {
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plainBytes[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[done:i]...)
			dst = appendEscapedByte(dst, c)
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, s[done:i]...)
			dst = append(dst, "\uFFFD"...)
			done = i + size
		case r == '\u2028' || r == '\u2029':
			dst = append(dst, s[done:i]...)
			dst = append(dst, `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			done = i + size
		}
		i += size
	}
	return append(dst, s[done:]...)
}

func appendEscapedByte(dst []byte, c byte) []byte {
	if i := strings.IndexByte("\"\\\n\r\t\b\f", c); i >= 0 {
		return append(dst, '\\', `"\nrtbf`[i])
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

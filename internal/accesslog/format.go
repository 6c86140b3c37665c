package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxFormatBytes bounds what Parse reads. It is far over what API Gateway takes (AWS names about 3 KB).
const MaxFormatBytes = 64 << 10

// contextPrefix starts every variable of an access log format.
const contextPrefix = "$context."

// messageString is the one variable whose value brings its own double quotes.
const messageString = "$context.error.messageString"

// ErrTooLong says that a format is over MaxFormatBytes.
var ErrTooLong = errors.New("format is too long")

// Format is a parsed access log format: literal text with variables between. It does not change after Parse.
type Format struct {
	text      string
	literals  []string // literals[i] stands before slots[i]; the last one ends the line
	slots     []int    // index into variables
	variables []string // distinct, in order of first use
	quoted    []bool   // by variable: the value brings its own quotes
	fixed     int      // bytes of all literals
}

// Parse reads a format as API Gateway does: "$context." and the longest name of letters, digits, "_" and "." that does not
// end in a dot is a variable, whether or not it is a known one; all else is literal text. The only error is ErrTooLong:
// API Gateway takes any text, so what is wrong with it is Lint's to say.
func Parse(format string) (*Format, error) {
	if len(format) > MaxFormatBytes {
		return nil, fmt.Errorf("parse format of %d bytes: %w (limit %d)", len(format), ErrTooLong, MaxFormatBytes)
	}
	f := &Format{text: format}
	rest := 0
	for _, use := range uses(format) {
		name := format[use.start:use.end]
		i := slices.Index(f.variables, name)
		if i < 0 {
			i = len(f.variables)
			f.variables = append(f.variables, name)
			f.quoted = append(f.quoted, name == messageString)
		}
		f.literals = append(f.literals, format[rest:use.start])
		f.slots = append(f.slots, i)
		rest = use.end
	}
	f.literals = append(f.literals, format[rest:])
	for _, l := range f.literals {
		f.fixed += len(l)
	}
	return f, nil
}

// String is the format's text as it was given to Parse.
func (f *Format) String() string { return f.text }

// Variables are the distinct variables of the format in order of first use, as written ("$context.apiId").
// It is the order of AppendValues. The caller must not change it.
func (f *Format) Variables() []string { return f.variables }

// use is one variable in a format's text: the bytes from start to end.
type use struct{ start, end int }

// uses finds the variables of a format in order.
func uses(format string) []use {
	var found []use
	for at := 0; ; {
		i := strings.Index(format[at:], contextPrefix)
		if i < 0 {
			return found
		}
		start := at + i
		end := nameEnd(format, start+len(contextPrefix))
		if end > start+len(contextPrefix) {
			found = append(found, use{start, end})
		}
		at = end
	}
}

// nameEnd is where the variable name that begins at i ends: i itself when there is none.
func nameEnd(s string, i int) int {
	if i >= len(s) || s[i] == '.' {
		return i
	}
	end := i
	for end < len(s) && isNameByte(s[end]) {
		end++
	}
	for end > i && s[end-1] == '.' {
		end--
	}
	return end
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
}

// Package accesslog parses, checks, repairs and renders the access log formats of API Gateway.
//
// A format is one line of text with $context variables. API Gateway replaces each variable
// by its value, or by "-" when there is none, and copies all other text unchanged, including
// quotes, commas and the newline at the end. Parse reads a format, Fields maps variables to
// JSON fields, AppendValues renders a log line, Lint reports problems and Fix repairs those
// with only one possible repair. Preset returns the built-in formats, Catalogue describes
// every variable.
//
// Variables are named as they are written, including "$context.". The package does no I/O
// and keeps no mutable state; a Format is safe for concurrent use.
package accesslog

import (
	"slices"
	"strings"
)

// MaxFormatBytes is the longest format that Lint examines. API Gateway's limit is far lower (about 3 KB according to AWS's guides).
const MaxFormatBytes = 64 << 10

// contextPrefix starts every variable of an access log format.
const contextPrefix = "$context."

// messageString is the only variable whose value includes double quotes around it.
const messageString = "$context.error.messageString"

// Format is a parsed access log format: literal text and variables in turn. It is immutable.
type Format struct {
	text      string
	literals  []string // literals[i] precedes slots[i]; the last one ends the line
	slots     []int    // index into variables
	variables []string // distinct, in order of first use
	quoted    []bool   // by variable: API Gateway puts the value in quotes
}

// Parse reads a format as API Gateway does: "$context." with the longest following name of letters, digits, "_" and "."
// that does not end in a dot is a variable, known or not; everything else is literal text. API Gateway accepts any text;
// Lint reports the problems.
func Parse(format string) *Format {
	f := &Format{text: format}
	done := 0
	for _, use := range uses(format) {
		name := format[use.start:use.end]
		i := slices.Index(f.variables, name)
		if i < 0 {
			i = len(f.variables)
			f.variables = append(f.variables, name)
			f.quoted = append(f.quoted, name == messageString)
		}
		f.literals = append(f.literals, format[done:use.start])
		f.slots = append(f.slots, i)
		done = use.end
	}
	f.literals = append(f.literals, format[done:])
	return f
}

// String returns the text that was passed to Parse.
func (f *Format) String() string { return f.text }

// Variables returns the distinct variables of the format in order of first use, as written ("$context.apiId").
// AppendValues expects values in this order. The caller must not modify the slice.
func (f *Format) Variables() []string { return f.variables }

// use is one occurrence of a variable: the bytes text[start:end].
type use struct{ start, end int }

// uses returns every occurrence of a variable, in order.
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

// nameEnd returns the end of the variable name that starts at i, or i if there is none.
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

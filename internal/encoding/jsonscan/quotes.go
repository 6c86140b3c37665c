package jsonscan

import (
	"bytes"
	"slices"
)

// curlyBytes is the length of each curly quote in UTF-8.
const curlyBytes = 3

// FixQuotes returns a copy of a record with straight quotes instead of the curly quotes around
// its strings, as written by a log format that was copied from a web page. It returns nil if the
// record has no curly quotes, or an invalid string in straight quotes. A curly quote ends a
// string only before a colon, a comma, a closing bracket or the end of the record; other curly
// quotes and straight quotes inside belong to the value. The result may be invalid JSON, so the
// caller must check it.
func FixQuotes(rec []byte) []byte {
	if !bytes.ContainsAny(rec, "\u201c\u201d\u201e\u201f\uff02") {
		return nil
	}
	out := make([]byte, 0, len(rec))
	for i := 0; i < len(rec); {
		switch {
		case curlyAt(rec, i):
			out, i = fixString(out, rec, i)
		case rec[i] == '"':
			end, _, bad := StringEnd(rec, i+1)
			if bad != nil {
				return nil
			}
			out = append(out, rec[i:end+1]...)
			i = end + 1
		default:
			out = append(out, rec[i])
			i++
		}
	}
	return out
}

// fixString appends the string that starts with a curly quote at i, and returns the index after it.
func fixString(out, rec []byte, i int) ([]byte, int) {
	out = append(out, '"')
	for i += curlyBytes; i < len(rec); {
		if curlyAt(rec, i) && endsHere(rec, i+curlyBytes) {
			return append(out, '"'), i + curlyBytes
		}
		n := 1
		switch {
		case rec[i] == '\\' && i+1 < len(rec):
			n = 2
		case rec[i] == '"':
			out = append(out, '\\')
		}
		out = append(out, rec[i:i+n]...)
		i += n
	}
	return out, i
}

// curlyAt reports whether a double quote other than the straight one is at i: U+201C to U+201F or U+FF02.
func curlyAt(b []byte, i int) bool {
	if i+curlyBytes > len(b) {
		return false
	}
	return b[i] == 0xe2 && b[i+1] == 0x80 && b[i+2]&^3 == 0x9c || b[i] == 0xef && b[i+1] == 0xbc && b[i+2] == 0x82
}

// endsHere reports whether a string can end before i.
func endsHere(b []byte, i int) bool {
	i = SpaceEnd(b, i)
	return i == len(b) || b[i] == ':' || b[i] == ',' || b[i] == '}' || b[i] == ']'
}

// maxMembers limits the members of an object that Repeats checks. A log format has fewer.
const maxMembers = 256

// Repeats reports whether an object of a valid record has two members with the same name, or more
// members than a log format can have. API Gateway does not escape curly quotes in values, so with
// such a format a client could end a string within the request path and add its own members, such
// as another key id. Such members repeat names of the format.
func Repeats(rec []byte) bool {
	for i := SpaceEnd(rec, 0); i < len(rec); i = SpaceEnd(rec, i) {
		names := make([][]byte, 0, 32)
		var repeated *Bad
		i, repeated = Members(rec, i, func(raw []byte, _ bool, _ []byte) *Bad {
			name := Unescape(nil, raw)
			if len(names) == maxMembers || slices.ContainsFunc(names, func(other []byte) bool { return bytes.Equal(name, other) }) {
				return BadJSON
			}
			names = append(names, name)
			return nil
		})
		if repeated != nil {
			return true
		}
	}
	return false
}

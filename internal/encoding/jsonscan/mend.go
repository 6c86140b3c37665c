package jsonscan

import "bytes"

// curlyBytes is how many bytes each of the curly quotes takes in UTF-8.
const curlyBytes = 3

// Mend rewrites a record whose strings stand between curly quotes, as a log format that was copied
// from a web page produces, or returns nil if it has none. A curly quote ends a string only where
// one can end: before a colon, a comma, a bracket or the end. Others, and straight quotes inside,
// belong to the value. The caller checks the result.
func Mend(rec []byte) []byte {
	if !bytes.ContainsAny(rec, "\u201c\u201d\u201e\u201f\uff02") {
		return nil
	}
	out := make([]byte, 0, len(rec))
	for i := 0; i < len(rec); {
		switch {
		case curlyAt(rec, i):
			out, i = mendString(out, rec, i)
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

// mendString rewrites the string that a curly quote at i opens, and returns the index after it.
func mendString(out, rec []byte, i int) ([]byte, int) {
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

// curlyAt says whether a double quote other than the straight one begins at i: U+201C to U+201F, U+FF02.
func curlyAt(b []byte, i int) bool {
	if i+curlyBytes > len(b) {
		return false
	}
	return b[i] == 0xe2 && b[i+1] == 0x80 && b[i+2]&^3 == 0x9c || b[i] == 0xef && b[i+1] == 0xbc && b[i+2] == 0x82
}

// endsHere says whether a string may have ended before i.
func endsHere(b []byte, i int) bool {
	i = SpaceEnd(b, i)
	return i == len(b) || b[i] == ':' || b[i] == ',' || b[i] == '}' || b[i] == ']'
}

// maxMended is the most members of an object that is mended. A log format has fewer.
const maxMended = 256

// Repeats says whether an object of a valid record has a name twice. Where quotes are curly, API
// Gateway does not escape them in values, so a caller could end a string in a path of theirs and write
// members of their own: another key id, for one. Those would be repeated, because the format has them.
func Repeats(rec []byte) bool {
	for i := SpaceEnd(rec, 0); i < len(rec); i = SpaceEnd(rec, i) {
		names := make([][]byte, 0, 32)
		i = SpaceEnd(rec, i+1)
		for more := rec[i] != '}'; more; {
			end, _, _ := StringEnd(rec, i+1)
			name := Unescape(nil, rec[i+1:end])
			for _, other := range names {
				if bytes.Equal(name, other) {
					return true
				}
			}
			if names = append(names, name); len(names) > maxMended {
				return true
			}
			i, _ = ColonEnd(rec, end+1)
			i, _ = ValueEnd(rec, i, 1)
			if i, more, _ = MoreOrEnd(rec, i, '}'); !more {
				i--
			}
		}
		i++ // the brace
	}
	return false
}

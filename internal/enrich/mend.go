package enrich

import "bytes"

// The quotes of a page that was copied as it looks, in UTF-8.
const (
	opening = "\u201c"
	closing = "\u201d"
)

// mend rewrites a record whose strings stand between curly quotes, as a log format that was copied
// from a web page produces, or returns nil if it has none. A curly quote ends a string only where
// one can end: before a colon, a comma, a bracket or the end. The others, and straight quotes
// inside, belong to the value. The caller checks the result.
func mend(rec []byte) []byte {
	if !bytes.Contains(rec, []byte(opening)) && !bytes.Contains(rec, []byte(closing)) {
		return nil
	}
	out := make([]byte, 0, len(rec))
	for i := 0; i < len(rec); {
		if !curlyAt(rec, i) {
			out = append(out, rec[i])
			i++
			continue
		}
		out = append(out, '"')
		for i += len(opening); i < len(rec); {
			if curlyAt(rec, i) && endsHere(rec, i+len(closing)) {
				break
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
		if i < len(rec) {
			out = append(out, '"')
			i += len(closing)
		}
	}
	return out
}

func curlyAt(b []byte, i int) bool {
	return b[i] == opening[0] && (bytes.HasPrefix(b[i:], []byte(opening)) || bytes.HasPrefix(b[i:], []byte(closing)))
}

// endsHere says whether a string may have ended before i.
func endsHere(b []byte, i int) bool {
	i = spaceEnd(b, i)
	return i == len(b) || b[i] == ':' || b[i] == ',' || b[i] == '}' || b[i] == ']'
}

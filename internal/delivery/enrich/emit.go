package enrich

import (
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// emit appends one object's line.
func (e *Enricher) emit(dst, b []byte, o *object) []byte {
	var values [outputs]string
	if keyID := b[o.in[roleKeyID].from:o.in[roleKeyID].to]; hasID(b, o.in[roleKeyID]) {
		var known bool
		values[0], values[2], values[1], known = e.dir.Lookup(plain(keyID, o.in[roleKeyID].kind),
			o.text(b, roleAPIID), o.text(b, roleStage))
		if !known {
			e.unknown.Add(1)
		}
	}

	line := len(dst)
	pos := o.start
	for i := range o.n {
		ed := o.at(i)
		f := ed.field
		if f != nil && f.role > roleAPIKey && o.out[f.role-roleUsagePlan] == taken {
			continue
		}
		dst = append(dst, b[pos:ed.from]...)
		pos = int(ed.to)
		switch {
		case f == nil:
		case f.role > roleAPIKey:
			dst = appendValue(dst, values[f.role-roleUsagePlan])
		case f.before == "" && f.after == "":
			dst = e.hide(dst, b[ed.from:ed.to], ed.kind)
		default:
			dst = e.hideInside(dst, b[ed.from:ed.to], ed.kind, f)
		}
	}
	dst = append(dst, b[pos:o.brace]...)
	if o.newline {
		oneLine(dst[line:])
	}

	comma := o.kept > 0
	for k, name := range e.out {
		if name == "" || o.out[k] != absent {
			continue
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = append(dst, name...)
		dst = appendValue(dst, values[k])
		dst = append(dst, '"')
	}
	return append(dst, '}', '\n')
}

// text returns the decoded value of an input role, or nil if the object has none or it is `-`.
func (o *object) text(b []byte, r role) []byte {
	v := o.in[r]
	if isDash(b, v) {
		return nil
	}
	return plain(b[v.from:v.to], v.kind)
}

func plain(raw []byte, k kind) []byte {
	switch k {
	case kindASCII, kindPlain, kindNumber:
		return raw
	case kindEscaped:
		return jsonscan.Unescape(nil, raw)
	}
	return nil
}

// hasID reports whether v can be a key id: not `-`, an empty string, null or a composite value.
func hasID(b []byte, v span) bool {
	return v.kind != kindNone && v.kind != kindOther && v.to > v.from && !isDash(b, v)
}

// oneLine replaces newlines with spaces. In a valid object, they occur only between tokens.
func oneLine(line []byte) {
	for i, c := range line {
		if c == '\n' || c == '\r' {
			line[i] = ' '
		}
	}
}

// appendValue appends the content of an output member's string, `-` if it is empty.
func appendValue(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	return appendEscaped(dst, s)
}

// appendEscaped appends s as the content of a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		n := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, n = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[from:i]...)
		i += n
		from = i
		switch {
		case c >= utf8.RuneSelf:
			dst = append(dst, "\ufffd"...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[from:]...)
}

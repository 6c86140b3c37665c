package jsonscan

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// The causes of invalid records that Repair removes. Those of a log format have the codes of `stagelog format lint`.
const (
	CauseCurlyQuotes   = "curly-quotes: the format has curly quotes, as on a web page"
	CauseSingleQuotes  = "single-quotes: the format has single quotes"
	CauseWrapped       = "wrapped-in-quotes: the whole format is in quotes"
	CauseEscaped       = "escaped-quotes: the quotes of the format are escaped with backslashes"
	CauseNewline       = "literal-newline: the format ends with a backslash and the letter n instead of a newline"
	CauseMessageString = "message-string: $context.error.messageString in quotes adds its own quotes"
	CauseUnquoted      = "unquoted-value: a value is not quoted, so that API Gateway writes a bare - for a missing one"
	CauseMissingComma  = "missing-comma: a comma is missing between two fields"
	CauseExtraComma    = "extra-comma: a comma is too many"
	CauseSpace         = "foreign-space: between fields there is a character that JSON does not allow"
	CauseText          = "JSON text in quotes: its own quotes are not escaped"
	CauseQuote         = "a quote in a value is not escaped"
	CauseControl       = "a tab or another control character in a value is not escaped"
	CauseUTF8          = "a value is not valid UTF-8"
	CauseEscape        = `a value has an escape that JSON does not have, such as \xFA`
)

// Repair returns a record that is not valid JSON with its faults corrected, and the cause of the first fault. It returns nil if there
// is nothing to correct, or if more than one correction is possible. The result may be invalid JSON, and may have a field twice
// if a client put quotes into a value, so the caller must check it and Repeats.
//
// Bytes that are not UTF-8 become U+FFFD: their encoding cannot be known. A quote ends a string only before a colon, a comma, a
// closing bracket or the end.
func Repair(rec []byte) (fixed []byte, cause string) {
	r := repairer{in: rec, out: make([]byte, 0, len(rec)+len(rec)/8)}
	r.unwrap()
	for r.i < len(r.in) {
		if !r.token() {
			return nil, ""
		}
	}
	if r.cause == "" {
		return nil, ""
	}
	return r.out, r.cause
}

// repairer copies a record token by token.
type repairer struct {
	in    []byte
	i     int
	out   []byte
	depth int
	comma int  // index of the last comma in out, while nothing follows it
	prev  byte // the last token: a bracket, ':', ',', 'v' for a value, or 0
	cause string
}

func (r *repairer) fault(cause string) {
	if r.cause == "" {
		r.cause = cause
	}
}

// unwrap removes what surrounds the whole record.
func (r *repairer) unwrap() {
	r.in = bytes.Trim(r.in, " \t\r\n")
	if rest, ok := bytes.CutSuffix(r.in, []byte(`\n`)); ok {
		r.in = bytes.TrimRight(rest, " ")
		r.fault(CauseNewline)
	}
	if n := len(r.in); n > 3 && (r.in[0] == '"' || r.in[0] == '\'') && r.in[1] == '{' && r.in[n-2] == '}' && r.in[n-1] == r.in[0] {
		r.in = r.in[1 : n-1]
		r.fault(CauseWrapped)
	}
	if bytes.HasPrefix(r.in, []byte(`{\"`)) {
		text := append(slices.Clip(r.in), '"')
		if end, _, bad := StringEnd(text, 0); bad == nil && end == len(r.in) {
			r.in = Unescape(nil, r.in)
			r.fault(CauseEscaped)
		}
	}
}

// foreign are characters between tokens that JSON does not allow: spaces of web pages, and marks of byte order.
var foreign = []string{"\u00a0", "\u200b", "\u200c", "\u200d", "\u2060", "\u202f", "\u3000", "\ufeff"}

// token copies the next token, and reports whether it could be read.
func (r *repairer) token() bool {
	c := r.in[r.i]
	if c <= ' ' || c == 0x7f || c >= utf8.RuneSelf {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			r.out = append(r.out, c)
			r.i++
			return true
		}
		if n := quoteBytes(r.in, r.i); n > 0 {
			r.fault(CauseCurlyQuotes)
			return r.text(n)
		}
		return r.space(c)
	}
	switch c {
	case '{', '[':
		r.between()
		r.depth++
		r.put(c, c)
	case '}', ']':
		r.close(c)
	case ',':
		switch r.prev {
		case ',', '{', '[':
			r.fault(CauseExtraComma)
			r.i++
			return true
		case ':':
			r.missing()
		}
		r.comma = len(r.out)
		r.put(',', ',')
	case ':':
		r.put(':', ':')
	case '"':
		return r.text(1)
	case '\'':
		r.fault(CauseSingleQuotes)
		return r.text(1)
	default:
		return r.bare()
	}
	return r.depth >= 0
}

func (r *repairer) put(c, prev byte) {
	r.out = append(r.out, c)
	r.prev = prev
	r.i++
}

// space removes a character between tokens.
func (r *repairer) space(c byte) bool {
	n := 1
	if c >= utf8.RuneSelf {
		k := slices.IndexFunc(foreign, func(s string) bool { return bytes.HasPrefix(r.in[r.i:], []byte(s)) })
		if k < 0 {
			return false
		}
		n = len(foreign[k])
	}
	r.fault(CauseSpace)
	r.out = append(r.out, ' ')
	r.i += n
	return true
}

func (r *repairer) close(c byte) {
	switch r.prev {
	case ',':
		r.fault(CauseExtraComma)
		r.out[r.comma] = ' '
	case ':':
		r.missing()
	}
	r.depth--
	r.put(c, 'v')
}

// missing adds a value that the record lacks.
func (r *repairer) missing() {
	r.fault(CauseUnquoted)
	r.out = append(r.out, "null"...)
}

// between adds the comma that is missing before a value or a name.
func (r *repairer) between() {
	if r.prev == 'v' && r.depth > 0 {
		r.fault(CauseMissingComma)
		r.out = append(r.out, ',')
	}
}

// bare copies a value without quotes, and adds them unless it is a number, true, false or null.
func (r *repairer) bare() bool {
	if r.prev != ':' && r.prev != '[' && r.prev != ',' {
		return false
	}
	end := r.i
	for end < len(r.in) && !strings.ContainsRune(`,}]"{[`, rune(r.in[end])) {
		end++
	}
	if end == len(r.in) || r.in[end] == '"' || r.in[end] == '{' || r.in[end] == '[' {
		return false
	}
	value := bytes.TrimRight(r.in[r.i:end], " \t\r")
	if n, bad := ValueEnd(value, 0, 1); bad == nil && n == len(value) {
		r.out = append(r.out, value...)
	} else {
		r.fault(CauseUnquoted)
		r.content(value, false)
	}
	r.prev, r.i = 'v', end
	return true
}

// text copies the string that begins with a quote of n bytes.
func (r *repairer) text(n int) bool {
	r.between()
	in, begin, isValue := r.in, r.i+n, r.prev == ':' || r.prev == '['
	r.prev = 'v'
	if n == 1 && in[r.i] == '"' && (r.doubled(begin) || r.json(begin)) {
		return true
	}
	r.out = append(r.out, '"')
	for i := begin; i < len(in); {
		switch {
		case sameQuote(in, r.i, i, n) && (endsHere(in, i+n) || nameFollows(in, i+n)):
			r.out = append(r.out, '"')
			r.i = i + n
			return true
		case in[i] == '"' && !isValue:
			return false // the name of a field has no quotes
		case in[i] == '"':
			if in[r.i] == '"' {
				r.fault(CauseQuote)
			}
			r.out = append(r.out, '\\', '"')
			i++
		default:
			i = r.character(in, i)
		}
	}
	return false
}

// doubled copies the string whose content begins at i, if it has two quotes on each side.
func (r *repairer) doubled(i int) bool {
	if i >= len(r.in) || r.in[i] != '"' {
		return false
	}
	end := doubledEnd(r.in, i+1)
	if end == 0 {
		return false
	}
	r.fault(CauseMessageString)
	r.content(r.in[i+1:end], false)
	r.i = end + 2
	return true
}

// json copies the string whose content begins at i, if that is JSON with quotes that are not escaped.
func (r *repairer) json(i int) bool {
	if i >= len(r.in) || r.in[i] != '{' && r.in[i] != '[' {
		return false
	}
	end, bad := ValueEnd(r.in, i, 1)
	if bad != nil || end >= len(r.in) || r.in[end] != '"' || !endsHere(r.in, end+1) || bytes.IndexByte(r.in[i:end], '"') < 0 {
		return false
	}
	r.fault(CauseText)
	r.content(r.in[i:end], true)
	r.i = end + 1
	return true
}

// content copies text as a string. If it is literal, quotes and backslashes in it belong to the value.
func (r *repairer) content(text []byte, literal bool) {
	r.out = append(r.out, '"')
	for i := 0; i < len(text); {
		if c := text[i]; literal && (c == '"' || c == '\\') {
			r.out = append(r.out, '\\', c)
			i++
			continue
		}
		i = r.character(text, i)
	}
	r.out = append(r.out, '"')
}

// character copies one character or escape of a string's content, and returns the index after it.
func (r *repairer) character(in []byte, i int) int {
	switch c := in[i]; {
	case c == '\\':
		return r.escape(in, i)
	case c < ' ':
		r.fault(CauseControl)
		r.out = append(r.out, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		return i + 1
	case c < utf8.RuneSelf:
		r.out = append(r.out, c)
		return i + 1
	}
	char, n := utf8.DecodeRune(in[i:])
	if char == utf8.RuneError && n == 1 {
		r.fault(CauseUTF8)
	}
	r.out = utf8.AppendRune(r.out, char)
	return i + n
}

// escape copies an escape. An escape that JSON does not have stands for itself, except \x and \'.
func (r *repairer) escape(in []byte, i int) int {
	end, bad := escapeEnd(in, i)
	if bad == nil {
		r.out = append(r.out, in[i:end]...)
		return end
	}
	r.fault(CauseEscape)
	if i+1 < len(in) && in[i+1] == '\'' {
		r.out = append(r.out, '\'')
		return i + 2
	}
	var octets []byte
	for end = i; end+3 < len(in) && in[end] == '\\' && in[end+1] == 'x' && isHex(in[end+2]) && isHex(in[end+3]); end += 4 {
		octets = append(octets, byte(hex4([]byte{'0', '0', in[end+2], in[end+3]})))
	}
	if len(octets) == 0 {
		r.out = append(r.out, '\\', '\\')
		return i + 1
	}
	r.octets(octets)
	return end
}

// octets adds the bytes of a sequence of \x escapes: characters in UTF-8, as servers write them, or one character each, as in
// JavaScript.
func (r *repairer) octets(octets []byte) {
	for len(octets) > 0 {
		char, n := utf8.DecodeRune(octets)
		if char == utf8.RuneError && n == 1 {
			char = rune(octets[0])
		}
		if octets = octets[n:]; char < ' ' {
			r.out = append(r.out, '\\', 'u', '0', '0', "0123456789abcdef"[char>>4], "0123456789abcdef"[char&15])
			continue
		}
		if char == '"' || char == '\\' {
			r.out = append(r.out, '\\')
		}
		r.out = utf8.AppendRune(r.out, char)
	}
}

// doubledEnd returns the index of the two quotes that end the text at i, which two quotes precede, or 0 if there are none.
func doubledEnd(b []byte, i int) int {
	if endsHere(b, i) || nameFollows(b, i) {
		return 0
	}
	for k := i; k+1 < len(b); k++ {
		if b[k] == '\\' {
			k++
		} else if b[k] == '"' {
			if b[k+1] == '"' && endsHere(b, k+2) {
				return k
			}
			return 0
		}
	}
	return 0
}

// nameFollows reports whether a name with its colon is at i, after white space.
func nameFollows(b []byte, i int) bool {
	i = SpaceEnd(b, i)
	if i >= len(b) || b[i] != '"' {
		return false
	}
	end, _, bad := StringEnd(b, i+1)
	if bad != nil || end == i+1 {
		return false
	}
	end = SpaceEnd(b, end+1)
	return end < len(b) && b[end] == ':'
}

// quoteBytes returns the length of the curly quote at i, or 0 if there is none.
func quoteBytes(b []byte, i int) int {
	if curlyAt(b, i) {
		return curlyBytes
	}
	return 0
}

// sameQuote reports whether a quote like the one at begin is at i.
func sameQuote(b []byte, begin, i, n int) bool {
	if n == curlyBytes {
		return curlyAt(b, i)
	}
	return b[i] == b[begin]
}

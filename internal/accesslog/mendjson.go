package accesslog

import (
	"fmt"
	"strings"
	"unicode"
)

// mendQuotes makes quotes of a style straight, where the text is not JSON as it stands.
func (d *draft) mendQuotes(style quoteStyle, code, message, fix string) {
	if d.isJSON() || style == singleQuotes && strings.Contains(d.text, `"`) {
		return
	}
	e, n, first := d.edit(), 0, -1
	s := scanner{text: d.text, quotes: style}
	for s.next() {
		switch {
		case s.isQuote && s.char != '"':
			if n++; first < 0 {
				first = s.start
			}
			e.put(`"`, s.start)
		default:
			e.keep(s.start, s.end)
		}
	}
	if n == 0 {
		return
	}
	d.mended(Error, code, first, fmt.Sprintf(message, n), fix)
	e.done()
}

// mendSpaces replaces spaces between fields that JSON does not know: those that come along when a web page is copied.
func (d *draft) mendSpaces() {
	e, first := d.edit(), -1
	s := scanner{text: d.text}
	for s.next() {
		foreign := s.kind == textToken && !s.inString && !strings.ContainsRune(space, s.char) &&
			(unicode.IsSpace(s.char) || s.char >= '\u200b' && s.char <= '\u200d' || s.char == '\u2060')
		if !foreign {
			e.keep(s.start, s.end)
			continue
		}
		if first < 0 {
			first = s.start
		}
		e.put(" ", s.start)
	}
	if first >= 0 {
		d.mended(Error, "foreign-space", first, "a space that JSON does not know stands between fields, as web pages have them: no record will be valid JSON", "use ordinary spaces, or none")
		e.done()
	}
}

// mendValues puts variables into quotes, and the one that brings its own out of the way.
func (d *draft) mendValues() {
	e := d.edit()
	unquoted, message := map[string]int{}, -1
	var order []string
	s := scanner{text: d.text}
	for s.next() {
		name := s.token()
		if s.kind != variableToken || s.inString && name != messageString || index()[name].Always {
			e.keep(s.start, s.end)
			continue
		}
		if name == messageString {
			if message < 0 {
				message = s.start
			}
			name = "$context.error.message"
		} else if _, known := unquoted[name]; !known {
			unquoted[name] = s.start
			order = append(order, name)
		}
		if !s.inString {
			name = `"` + name + `"`
		}
		e.put(name, s.start)
	}
	if message >= 0 {
		d.mended(Error, "message-string", message, messageString+" brings its own quotes when there is an error, and none when there is not: one of the two breaks the JSON, wherever it stands",
			`use "$context.error.message" in quotes`)
	}
	for _, name := range order {
		d.mended(Error, "unquoted-value", unquoted[name], name+" stands without quotes: where it has no value API Gateway writes a bare -, and the record is not valid JSON", `write "`+name+`"`)
	}
	e.done()
}

// mendCommas adds a comma between a value and the next name, and removes one before a closing brace, where the text is not JSON
// as it stands.
func (d *draft) mendCommas() {
	if d.isJSON() {
		return
	}
	all := lexemes(d.text)
	e, missing, extra, done := d.edit(), -1, -1, 0
	for i, l := range all {
		switch {
		case l.kind == ',' && i+1 < len(all) && (all[i+1].kind == '}' || all[i+1].kind == ']'):
			if extra < 0 {
				extra = l.start
			}
			e.keep(done, l.start)
			done = l.end
		case l.kind == '"' && i > 1 && endsValue(all[i-2], all[i-1]):
			if missing < 0 {
				missing = l.start
			}
			e.keep(done, l.start)
			e.put(",", l.start)
			done = l.start
		}
	}
	e.keep(done, len(d.text))
	if missing >= 0 {
		d.mended(Error, "missing-comma", missing, "a comma is missing between two fields: no record will be valid JSON", "put a comma between the fields")
	}
	if extra >= 0 {
		d.mended(Error, "extra-comma", extra, "a comma stands before a closing brace: no record will be valid JSON", "remove the last comma")
	}
	if missing >= 0 || extra >= 0 {
		e.done()
	}
}

// endsValue says whether a value ends with the lexeme last, before which stands before.
func endsValue(before, last lexeme) bool {
	return last.kind == '}' || last.kind == ']' || before.kind == ':' && (last.kind == '"' || last.kind == 'v')
}

// lexeme is a part of a text as JSON sees it. Its kind is '"' for a whole string, 'v' for other values and the character
// itself for {}[]:, .
type lexeme struct {
	kind       byte
	start, end int
}

func lexemes(text string) []lexeme {
	var all []lexeme
	glued := false // the last lexeme is a value that the next character may belong to
	s := scanner{text: text}
	for s.next() {
		switch {
		case s.inString:
			all[len(all)-1].end = s.end
		case s.isQuote:
			all = append(all, lexeme{'"', s.start, s.end})
			glued = false
		case s.kind == textToken && strings.ContainsRune("{}[]:,", s.char):
			all = append(all, lexeme{byte(s.char), s.start, s.end})
			glued = false
		case s.kind == textToken && strings.ContainsRune(space, s.char):
			glued = false
		case glued:
			all[len(all)-1].end = s.end
		default:
			all = append(all, lexeme{'v', s.start, s.end})
			glued = true
		}
	}
	return all
}

// addRequestID adds the field without which API Gateway refuses the format, at the end of a format that is JSON otherwise.
func (d *draft) addRequestID() {
	members, ok := membersOf(d.text, straightQuotes)
	if !ok || hasRequestID(d.text) {
		return
	}
	name := "extended_request_id"
	for _, m := range members {
		if m.name == name {
			name = "stagelog_" + name
		}
	}
	end := strings.LastIndexByte(d.text, '}')
	d.mended(Error, "no-request-id", end, noRequestID, "")
	e := d.edit()
	e.keep(0, end)
	if len(members) > 0 {
		e.put(",", end)
	}
	e.put(`"`+name+`":"`+varExtendedRequestID+`"`, end)
	e.keep(end, len(d.text))
	e.done()
}

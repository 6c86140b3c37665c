package accesslog

import (
	"fmt"
	"strings"
	"unicode"
)

// repairQuotes replaces quotes of the given style by straight ones, unless the text is already JSON.
func (d *draft) repairQuotes(style quoteStyle, code, message, fix string) {
	if d.isJSON() || style == singleQuotes && strings.Contains(d.text, `"`) {
		return
	}
	e, n, first := d.rewrite(style, func(s *scanner) (string, bool) { return `"`, s.isQuote && s.char != '"' })
	if n > 0 {
		d.repaired(Error, code, first, fmt.Sprintf(message, n), fix)
		e.done()
	}
}

// repairSpaces replaces spaces between fields that JSON does not allow. They come from web pages.
func (d *draft) repairSpaces() {
	e, n, first := d.rewrite(straightQuotes, func(s *scanner) (string, bool) {
		return " ", s.kind == textToken && !s.inString && !strings.ContainsRune(space, s.char) &&
			(unicode.IsSpace(s.char) || s.char >= '\u200b' && s.char <= '\u200d' || s.char == '\u2060')
	})
	if n > 0 {
		d.repaired(Error, "foreign-space", first, "between fields there is a space character that JSON does not allow, such as a non-breaking space from a web page: no record is valid JSON", "use ordinary spaces or none")
		e.done()
	}
}

// repairValues puts variables in quotes, and replaces the one whose value includes quotes.
func (d *draft) repairValues() {
	unquoted, message := map[string]int{}, -1
	var order []string
	e, _, _ := d.rewrite(straightQuotes, func(s *scanner) (string, bool) {
		name := s.token()
		if s.kind != variableToken || s.inString && name != messageString || index()[name].Always {
			return "", false
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
		return name, true
	})
	if message >= 0 {
		d.repaired(Error, "message-string", message, messageString+" adds its own quotes when there is an error and none when there is not: the record is invalid JSON in one of the two cases, with or without quotes in the format",
			`use "$context.error.message" in quotes`)
	}
	for _, name := range order {
		d.repaired(Error, "unquoted-value", unquoted[name], name+" is not quoted: when it has no value, API Gateway writes a bare -, and the record is not valid JSON", `write "`+name+`"`)
	}
	e.done()
}

// repairCommas adds missing commas between fields and removes commas before a closing brace or bracket, unless the text is
// already JSON.
func (d *draft) repairCommas() {
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
		d.repaired(Error, "missing-comma", missing, "a comma is missing between two fields: no record is valid JSON", "put a comma between the fields")
	}
	if extra >= 0 {
		d.repaired(Error, "extra-comma", extra, "there is a comma before a closing brace: no record is valid JSON", "remove the last comma")
	}
	if missing >= 0 || extra >= 0 {
		e.done()
	}
}

// endsValue reports whether a value ends with the lexeme last, which follows before.
func endsValue(before, last lexeme) bool {
	return last.kind == '}' || last.kind == ']' || before.kind == ':' && (last.kind == '"' || last.kind == 'v')
}

// lexeme is a JSON token of a text that may not be valid JSON. Its kind is '"' for a string, 'v' for another value, and the
// character itself for {}[]:, .
type lexeme struct {
	kind       byte
	start, end int
}

func lexemes(text string) []lexeme {
	var all []lexeme
	inValue := false // the next character may belong to the last lexeme, a value
	s := scanner{text: text}
	for s.next() {
		switch {
		case s.inString:
			all[len(all)-1].end = s.end
		case s.isQuote:
			all = append(all, lexeme{'"', s.start, s.end})
			inValue = false
		case s.kind == textToken && strings.ContainsRune("{}[]:,", s.char):
			all = append(all, lexeme{byte(s.char), s.start, s.end})
			inValue = false
		case s.kind == textToken && strings.ContainsRune(space, s.char):
			inValue = false
		case inValue:
			all[len(all)-1].end = s.end
		default:
			all = append(all, lexeme{'v', s.start, s.end})
			inValue = true
		}
	}
	return all
}

// addRequestID adds a field with the request id, which API Gateway requires, at the end of a JSON format that has none.
func (d *draft) addRequestID() {
	object, ok := objectOf(d.text, straightQuotes)
	if !ok || hasRequestID(d.text) {
		return
	}
	name := "extended_request_id"
	for _, m := range object.members {
		if m.name == name {
			name = "stagelog_" + name
		}
	}
	end := strings.LastIndexByte(d.text, '}')
	d.repaired(Error, "no-request-id", end, noRequestID, "")
	e := d.edit()
	e.keep(0, end)
	if len(object.members) > 0 {
		e.put(",", end)
	}
	e.put(`"`+name+`":"`+varExtendedRequestID+`"`, end)
	e.keep(end, len(d.text))
	e.done()
}

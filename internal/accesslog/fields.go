package accesslog

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// The variables that the pipeline itself reads.
const (
	VarAPIID             = "$context.apiId"
	VarAPIKey            = "$context.identity.apiKey" // the key's value, a secret
	VarKeyID             = "$context.identity.apiKeyId"
	VarStage             = "$context.stage"
	varRequestID         = "$context.requestId"
	varExtendedRequestID = "$context.extendedRequestId"
	varRequestTime       = "$context.requestTime"
	varRequestTimeEpoch  = "$context.requestTimeEpoch"
	varPath              = "$context.path"
	varResourcePath      = "$context.resourcePath"
)

// Path is the position of a value in a record's JSON object: the names of the fields that lead to it, from the top
// level down. An element of a list is named by its index from 0, in brackets ("[0]").
type Path []string

// String joins the names with dots: "identity.apiKeyId".
func (p Path) String() string { return strings.Join(p, ".") }

// Place is a value of a format's JSON object that is a string once its variables have values.
type Place struct {
	Path Path
	Text string // the format's text for it, without quotes and escapes
}

// Variable returns the variable that is the whole text, or "" if there is none.
func (p Place) Variable() string {
	if !isVariable(p.Text) {
		return ""
	}
	return p.Text
}

// isVariable reports whether the whole text is one variable.
func isVariable(text string) bool { return text != "" && variableEnd(text, 0) == len(text) }

// Has reports whether the variable occurs in the text.
func (p Place) Has(variable string) bool {
	return slices.ContainsFunc(uses(p.Text), func(u use) bool { return p.Text[u.start:u.end] == variable })
}

// Around returns the text before and after a variable, and false unless the variable is in the place exactly once and no
// other variable is.
func (p Place) Around(variable string) (before, after string, ok bool) {
	all := uses(p.Text)
	if len(all) != 1 || p.Text[all[0].start:all[0].end] != variable {
		return "", "", false
	}
	return p.Text[:all[0].start], p.Text[all[0].end:], true
}

// Fields maps each variable to the first field whose whole value it is, quoted or not, at any depth. Curly quotes count as
// straight ones, because enrichment repairs the records of such a format. A format that is not a JSON object has no fields.
// The map is never nil.
func (f *Format) Fields() map[string]Path {
	by := map[string]Path{}
	for _, p := range f.Places() {
		v := p.Variable()
		if _, found := by[v]; v != "" && !found {
			by[v] = p.Path
		}
	}
	return by
}

// Places returns the strings of the format's JSON object in order, and nil for a format that is not one.
func (f *Format) Places() []Place {
	var all []Place
	f.object().each(nil, func(p Place) { all = append(all, p) })
	return all
}

// Names returns the names of the top-level fields in order, and nil for a format that is not a JSON object.
func (f *Format) Names() []string {
	var names []string
	for _, m := range f.object().members {
		names = append(names, m.name)
	}
	return names
}

// Select returns a format with the places that keep returns true for, which it calls in order, and with the fields that
// lead to them. The other elements of a list become empty strings. Its strings have straight quotes.
func (f *Format) Select(keep func(Place) bool) string {
	selected, _ := f.object().appendSelected(nil, nil, keep)
	return string(selected)
}

// HidesAPIKey reports whether enrichment can hide the API key's value wherever the format has it: each place holds the
// variable once and no other one, so that its value begins and ends at known text.
func (f *Format) HidesAPIKey() bool {
	places := 0
	for _, p := range f.Places() {
		if _, _, ok := p.Around(VarAPIKey); ok {
			places++
		}
	}
	used := 0
	for _, u := range uses(f.text) {
		if f.text[u.start:u.end] == VarAPIKey {
			used++
		}
	}
	return used == places
}

func (f *Format) object() value {
	v, ok := objectOf(f.text, straightQuotes)
	if !ok {
		v, _ = objectOf(f.text, curlyQuotes)
	}
	return v
}

// value is a JSON value of a format's skeleton.
type value struct {
	isText, isList bool
	text           string   // of a string
	members        []member // of an object or a list
}

// member is one field of an object, or an element of a list, whose name is its index in brackets.
type member struct {
	name  string
	value value
}

// objectOf parses a format, and returns false unless it is a JSON object once its variables have values.
func objectOf(format string, quotes quoteStyle) (value, bool) {
	skeleton := skeleton(format, quotes)
	if !json.Valid([]byte(skeleton)) || !strings.HasPrefix(strings.TrimLeft(skeleton, " \t\r\n"), "{") {
		return value{}, false
	}
	return readValue(json.NewDecoder(strings.NewReader(skeleton))), true
}

// readValue reads the next value of valid JSON.
func readValue(dec *json.Decoder) (v value) {
	token, _ := dec.Token()
	switch token := token.(type) {
	case string:
		v.isText, v.text = true, token
	case json.Delim:
		v.isList = token == '['
		for dec.More() {
			m := member{name: "[" + strconv.Itoa(len(v.members)) + "]"}
			if !v.isList {
				name, _ := dec.Token()
				m.name = name.(string)
			}
			m.value = readValue(dec)
			v.members = append(v.members, m)
		}
		_, _ = dec.Token()
	}
	return v
}

// each calls visit with every string in the value at path.
func (v value) each(path Path, visit func(Place)) {
	if v.isText {
		visit(Place{slices.Clone(path), v.text})
	}
	for _, m := range v.members {
		m.value.each(append(path, m.name), visit)
	}
}

// appendSelected appends the part of the value that Select keeps, and returns false if it keeps none of it.
func (v value) appendSelected(dst []byte, path Path, keep func(Place) bool) (out []byte, kept bool) {
	if v.isText {
		if !keep(Place{slices.Clone(path), v.text}) {
			return dst, false
		}
		return appendString(dst, v.text), true
	}
	opening, closing := byte('{'), byte('}')
	if v.isList {
		opening, closing = '[', ']'
	}
	out = append(dst, opening)
	for _, m := range v.members {
		before := len(out)
		if len(out) > len(dst)+1 {
			out = append(out, ',')
		}
		if !v.isList {
			out = append(appendString(out, m.name), ':')
		}
		var some bool
		if out, some = m.value.appendSelected(out, append(path, m.name), keep); some {
			kept = true
		} else if v.isList {
			out = append(out, `""`...)
		} else {
			out = out[:before]
		}
	}
	if !kept && len(path) > 0 {
		return dst, false
	}
	return append(out, closing), kept
}

func appendString(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// skeleton returns the format with straight quotes, and with quotes around each variable outside a JSON string. Variable
// names need no escaping inside a string, so the skeleton is valid JSON exactly when lines with harmless values are.
func skeleton(format string, quotes quoteStyle) string {
	var b strings.Builder
	s := scanner{text: format, quotes: quotes}
	for s.next() {
		switch {
		case s.isQuote:
			b.WriteByte('"')
		case s.kind == variableToken && !s.inString:
			b.WriteByte('"')
			b.WriteString(s.token())
			b.WriteByte('"')
		default:
			b.WriteString(s.token())
		}
	}
	return b.String()
}

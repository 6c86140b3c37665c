package accesslog

import (
	"encoding/json"
	"strings"
)

// The variables that the chain itself reads.
const (
	varAPIID             = "$context.apiId"
	varAPIKey            = "$context.identity.apiKey"
	varKeyID             = "$context.identity.apiKeyId"
	varStage             = "$context.stage"
	varStatus            = "$context.status"
	varRequestID         = "$context.requestId"
	varExtendedRequestID = "$context.extendedRequestId"
	varRequestTime       = "$context.requestTime"
	varRequestTimeEpoch  = "$context.requestTimeEpoch"
	varPath              = "$context.path"
	varResourcePath      = "$context.resourcePath"
)

// Fields says which field of a record holds which variable: names of fields at the top level of the JSON object, "" where
// the format has no such field.
type Fields struct {
	KeyID             string
	APIID             string
	Stage             string
	APIKey            string // the key's value, a secret
	RequestID         string
	ExtendedRequestID string
	RequestTime       string // in common log format
	RequestTimeEpoch  string // in milliseconds
	Status            string

	// ByVariable has the field of every variable that stands alone in one; of several, the first.
	ByVariable map[string]string
}

// Fields reads the format as JSON and says which field holds which variable. A field counts when its whole value is one
// variable, in quotes or not. Curly quotes are read as straight ones: records of such a format are mended on their way, and
// have the same fields. A format that is not a JSON object has no fields.
func (f *Format) Fields() Fields {
	members := f.members()
	by := make(map[string]string, len(members))
	for _, m := range members {
		if _, taken := by[m.variable]; m.variable != "" && !taken {
			by[m.variable] = m.name
		}
	}
	return Fields{
		KeyID: by[varKeyID], APIID: by[varAPIID], Stage: by[varStage], APIKey: by[varAPIKey],
		RequestID: by[varRequestID], ExtendedRequestID: by[varExtendedRequestID],
		RequestTime: by[varRequestTime], RequestTimeEpoch: by[varRequestTimeEpoch], Status: by[varStatus],
		ByVariable: by,
	}
}

// Names are the fields at the top level of the format's JSON object, in their order; none where it is no JSON object.
func (f *Format) Names() []string {
	var names []string
	for _, m := range f.members() {
		names = append(names, m.name)
	}
	return names
}

func (f *Format) members() []member {
	members, ok := membersOf(f.text, straightQuotes)
	if !ok {
		members, _ = membersOf(f.text, curlyQuotes)
	}
	return members
}

// member is one field at the top level of a format.
type member struct {
	name     string
	variable string // "" unless the value is one variable and nothing else
}

// membersOf are the top-level fields of a format that is a JSON object once its variables are filled in.
func membersOf(format string, quotes quoteStyle) ([]member, bool) {
	skeleton := skeleton(format, quotes)
	if !json.Valid([]byte(skeleton)) {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(skeleton))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	var all []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, false
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, false
		}
		m := member{name: name.(string)}
		if text, ok := value.(string); ok && isVariable(text) {
			m.variable = text
		}
		all = append(all, m)
	}
	return all, true
}

// isVariable says whether text is one variable and nothing else.
func isVariable(text string) bool {
	return strings.HasPrefix(text, contextPrefix) && len(text) > len(contextPrefix) &&
		nameEnd(text, len(contextPrefix)) == len(text)
}

// skeleton is the format with each variable that stands outside of a JSON string put into quotes, and all quotes straight.
// Inside of a string a variable's name is text that needs no escape, so the skeleton is JSON exactly when lines with
// harmless values are.
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

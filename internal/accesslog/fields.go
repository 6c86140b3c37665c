package accesslog

import (
	"encoding/json"
	"strings"
)

// The variables that the pipeline itself reads.
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

// Fields names the top-level field of a record's JSON object that holds each variable, "" where the format has no such field.
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

	// ByVariable maps each variable to the first field whose whole value it is. It is never nil.
	ByVariable map[string]string
}

// Fields returns the fields that hold variables. A field counts if its whole value is one variable, quoted or not. Curly
// quotes count as straight ones, because enrichment repairs the records of such a format.
// A format that is not a JSON object has no fields.
func (f *Format) Fields() Fields {
	members := f.members()
	by := make(map[string]string, len(members))
	for _, m := range members {
		if _, found := by[m.variable]; m.variable != "" && !found {
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

// Names returns the names of the top-level fields in order, and nil for a format that is not a JSON object.
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

// member is one top-level field of a format.
type member struct {
	name     string
	variable string // "" unless the whole value is one variable
}

// membersOf returns the top-level fields of a format, and false unless the format is a JSON object once its variables have values.
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
		name, _ := dec.Token() // no token fails: the skeleton is valid
		var value any
		_ = dec.Decode(&value)
		m := member{name: name.(string)}
		if text, ok := value.(string); ok && isVariable(text) {
			m.variable = text
		}
		all = append(all, m)
	}
	return all, true
}

// isVariable reports whether the whole text is one variable.
func isVariable(text string) bool {
	return strings.HasPrefix(text, contextPrefix) && len(text) > len(contextPrefix) &&
		nameEnd(text, len(contextPrefix)) == len(text)
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

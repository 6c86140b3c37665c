// Package policy implements IAM policy documents: it builds those that a pipeline needs, and
// parses, compares and evaluates any of them.
//
// The grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Version is the current version of the policy language. The default is 2008-10-17.
const Version = "2012-10-17"

// Document is the policy of a role, of its trust, or of a bucket.
type Document struct {
	Version    string      `json:",omitempty"`
	ID         string      `json:"Id,omitempty"`
	Statements []Statement `json:"Statement"`
}

// Statement allows or denies actions on resources. Bucket and trust policies also name
// principals, role policies do not. The fields are in AWS's usual order.
type Statement struct {
	Sid          string     `json:",omitempty"`
	Effect       string     `json:",omitempty"` // Allow or Deny
	Principal    Principal  `json:",omitzero"`
	NotPrincipal Principal  `json:",omitzero"`
	Actions      List       `json:"Action,omitempty"`
	NotActions   List       `json:"NotAction,omitempty"`
	Resources    List       `json:"Resource,omitempty"`
	NotResources List       `json:"NotResource,omitempty"`
	Conditions   Conditions `json:"Condition,omitempty"`
}

// Conditions holds the allowed values by operator and key.
type Conditions map[string]map[string]Values

// Principal describes to whom a statement applies. The zero Principal is omitted from documents.
type Principal struct {
	Any           bool `json:"-"`          // "*": everyone, including unsigned requests
	AWS           List `json:",omitempty"` // account ids and ARNs
	Service       List `json:",omitempty"` // like firehose.amazonaws.com
	Federated     List `json:",omitempty"`
	CanonicalUser List `json:",omitempty"`
}

// IsZero reports whether the principal names no one.
func (p Principal) IsZero() bool {
	return !p.Any && len(p.AWS)+len(p.Service)+len(p.Federated)+len(p.CanonicalUser) == 0
}

// ConditionKeys returns the keys that the statement's conditions test, sorted.
func (s *Statement) ConditionKeys() (keys []string) {
	for _, of := range s.Conditions {
		for key := range of {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// HasCondition reports whether a condition of the statement tests the key.
func (s *Statement) HasCondition(key string) bool {
	return slices.ContainsFunc(s.ConditionKeys(), func(k string) bool { return strings.EqualFold(k, key) })
}

// The Sids of the statements that stagelog adds to a bucket policy. All others are foreign, even
// if they start the same.
const (
	SidTLS      = "StagelogDenyInsecureTransport"
	sidList     = "StagelogReaderList"
	sidLocation = "StagelogReaderLocation"
	sidGet      = "StagelogReaderGet"
	sidNotRaw   = "StagelogReaderNothingRaw"
)

// The Sids of the statements that the owners of another account's bucket and of a KMS key add.
const (
	sidWriterBucket   = "StagelogFirehoseBucket"
	sidWriterObjects  = "StagelogFirehoseObjects"
	sidWriterSnapshot = "StagelogFunctionSnapshot"
	sidWriterState    = "StagelogState"
	sidWriterLogs     = "StagelogLogs"
	sidWriterLook     = "StagelogSettings"
	sidKeyRoles       = "StagelogKeyRoles"
	sidKeyReaders     = "StagelogKeyReaders"
)

func isOwn(s Statement) bool {
	return slices.Contains([]string{SidTLS, sidList, sidLocation, sidGet, sidNotRaw}, s.Sid)
}

// Own returns the document with only the statements added by stagelog.
func (d Document) Own() Document { return d.only(isOwn) }

// Others returns the document without the statements added by stagelog.
func (d Document) Others() Document {
	return d.only(func(s Statement) bool { return !isOwn(s) })
}

func (d Document) only(want func(Statement) bool) Document {
	d.Statements = slices.DeleteFunc(slices.Clone(d.Statements), func(s Statement) bool { return !want(s) })
	return d
}

// With returns the document with stagelog's statements replaced by those of own.
func (d Document) With(own Document) Document {
	all := d.Others()
	if len(all.Statements) == 0 { // for foreign statements it would change the meaning of ${…}
		all.Version = own.Version
	}
	all.Statements = append(all.Statements, own.Statements...)
	return all
}

// JSON returns the document as indented JSON in AWS's format. The output is deterministic.
func (d Document) JSON() string {
	if d.Statements == nil {
		d.Statements = []Statement{}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		panic("BUG: a policy of strings cannot be written: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// StatementsJSON returns the statements as JSON text to paste into another document.
func (d Document) StatementsJSON() string {
	_, text, _ := strings.Cut(d.JSON(), "\"Statement\": ")
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n}"), "\n  ", "\n")
}

type plainPrincipal Principal // without the methods

// MarshalJSON writes "*", or the lists that are not empty.
func (p Principal) MarshalJSON() ([]byte, error) {
	if p.Any {
		return []byte(`"*"`), nil
	}
	return json.Marshal(plainPrincipal(p))
}

// List is one or more strings. Values of conditions may also be numbers and bools in JSON.
type (
	List   []string
	Values []string
)

// MarshalJSON writes a single string without brackets.
func (l List) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]string(l))
}

// MarshalJSON writes a single value without brackets.
func (v Values) MarshalJSON() ([]byte, error) { return List(v).MarshalJSON() }

// maxBytes exceeds the size of any AWS policy: a bucket policy has up to 20 KB.
const maxBytes = 64 << 10

// Parse parses a policy document, which may be URL-encoded as in IAM's responses. The error
// includes the position of a syntax error.
func Parse(text string) (Document, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxBytes {
		return Document{}, fmt.Errorf("the policy has %d bytes, more than AWS allows", len(text))
	}
	if strings.HasPrefix(text, "%") { // JSON never starts with %; IAM also encodes leading whitespace
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return Document{}, fmt.Errorf("decode the policy's URL encoding: %w", err)
		}
		text = decoded
	}
	var in struct {
		Version   string
		ID        string `json:"Id"`
		Statement oneOrMore[Statement]
	}
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return Document{}, located(text, err)
	}
	for i, s := range in.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return Document{}, fmt.Errorf("statement %d of the policy has the Effect %q, expected Allow or Deny", i+1, s.Effect)
		}
	}
	return Document{in.Version, in.ID, in.Statement}, nil
}

// oneOrMore is a value, or a list of them.
type oneOrMore[T any] []T

// UnmarshalJSON distinguishes the two by the first character.
func (l *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*l = []T{one}
	return nil
}

// UnmarshalJSON reads a string, or a list of strings.
func (l *List) UnmarshalJSON(data []byte) error {
	return (*oneOrMore[string])(l).UnmarshalJSON(data)
}

// UnmarshalJSON reads a value, or a list of values.
func (v *Values) UnmarshalJSON(data []byte) error {
	var scalars oneOrMore[scalar]
	if err := scalars.UnmarshalJSON(data); err != nil {
		return err
	}
	*v = Values{}
	for _, s := range scalars {
		*v = append(*v, string(s))
	}
	return nil
}

// scalar is a condition value, which may be a string, a number or a bool.
type scalar string

// UnmarshalJSON keeps the text of a number or a bool unchanged.
func (s *scalar) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"':
		return json.Unmarshal(data, (*string)(s))
	case '{', '[', 'n':
		return errors.New("a condition's value must be a string, a number, true or false")
	}
	*s = scalar(data)
	return nil
}

// UnmarshalJSON reads "*", or lists by kind. {"AWS": "*"} is equivalent to "*".
func (p *Principal) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var all string
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
		if all != "*" {
			return fmt.Errorf("the principal %q must be * or an object such as {\"AWS\": …}", all)
		}
		*p = Principal{Any: true}
		return nil
	}
	if err := json.Unmarshal(data, (*plainPrincipal)(p)); err != nil {
		return err
	}
	if slices.Contains(p.AWS, "*") {
		*p = Principal{Any: true}
	}
	return nil
}

// located adds the position to a JSON error. It also detects curly quotes, which are pasted from
// web pages and word processors.
func located(text string, err error) error {
	if at := strings.IndexAny(text, "“”„‟"); at >= 0 {
		line, column := place(text, at)
		return fmt.Errorf("line %d, column %d of the policy: curly quotes are not valid in JSON; replace “ and ” with \"", line, column)
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && int(syntax.Offset) <= len(text):
		line, column := place(text, int(syntax.Offset))
		return fmt.Errorf("line %d, column %d of the policy: %w", line, column, err)
	case errors.As(err, &kind): // its offset is relative to the enclosing element
		return fmt.Errorf("%s in the policy cannot be a %s", strings.Trim(kind.Field, "."), kind.Value)
	}
	return fmt.Errorf("the policy: %w", err)
}

// place returns the line and the column of a byte, both counted from 1.
func place(text string, at int) (line, column int) {
	before := text[:at]
	return 1 + strings.Count(before, "\n"), 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
}

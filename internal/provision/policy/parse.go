package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

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
		Statement oneOrMore[statementIn]
	}
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return Document{}, located(text, err)
	}
	d := Document{Version: in.Version, ID: in.ID}
	for i, s := range in.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return Document{}, fmt.Errorf("statement %d of the policy has the Effect %q, expected Allow or Deny", i+1, s.Effect)
		}
		d.Statements = append(d.Statements, s.statement())
	}
	return d, nil
}

// statementIn is a statement in JSON: each list may be a single string.
type statementIn struct {
	Sid, Effect             string
	Principal, NotPrincipal principalIn
	Action, NotAction       oneOrMore[string]
	Resource, NotResource   oneOrMore[string]
	Condition               map[string]map[string]oneOrMore[scalar]
}

func (in statementIn) statement() Statement {
	s := Statement{
		Sid: in.Sid, Effect: in.Effect, Principal: Principal(in.Principal), NotPrincipal: Principal(in.NotPrincipal),
		Actions: in.Action, NotActions: in.NotAction, Resources: in.Resource, NotResources: in.NotResource,
	}
	for op, keys := range in.Condition {
		if s.Conditions == nil {
			s.Conditions = map[string]map[string][]string{}
		}
		s.Conditions[op] = map[string][]string{}
		for key, values := range keys {
			all := []string{}
			for _, v := range values {
				all = append(all, string(v))
			}
			s.Conditions[op][key] = all
		}
	}
	return s
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

type principalIn Principal

// UnmarshalJSON reads "*", or lists by kind. {"AWS": "*"} is equivalent to "*".
func (p *principalIn) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var all string
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
		if all != "*" {
			return fmt.Errorf("the principal %q must be * or an object such as {\"AWS\": …}", all)
		}
		p.Any = true
		return nil
	}
	var in struct{ AWS, Service, Federated, CanonicalUser oneOrMore[string] }
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*p = principalIn{AWS: in.AWS, Service: in.Service, Federated: in.Federated, CanonicalUser: in.CanonicalUser}
	for _, a := range in.AWS {
		if a == "*" {
			*p = principalIn{Any: true}
		}
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

package policy

import (
	"encoding/json"
	"slices"
	"strings"
)

// Version is the current version of the policy language. The default is 2008-10-17.
const Version = "2012-10-17"

// Document is the policy of a role, of its trust, or of a bucket.
type Document struct {
	Version    string
	ID         string
	Statements []Statement
}

// Statement allows or denies actions on resources. Bucket and trust policies also name
// principals, role policies do not.
type Statement struct {
	Sid                     string
	Effect                  string // Allow or Deny
	Principal, NotPrincipal Principal
	Actions, NotActions     []string
	Resources, NotResources []string
	Conditions              map[string]map[string][]string // operator → key → values
}

// Principal describes to whom a statement applies. The zero Principal is omitted from documents.
type Principal struct {
	Any           bool     // "*": everyone, including unsigned requests
	AWS           []string // account ids and ARNs
	Service       []string // like firehose.amazonaws.com
	Federated     []string
	CanonicalUser []string
}

func (p Principal) isZero() bool {
	return !p.Any && len(p.AWS)+len(p.Service)+len(p.Federated)+len(p.CanonicalUser) == 0
}

// The Sids of the statements that stagelog adds to a bucket policy. All others are foreign, even
// if they start the same.
const (
	sidTLS      = "StagelogDenyInsecureTransport"
	sidList     = "StagelogReaderList"
	sidLocation = "StagelogReaderLocation"
	sidGet      = "StagelogReaderGet"
	sidNotRaw   = "StagelogReaderNothingRaw"
)

func isOwn(s Statement) bool {
	return slices.Contains([]string{sidTLS, sidList, sidLocation, sidGet, sidNotRaw}, s.Sid)
}

// Own returns the document with only the statements added by stagelog.
func (d Document) Own() Document {
	return d.only(isOwn)
}

// Others returns the document without the statements added by stagelog.
func (d Document) Others() Document {
	return d.only(func(s Statement) bool { return !isOwn(s) })
}

func (d Document) only(want func(Statement) bool) Document {
	kept := Document{Version: d.Version, ID: d.ID}
	for _, s := range d.Statements {
		if want(s) {
			kept.Statements = append(kept.Statements, s)
		}
	}
	return kept
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
	out := struct {
		Version   string          `json:",omitempty"`
		ID        string          `json:"Id,omitempty"`
		Statement []statementJSON `json:"Statement"`
	}{Version: d.Version, ID: d.ID, Statement: []statementJSON{}}
	for _, s := range d.Statements {
		out.Statement = append(out.Statement, s.json())
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		panic("BUG: a policy of strings cannot be written: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// statementJSON is a statement with its elements in the usual order.
type statementJSON struct {
	Sid          string                     `json:",omitempty"`
	Effect       string                     `json:",omitempty"`
	Principal    *principalJSON             `json:",omitempty"`
	NotPrincipal *principalJSON             `json:",omitempty"`
	Action       list                       `json:",omitempty"`
	NotAction    list                       `json:",omitempty"`
	Resource     list                       `json:",omitempty"`
	NotResource  list                       `json:",omitempty"`
	Condition    map[string]map[string]list `json:",omitempty"`
}

func (s Statement) json() statementJSON {
	out := statementJSON{
		Sid: s.Sid, Effect: s.Effect, Principal: principalOut(s.Principal), NotPrincipal: principalOut(s.NotPrincipal),
		Action: s.Actions, NotAction: s.NotActions, Resource: s.Resources, NotResource: s.NotResources,
	}
	for op, keys := range s.Conditions {
		if out.Condition == nil {
			out.Condition = map[string]map[string]list{}
		}
		out.Condition[op] = map[string]list{}
		for key, values := range keys {
			out.Condition[op][key] = values
		}
	}
	return out
}

func principalOut(p Principal) *principalJSON {
	if p.isZero() {
		return nil
	}
	return (*principalJSON)(&p)
}

type principalJSON Principal

// MarshalJSON writes "*", or the lists that are not empty.
func (p principalJSON) MarshalJSON() ([]byte, error) {
	if p.Any {
		return []byte(`"*"`), nil
	}
	return json.Marshal(struct {
		AWS           list `json:",omitempty"`
		Service       list `json:",omitempty"`
		Federated     list `json:",omitempty"`
		CanonicalUser list `json:",omitempty"`
	}{p.AWS, p.Service, p.Federated, p.CanonicalUser})
}

// list is one or more strings.
type list []string

// MarshalJSON writes a single value without brackets.
func (l list) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]string(l))
}

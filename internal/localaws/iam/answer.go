package iam

import (
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

const namespace = "https://iam.amazonaws.com/doc/2010-05-08/"

// roleXML is a role as IAM answers it: the documents are URL-encoded.
type roleXML struct {
	Path                     string
	RoleName                 string
	RoleId                   string
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string   `xml:",omitempty"`
	MaxSessionDuration       int      // seconds
	Tags                     []tagXML `xml:"Tags>member,omitempty"`
}

type tagXML struct{ Key, Value string }

func (s *Service) xml(r *role) roleXML {
	return roleXML{
		Path: r.Path, RoleName: r.Name, RoleId: r.ID, Arn: "arn:aws:iam::" + s.account + ":role" + r.Path + r.Name,
		CreateDate: r.Created.Format("2006-01-02T15:04:05Z"), AssumeRolePolicyDocument: encoded(r.Trust),
		Description: r.Description, MaxSessionDuration: 3600, Tags: tagsXML(r.Tags),
	}
}

func tagsXML(tags map[string]string) []tagXML {
	var all []tagXML
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, tagXML{key, tags[key]})
	}
	return all
}

// encoded is a document as IAM answers it, by RFC 3986: a space is %20.
func encoded(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// writeAnswer writes the result of an action; nil is an action without one.
func writeAnswer(w http.ResponseWriter, action string, result any) {
	var b strings.Builder
	b.WriteString("<" + action + `Response xmlns="` + namespace + `">`)
	if result != nil {
		enc := xml.NewEncoder(&b)
		if err := enc.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}}); err != nil {
			panic("BUG: an answer of strings cannot be written: " + err.Error())
		}
	}
	b.WriteString("<ResponseMetadata><RequestId>" + w.Header().Get("x-amzn-RequestId") + "</RequestId></ResponseMetadata></" + action + "Response>\n")
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write([]byte(b.String()))
}

// tagsOf are the tags of a request.
func tagsOf(form url.Values) (map[string]string, *wire.Error) {
	var tags map[string]string
	for n := 1; form.Has(fmt.Sprintf("Tags.member.%d.Key", n)); n++ {
		key, value := form.Get(fmt.Sprintf("Tags.member.%d.Key", n)), form.Get(fmt.Sprintf("Tags.member.%d.Value", n))
		if key == "" || len(key) > 128 || len(value) > 256 {
			return nil, invalid("A tag's key has 1 to 128 characters and its value at most 256.")
		}
		if tags == nil {
			tags = map[string]string{}
		}
		tags[key] = value
	}
	if len(tags) > maxTags {
		return nil, limit("TagsPerRole", maxTags)
	}
	return tags, nil
}

// checkDocument refuses what is no policy: not JSON, no statement, one without an effect. A
// trust names principals, and permissions name resources.
func checkDocument(text string, maxLength int, trust bool) *wire.Error {
	malformed := func(message string) *wire.Error {
		return &wire.Error{Code: "MalformedPolicyDocument", Message: message}
	}
	if len(text) > maxLength {
		return limit("PolicySize", maxLength)
	}
	var document struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return malformed("This policy contains invalid Json")
	}
	type statement struct {
		Effect                           string
		Principal, NotPrincipal          json.RawMessage
		Action, NotAction                json.RawMessage
		Resource, NotResource, Condition json.RawMessage
	}
	var statements []statement
	if err := json.Unmarshal(document.Statement, &statements); err != nil {
		statements = make([]statement, 1)
		if err := json.Unmarshal(document.Statement, &statements[0]); err != nil {
			return malformed("Syntax errors in policy.")
		}
	}
	for _, st := range statements {
		switch {
		case st.Effect != "Allow" && st.Effect != "Deny":
			return malformed("Syntax error: an Effect is Allow or Deny.")
		case st.Action == nil && st.NotAction == nil:
			return malformed("Policy statement must contain actions.")
		case trust && st.Principal == nil && st.NotPrincipal == nil:
			return malformed("AssumeRole policy must contain principals.")
		case trust && (st.Resource != nil || st.NotResource != nil):
			return malformed("Has prohibited field Resource")
		case !trust && st.Resource == nil && st.NotResource == nil:
			return malformed("Policy statement must contain resources.")
		case !trust && (st.Principal != nil || st.NotPrincipal != nil):
			return malformed("Policy document should not specify a principal.")
		}
	}
	if len(statements) == 0 {
		return malformed("Syntax errors in policy.")
	}
	return nil
}

func invalid(message string) *wire.Error {
	return &wire.Error{Code: "ValidationError", Message: message}
}

func limit(quota string, n int) *wire.Error {
	return &wire.Error{Code: "LimitExceeded", Message: fmt.Sprintf("Cannot exceed quota for %s: %d", quota, n), Status: http.StatusConflict}
}

func noPolicy(name string) *wire.Error {
	return &wire.Error{Code: "NoSuchEntity", Message: "The role policy with name " + name + " cannot be found.", Status: http.StatusNotFound}
}

var notStored = &wire.Error{Code: "ServiceFailure", Message: "The request processing has failed because of an unknown error.", Fault: true}

// newID has the form of a role's unique id.
func newID() string { return "AROA" + rand.Text()[:17] }

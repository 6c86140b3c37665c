package wire

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// STS serves GetCallerIdentity, which people and tools call to test credentials. It returns the identity
// that the Mux verified; other actions are refused.
func STS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := IdentityFrom(r.Context())
		if !ok {
			WriteError(w, Query, missing().inProtocol(Query))
			return
		}
		form, malformed := QueryForm(r)
		if malformed != nil {
			WriteError(w, Query, malformed)
			return
		}
		if action := form.Get("Action"); action != "GetCallerIdentity" {
			WriteError(w, Query, &Error{Code: "InvalidAction", Message: "Could not find operation " + action +
				" for version 2011-06-15: stagelog serves only GetCallerIdentity; its credentials do not expire."})
			return
		}
		WriteQuery(w, stsNamespace, "GetCallerIdentity", struct{ Arn, UserId, Account string }{id.ARN, id.UserID, id.Account})
	})
}

// WriteQuery writes the response of an action in the protocol Query. result is nil for an action without a result.
func WriteQuery(w http.ResponseWriter, namespace, action string, result any) {
	var b strings.Builder
	b.WriteString("<" + action + `Response xmlns="` + namespace + `">`)
	if result != nil {
		if err := xml.NewEncoder(&b).EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}}); err != nil {
			panic("BUG: encode result: " + err.Error())
		}
	}
	b.WriteString("<ResponseMetadata><RequestId>" + w.Header().Get(requestIDHeader) + "</RequestId></ResponseMetadata></" + action + "Response>\n")
	w.Header().Set("Content-Type", "text/xml")
	_, _ = io.WriteString(w, b.String())
}

// QueryForm returns the parameters of an awsQuery request that a Mux has verified.
func QueryForm(r *http.Request) (url.Values, *Error) {
	if r.Method != http.MethodPost {
		return r.URL.Query(), nil
	}
	form, err := url.ParseQuery(string(Body(r)))
	if err != nil {
		return nil, &Error{Code: "MalformedQueryString", Message: "The request's body is not a well-formed query string."}
	}
	return form, nil
}

// JSONService serves the operations of a service with the protocol awsJson 1.1. In has the members of all
// its requests.
type JSONService[In any] struct {
	Target string // prefix of X-Amz-Target: "AWSGlue."
	Serves string // named in the error for an unknown operation: "log groups and log streams"
	// Operations return the response, which is encoded as JSON; nil for an empty body.
	Operations map[string]func(context.Context, *In) (any, *Error)
}

// ServeHTTP serves a request that a Mux has verified.
func (s *JSONService[In]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), s.Target)
	serve, ok := s.Operations[name]
	if !ok {
		WriteError(w, JSON11, &Error{Code: "UnknownOperationException", Message: "stagelog does not serve the operation " + name + ". It serves " + s.Serves + "."})
		return
	}
	in := new(In)
	if err := json.Unmarshal(Body(r), in); err != nil {
		WriteError(w, JSON11, &Error{Code: "SerializationException", Message: "The request's body is not the JSON that " + name + " expects."})
		return
	}
	result, refused := serve(r.Context(), in)
	switch {
	case refused != nil:
		WriteError(w, JSON11, refused)
	case result == nil:
		w.Header().Set("Content-Type", contentType(JSON11))
	default:
		WriteJSON(w, JSON11, http.StatusOK, result)
	}
}

// AWS's limits for the tags of one resource.
const (
	MaxTags     = 50
	MaxTagKey   = 128 // characters
	MaxTagValue = 256 // characters
)

// ValidTag reports whether the lengths of a tag's key and value are within AWS's limits.
func ValidTag(key, value string) bool {
	return key != "" && utf8.RuneCountInString(key) <= MaxTagKey && utf8.RuneCountInString(value) <= MaxTagValue
}

// Page returns at most limit of the sorted names that follow after, the last name of the previous page.
// next is the last name of this page if more names follow, else "".
func Page(names []string, after string, limit int) (page []string, next string) {
	from, found := slices.BinarySearch(names, after)
	if found {
		from++
	}
	page = names[from:]
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1]
	}
	return page, next
}

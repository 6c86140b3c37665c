package wire

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
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

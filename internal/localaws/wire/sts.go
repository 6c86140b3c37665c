package wire

import (
	"io"
	"net/http"
	"net/url"
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
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="`+stsNamespace+`"><GetCallerIdentityResult><Arn>`+
			escape(id.ARN)+`</Arn><UserId>`+escape(id.UserID)+`</UserId><Account>`+escape(id.Account)+
			`</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>`+escape(w.Header().Get(requestIDHeader))+
			`</RequestId></ResponseMetadata></GetCallerIdentityResponse>`+"\n")
	})
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

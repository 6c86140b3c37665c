package wire

import (
	"io"
	"net/http"
	"net/url"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// STS serves GetCallerIdentity, which people and tools call to try credentials. It answers
// with the identity that the Mux found; every other action is refused.
func STS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := IdentityFrom(r.Context())
		if !ok {
			WriteError(w, Query, missing().inProtocol(Query))
			return
		}
		form := r.URL.Query()
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				form, err = url.ParseQuery(string(body))
			}
			if err != nil {
				WriteError(w, Query, &Error{Code: "MalformedQueryString", Message: "The request's body is not a well-formed query string."})
				return
			}
		}
		if action := form.Get("Action"); action != "GetCallerIdentity" {
			WriteError(w, Query, &Error{Code: "InvalidAction", Message: "Could not find operation " + action +
				" for version 2011-06-15: stagelog serves GetCallerIdentity alone, its credentials do not expire."})
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="`+stsNamespace+`"><GetCallerIdentityResult><Arn>`+
			escape(id.ARN)+`</Arn><UserId>`+escape(id.UserID)+`</UserId><Account>`+escape(id.Account)+
			`</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>`+escape(w.Header().Get(requestIDHeader))+
			`</RequestId></ResponseMetadata></GetCallerIdentityResponse>`+"\n")
	})
}

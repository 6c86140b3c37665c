package wire

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

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

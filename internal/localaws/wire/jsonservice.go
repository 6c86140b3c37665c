package wire

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// JSONService serves the operations of a service whose protocol is awsJson 1.1. In holds the
// members of all its requests.
type JSONService[In any] struct {
	Target string // what X-Amz-Target has before the operation: "AWSGlue."
	Serves string // what the error for another operation names: "log groups and log streams"
	// Operations return what is encoded as the response; nil for an empty body.
	Operations map[string]func(context.Context, *In) (any, *Error)
}

// ServeHTTP answers a request that a Mux has verified.
func (s *JSONService[In]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), s.Target)
	serve, ok := s.Operations[name]
	if !ok {
		WriteError(w, JSON11, &Error{Code: "UnknownOperationException", Message: "stagelog serves " + s.Serves + ", and not the operation " + name + "."})
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

package lambda

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// maxRequestBytes is the maximum size of a CreateFunction: a zip of Lambda's limit in base64, and the other members.
const maxRequestBytes = maxZipBytes/3*4 + 1<<20

// request is one call of the API.
type request struct {
	*http.Request
	name string // of the function, resolved; "" if the route has none
	body []byte
}

// decode reads the JSON body into v.
func (r *request) decode(v any) *wire.Error {
	if err := json.Unmarshal(r.body, v); err != nil {
		return badContent("Could not parse request body into json.")
	}
	return nil
}

// ServeHTTP serves a request whose signature the caller has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts, err := pathParts(r.URL)
	if err != nil {
		writeError(w, badContent("The path is not well encoded."))
		return
	}
	serve, given := s.route(r.Method, parts)
	if serve == nil {
		writeError(w, &wire.Error{Code: "UnknownOperationException", Status: http.StatusNotFound, Message: "stagelog does not serve " + r.Method + " " + r.URL.Path + " of the Lambda API."})
		return
	}
	req := request{Request: r}
	if given != "" {
		name, apiErr := s.resolve(given, r.URL.Query().Get("Qualifier"))
		if apiErr != nil {
			writeError(w, apiErr)
			return
		}
		req.name = name
	}
	req.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writeError(w, &wire.Error{Code: "RequestTooLargeException", Status: http.StatusRequestEntityTooLarge, Message: "The request is too large."})
			return
		}
		writeError(w, badContent("The body could not be read."))
		return
	}
	if apiErr := serve(w, &req); apiErr != nil {
		writeError(w, apiErr)
	}
}

type operation func(w http.ResponseWriter, r *request) *wire.Error

// pathParts splits the path and unescapes the parts: an ARN may contain escaped slashes.
func pathParts(u *url.URL) ([]string, error) {
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i := range parts {
		part, err := url.PathUnescape(parts[i])
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	return parts, nil
}

// route returns the operation of a path, and the function's name as it is in the path.
func (s *Service) route(method string, parts []string) (operation, string) {
	if len(parts) == 3 && parts[0] == "2017-03-31" && parts[1] == "tags" {
		return map[string]operation{"GET": s.listTags, "POST": s.tagResource, "DELETE": s.untagResource}[method], parts[2]
	}
	if len(parts) < 2 || parts[0] != "2015-03-31" || parts[1] != "functions" {
		return nil, ""
	}
	switch parts = parts[2:]; {
	case len(parts) == 0 || len(parts) == 1 && parts[0] == "":
		return map[string]operation{"GET": s.listFunctions, "POST": s.createFunction}[method], ""
	case len(parts) == 1:
		return map[string]operation{"GET": s.getFunction, "DELETE": s.deleteFunction}[method], parts[0]
	case len(parts) == 3 && parts[1] == "policy" && method == "DELETE":
		return s.removePermission, parts[0]
	case len(parts) == 2:
		return map[string]operation{
			"PUT code": s.updateCode, "PUT configuration": s.updateConfiguration, "GET configuration": s.getConfiguration,
			"POST invocations": s.invocation, "GET policy": s.getPolicy, "POST policy": s.addPermission,
		}[method+" "+parts[1]], parts[0]
	}
	return nil, ""
}

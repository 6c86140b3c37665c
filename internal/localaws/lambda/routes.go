package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
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

// newMux routes the operations. Other requests fail with an error that names the path.
func (s *Service) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, op := range []struct {
		pattern string
		status  int
		do      func(*request) (any, *wire.Error) // returns the body of the response, nil for none
	}{
		{"GET /2015-03-31/functions", http.StatusOK, s.listFunctions},
		{"GET /2015-03-31/functions/{$}", http.StatusOK, s.listFunctions}, // of older SDKs
		{"POST /2015-03-31/functions", http.StatusCreated, s.createFunction},
		{"POST /2015-03-31/functions/{$}", http.StatusCreated, s.createFunction},
		{"GET /2015-03-31/functions/{name}", http.StatusOK, s.getFunction},
		{"DELETE /2015-03-31/functions/{name}", http.StatusNoContent, s.deleteFunction},
		{"PUT /2015-03-31/functions/{name}/code", http.StatusOK, s.updateCode},
		{"GET /2015-03-31/functions/{name}/configuration", http.StatusOK, s.getConfiguration},
		{"PUT /2015-03-31/functions/{name}/configuration", http.StatusOK, s.updateConfiguration},
		{"GET /2015-03-31/functions/{name}/policy", http.StatusOK, s.getPolicy},
		{"POST /2015-03-31/functions/{name}/policy", http.StatusCreated, s.addPermission},
		{"DELETE /2015-03-31/functions/{name}/policy/{statement}", http.StatusNoContent, s.removePermission},
		{"GET /2017-03-31/tags/{name}", http.StatusOK, s.listTags},
		{"POST /2017-03-31/tags/{name}", http.StatusNoContent, s.tagResource},
		{"DELETE /2017-03-31/tags/{name}", http.StatusNoContent, s.untagResource},
	} {
		mux.HandleFunc(op.pattern, s.serve(func(w http.ResponseWriter, r *request) *wire.Error {
			body, apiErr := op.do(r)
			switch {
			case apiErr != nil:
			case body == nil:
				w.WriteHeader(op.status)
			default:
				wire.WriteJSON(w, wire.RESTJSON, op.status, body)
			}
			return apiErr
		}))
	}
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", s.serve(s.invocation))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &wire.Error{Code: "UnknownOperationException", Status: http.StatusNotFound, Message: "stagelog does not serve " + r.Method + " " + r.URL.Path + " of the Lambda API."})
	})
	return mux
}

// ServeHTTP serves a request whose signature the caller has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// serve returns the handler that calls do with a request's function and body.
func (s *Service) serve(do func(http.ResponseWriter, *request) *wire.Error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := request{Request: r}
		if given := r.PathValue("name"); given != "" {
			name, apiErr := s.resolve(given, r.URL.Query().Get("Qualifier"))
			if apiErr != nil {
				writeError(w, apiErr)
				return
			}
			req.name = name
		}
		var err error
		if req.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes)); err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				writeError(w, &wire.Error{Code: "RequestTooLargeException", Status: http.StatusRequestEntityTooLarge, Message: "The request is too large."})
				return
			}
			writeError(w, badContent("The body could not be read."))
			return
		}
		if apiErr := do(w, &req); apiErr != nil {
			writeError(w, apiErr)
		}
	}
}

// namePattern matches the names of a function: `name`, `account:function:name`, `function:name`, or an ARN, each with an optional qualifier.
const namePattern = `(?:arn:(?:aws[a-zA-Z-]*):lambda:)?(?:([a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9_-]+)(?::(\$LATEST|[a-zA-Z0-9_-]+))?`

// maxNameBytes is Lambda's limit for the name itself; the model's 140 is for the ARN.
const maxNameBytes = 64

const latest = "$LATEST"

var nameExpression = regexp.MustCompile(`^` + namePattern + `$`)

// resolve returns the plain name for any form of a function's name. The function need not exist.
func (s *Service) resolve(given, qualifier string) (name string, err *wire.Error) {
	m := nameExpression.FindStringSubmatch(given)
	if m == nil || len(m[3]) > maxNameBytes {
		return "", validation(given, "functionName", "Member must satisfy regular expression pattern: "+namePattern)
	}
	region, account, name := m[1], m[2], m[3]
	if m[4] != "" {
		if qualifier != "" && qualifier != m[4] {
			return "", invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		qualifier = m[4]
	}
	switch {
	case region != "" && region != s.cfg.Region, account != "" && account != s.cfg.Account:
		return "", notFound("Function not found: %s", given)
	case strings.HasPrefix(given, "arn:") && region == "":
		return "", validation(given, "functionName", "Member must satisfy regular expression pattern: "+namePattern)
	case qualifier != "" && qualifier != latest:
		return "", notFound("Function not found: %s:%s", s.arn(name), qualifier)
	}
	return name, nil
}

func invalid(format string, args ...any) *wire.Error {
	return &wire.Error{Code: "InvalidParameterValueException", Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *wire.Error {
	return &wire.Error{Code: "ResourceConflictException", Status: http.StatusConflict, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *wire.Error {
	return &wire.Error{Code: "ResourceNotFoundException", Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}

func precondition() *wire.Error {
	return &wire.Error{Code: "PreconditionFailedException", Status: http.StatusPreconditionFailed, Message: "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the latest RevisionId for your resource."}
}

func validation(value, member, constraint string) *wire.Error {
	return &wire.Error{Code: "ValidationException", Status: http.StatusBadRequest, Message: fmt.Sprintf(
		"1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, member, constraint)}
}

func badContent(message string) *wire.Error {
	return &wire.Error{Code: "InvalidRequestContentException", Status: http.StatusBadRequest, Message: message}
}

func internal(message string) *wire.Error {
	return &wire.Error{Code: "ServiceException", Status: http.StatusInternalServerError, Message: message}
}

// writeError writes an error response. The model names the text `Message` in some shapes, `message` in others.
func writeError(w http.ResponseWriter, e *wire.Error) {
	kind, member := "User", "message"
	switch e.Code {
	case "ServiceException":
		kind, member = "Service", "Message"
	case "ResourceNotFoundException":
		member = "Message"
	}
	w.Header().Set("X-Amzn-ErrorType", e.Code)
	wire.WriteJSON(w, wire.RESTJSON, e.Status, map[string]string{"Type": kind, member: e.Message})
}

func validationNumber(value int, member, than string, limit int) *wire.Error {
	return validation(strconv.Itoa(value), member, fmt.Sprintf("Member must have value %s than or equal to %d", than, limit))
}

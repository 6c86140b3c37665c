package apigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// maxBody is the maximum size of a request other than an import.
	maxBody = 256 << 10
	// maxImport is API Gateway's limit for a definition file, 6 MB.
	maxImport = 6 << 20
)

// call is one request with its body.
type call struct {
	*http.Request
	body []byte // at most maxImport bytes
}

// handler returns the body of a response, nil for none. Its error is a *wire.Error or a store error.
type handler func(*call) (any, error)

// reading runs do with mu held for reading.
func (s *Service) reading(do handler) handler {
	return func(c *call) (any, error) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return do(c)
	}
}

// writing runs do with mu held, and again if another process changes the same documents.
func (s *Service) writing(do handler) handler {
	return func(c *call) (body any, err error) {
		err = s.shared.Change(c.Context(), func() (err error) {
			body, err = do(c)
			return err
		})
		return body, err
	}
}

// get returns the handler that responds with the resource that find returns.
func get[T, W any](find func(*call) (T, error), wire func(T) W) handler {
	return func(c *call) (any, error) {
		v, err := find(c)
		return answer(v, err, wire)
	}
}

// remove returns the handler that deletes the resource that find returns.
func remove[T any](find func(*call) (T, error), del func(context.Context, T) error) handler {
	return func(c *call) (any, error) {
		v, err := find(c)
		if err != nil {
			return nil, err
		}
		return nil, del(c.Context(), v)
	}
}

type operation struct {
	pattern string // of http.ServeMux
	status  int
	do      handler
}

// newMux routes the operations. Other requests fail with an error that names the operation.
func (s *Service) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, ops := range [][]operation{s.apiOperations(), s.stageOperations(), s.keyOperations(), s.planOperations(), s.otherOperations()} {
		for _, op := range ops {
			mux.HandleFunc(op.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, op) })
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { wire.WriteError(w, wire.RESTJSON, unknownOperation(r)) })
	return mux
}

func unknownOperation(r *http.Request) *wire.Error {
	return &wire.Error{Status: http.StatusNotFound, Code: "UnknownOperationException", Message: fmt.Sprintf("stagelog does not serve the API Gateway operation %s %.200q", r.Method, r.URL.Path)}
}

// ServeHTTP serves a request whose signature the caller has verified.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := r.URL.Path; p == "" || path.Clean(p) != p && !strings.HasPrefix(p, "/tags/") {
		wire.WriteError(w, wire.RESTJSON, unknownOperation(r)) // the mux would redirect, which no SDK follows with a signature
		return
	}
	if id, known := wire.IdentityFrom(r.Context()); known && id.Account != s.cfg.Account {
		wire.WriteError(w, wire.RESTJSON, s.denied(id, r))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// denied returns the error for another account, a reader of the bucket: API Gateway's control API has no
// resource policy, so only the account itself may use it.
func (s *Service) denied(id wire.Identity, r *http.Request) *wire.Error {
	return &wire.Error{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: fmt.Sprintf(
		"User: %s is not authorized to perform: apigateway:%s on resource: arn:aws:apigateway:%s::%s",
		id.ARN, r.Method, s.cfg.Region, clip(r.URL.Path))}
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request, op operation) {
	var body any
	data, err := readBody(r)
	if err == nil {
		body, err = op.do(&call{r, data})
	}
	var refused *wire.Error
	if r.Method != http.MethodGet && !errors.As(err, &refused) {
		s.notify() // also after a store error: a part may have been written
	}
	switch {
	case errors.As(err, &refused):
		wire.WriteError(w, wire.RESTJSON, refused)
	case errors.Is(err, documents.ErrTooLarge):
		wire.WriteError(w, wire.RESTJSON, badRequest("The definition is larger than stagelog's limit of %d KiB", documents.MaxBytes>>10))
	case errors.Is(err, record.ErrConflict):
		wire.WriteError(w, wire.RESTJSON, conflict("The resource was changed at the same time. Try again."))
	case err != nil:
		s.log.Error("control API call failed", "operation", op.pattern, "error", err)
		wire.WriteError(w, wire.RESTJSON, &wire.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailableException", Message: "The state could not be written. Try again later."})
	case body == nil:
		w.WriteHeader(op.status)
	default:
		wire.WriteJSON(w, wire.RESTJSON, op.status, body)
	}
}

// decode reads the JSON body into v. It refuses unknown members rather than ignore them silently.
// Messages never quote the body, which may contain an API key's value.
func (c *call) decode(v any) error {
	data := c.body
	if len(data) > maxBody {
		return tooLarge(maxBody)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return decodeError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return serialization("more than one JSON value in the request body")
	}
	return nil
}

func decodeError(err error) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType):
		return serialization(fmt.Sprintf("member %.100q is not of type %s", wrongType.Field, wrongType.Type))
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return badRequest("stagelog does not support the member %.100s", strings.TrimPrefix(err.Error(), "json: unknown field "))
	}
	return serialization("the request body is not valid JSON")
}

func serialization(message string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "SerializationException", Message: message}
}

// readBody reads a request's body, before any lock is held.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxImport+1))
	switch {
	case err != nil:
		return nil, badRequest("the request body could not be read")
	case len(data) > maxImport:
		return nil, tooLarge(maxImport)
	}
	return data, nil
}

func tooLarge(limit int) *wire.Error {
	return &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Message: fmt.Sprintf("Request size exceeded %d bytes", limit)}
}

func (c *call) query(name string) string { return c.URL.Query().Get(name) }

// flag returns a boolean query parameter; anything but true is false.
func (c *call) flag(name string) bool { return strings.EqualFold(c.query(name), "true") }

// answer returns v in the form of wire, or err.
func answer[T, W any](v T, err error, wire func(T) W) (any, error) {
	if err != nil {
		return nil, err
	}
	return wire(v), nil
}

// epoch is a timestamp in rest-json's format: a number of seconds.
type epoch time.Time

// MarshalJSON writes whole seconds, as API Gateway does.
func (e epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, time.Time(e).Unix(), 10), nil
}

// tagsOf returns the tags for the response about a single resource, which always contains them.
func tagsOf(tags map[string]string) *map[string]string {
	if tags == nil {
		tags = map[string]string{}
	}
	return &tags
}

// tagsIfAny returns the tags for lists and responses to a create, which omit an empty set.
func tagsIfAny(tags map[string]string) *map[string]string {
	if len(tags) == 0 {
		return nil
	}
	return &tags
}

// The refusals of this package. Their messages are AWS's own where they are known (recorded from the
// service or reported by its users).

func badRequest(format string, args ...any) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "BadRequestException", Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *wire.Error {
	return &wire.Error{Status: http.StatusNotFound, Code: "NotFoundException", Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *wire.Error {
	return &wire.Error{Status: http.StatusConflict, Code: "ConflictException", Message: fmt.Sprintf(format, args...)}
}

// limitExceeded returns the error for an exceeded quota of the account. AWS's status for it is 429.
func limitExceeded(message string) *wire.Error {
	return &wire.Error{Status: http.StatusTooManyRequests, Code: "LimitExceededException", Message: message}
}

// invalid returns the error of AWS's first layer, which checks the constraints of the model.
func invalid(value, member, constraint string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "ValidationException",
		Message: fmt.Sprintf("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, member, constraint)}
}

// unsupported returns the error for a feature of API Gateway that stagelog does not implement.
func unsupported(what string) *wire.Error {
	return badRequest("stagelog does not support %s", what)
}

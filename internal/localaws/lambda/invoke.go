package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// maxEventBytes is the limit of an asynchronous invocation (AWS: 1 MB).
const maxEventBytes = 1 << 20

// invocation serves Invoke. It accepts LogType Tail but returns no log: the function's output stays in its file.
func (s *Service) invocation(w http.ResponseWriter, r *request) *wire.Error {
	if _, _, apiErr := s.find(r.name); apiErr != nil {
		return apiErr
	}
	kind := r.Header.Get("X-Amz-Invocation-Type")
	limit := function.MaxPayloadBytes
	switch kind {
	case "", "RequestResponse", "DryRun":
	case "Event":
		limit = maxEventBytes
	default:
		return validation(kind, "invocationType", "Member must satisfy enum value set: [Event, RequestResponse, DryRun]")
	}
	payload := r.body
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	switch {
	case len(payload) > limit:
		return tooLarge(len(payload), limit)
	case kind == "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return nil
	case !json.Valid(payload):
		return badContent("Could not parse request body into json: it is not valid JSON")
	}
	w.Header().Set("X-Amz-Executed-Version", latest)
	if kind == "Event" {
		return s.event(w, r, payload)
	}
	reply, err := s.invoke(r.Context(), r.name, payload)
	if err != nil {
		w.Header().Del("X-Amz-Executed-Version")
		return s.invokeError(r.name, err)
	}
	if reply.FunctionError != "" {
		w.Header().Set("X-Amz-Function-Error", reply.FunctionError)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(reply.Payload)
	return nil
}

func (s *Service) invokeError(name string, err error) *wire.Error {
	switch {
	case errors.Is(err, record.ErrNotFound):
		return notFound("Function not found: %s", s.arn(name))
	case errors.Is(err, function.ErrThrottled):
		return &wire.Error{Code: "TooManyRequestsException", Status: http.StatusTooManyRequests, Message: "Rate Exceeded."}
	}
	s.cfg.Logger.Warn("function not invoked", "function", name, "error", err)
	return internal("The function could not be started.")
}

// event starts the function and responds at once. A failed invocation is not retried.
func (s *Service) event(w http.ResponseWriter, r *request, payload []byte) *wire.Error {
	ctx := context.WithoutCancel(r.Context())
	started := s.settle(func() {
		reply, err := s.invoke(ctx, r.name, payload)
		if err != nil || reply.FunctionError != "" {
			s.cfg.Logger.Warn("asynchronous invocation failed", "function", r.name, "functionError", reply.FunctionError, "error", err)
		}
	})
	if !started {
		return internal("The service is shutting down.")
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func tooLarge(bytes, limit int) *wire.Error {
	return &wire.Error{Code: "RequestTooLargeException", Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("%d byte payload is too large for the invocation type (limit %d bytes)", bytes, limit)}
}

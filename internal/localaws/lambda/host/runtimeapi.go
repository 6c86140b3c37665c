package host

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

// Headers of the Lambda Runtime API, 2018-06-01.
const (
	headerRequestID = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline  = "Lambda-Runtime-Deadline-Ms"
	headerARN       = "Lambda-Runtime-Invoked-Function-Arn"
	headerTrace     = "Lambda-Runtime-Trace-Id"
	headerErrorType = "Lambda-Runtime-Function-Error-Type"
)

// routes returns the Runtime API of one process.
func (p *process) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", p.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", p.failure)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", p.initError)
	return mux
}

// next returns the next invocation. It waits without a timeout: an idle process is killed.
func (p *process) next(w http.ResponseWriter, r *http.Request) {
	p.warm.Store(true)
	select {
	case inv := <-p.work:
		p.mu.Lock()
		p.current = inv
		p.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
		h.Set(headerRequestID, inv.id)
		h.Set(headerDeadline, millis(inv.deadline))
		h.Set(headerARN, p.cfg.ARN)
		h.Set(headerTrace, "Root=1-00000000-000000000000000000000000;Sampled=0")
		_, _ = w.Write(inv.payload) // if it fails, the process ends
	case <-r.Context().Done():
	case <-p.exited:
	}
}

// take returns the current invocation if it has this id, and only once.
func (p *process) take(id string) *invocation {
	p.mu.Lock()
	defer p.mu.Unlock()
	inv := p.current
	if inv == nil || inv.id != id {
		return nil
	}
	p.current = nil
	return inv
}

func (p *process) response(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	switch {
	case errors.Is(err, errTooLarge):
		p.finish(w, r, tooLarge(r.ContentLength), http.StatusRequestEntityTooLarge)
	case err != nil:
		writeError(w, http.StatusBadRequest, "InvalidRequest", "the body could not be read")
	case r.Trailer.Get(headerErrorType) != "": // a streamed response that failed half-way
		p.finish(w, r, function.FailedReply(r.Trailer.Get(headerErrorType), "the function failed during its response"), http.StatusAccepted)
	default:
		p.finish(w, r, function.Reply{Payload: body}, http.StatusAccepted)
	}
}

func (p *process) failure(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil || !json.Valid(body) {
		body = function.FailedReply(r.Header.Get(headerErrorType), "the function failed").Payload
	}
	p.finish(w, r, function.Reply{Payload: body, FunctionError: function.Unhandled}, http.StatusAccepted)
}

func (p *process) finish(w http.ResponseWriter, r *http.Request, reply function.Reply, status int) {
	inv := p.take(r.PathValue("id"))
	if inv == nil {
		writeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	if status == http.StatusAccepted {
		writeJSON(w, status, map[string]string{"status": "OK"})
	} else {
		writeError(w, status, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")
	}
	inv.done <- reply
}

func (p *process) initError(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil || !json.Valid(body) {
		body = function.FailedReply(r.Header.Get(headerErrorType), "the function failed to start").Payload
	}
	p.mu.Lock()
	p.initFail = body
	p.mu.Unlock()
	writeJSON(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

var errTooLarge = errors.New("body is too large")

// readBody reads a body up to the limit of a payload. The server closes the connection if more follows.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > function.MaxPayloadBytes {
		return nil, errTooLarge
	}
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, function.MaxPayloadBytes+1))
	if err == nil && len(body) > function.MaxPayloadBytes {
		return nil, errTooLarge
	}
	return body, err
}

func tooLarge(bytes int64) function.Reply {
	size := ""
	if bytes > 0 {
		size = " (" + strconv.FormatInt(bytes, 10) + " bytes)"
	}
	return function.FailedReply(function.ErrorTypeTooLarge, "Response payload size"+size+
		" exceeded maximum allowed payload size ("+strconv.Itoa(function.MaxPayloadBytes)+" bytes).")
}

func writeError(w http.ResponseWriter, status int, errorType, message string) {
	writeJSON(w, status, map[string]string{"errorType": errorType, "errorMessage": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

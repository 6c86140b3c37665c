package apigateway

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Error is a refusal in API Gateway's shape. The message is AWS's own where it is known
// (recorded from the service or reported by its users).
type Error struct {
	Status        int    // HTTP
	Code, Message string // Code: BadRequestException, ...
}

// Error is the code and the message, which holds no secret.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func badRequest(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, "BadRequestException", fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *Error {
	return &Error{http.StatusNotFound, "NotFoundException", fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *Error {
	return &Error{http.StatusConflict, "ConflictException", fmt.Sprintf(format, args...)}
}

// limitExceeded refuses what would exceed one of the account's quotas. AWS returns 429 for it.
func limitExceeded(message string) *Error {
	return &Error{http.StatusTooManyRequests, "LimitExceededException", message}
}

// invalid is the refusal of AWS's first layer, which checks the model's constraints.
func invalid(value, member, constraint string) *Error {
	return &Error{http.StatusBadRequest, "ValidationException",
		fmt.Sprintf("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, member, constraint)}
}

// unsupported refuses what API Gateway can do and this package cannot.
func unsupported(what string) *Error {
	return badRequest("stagelog does not support %s", what)
}

func writeError(w http.ResponseWriter, e *Error) {
	w.Header().Set("X-Amzn-Errortype", e.Code)
	writeJSON(w, e.Status, struct {
		Message string `json:"message"`
	}{e.Message})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	data, err := json.Marshal(body)
	if err != nil {
		panic("BUG: answer does not encode: " + err.Error())
	}
	w.WriteHeader(status)
	_, _ = w.Write(data) // an error means that the client has disconnected
}

package lambda

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

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

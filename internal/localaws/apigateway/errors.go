package apigateway

import (
	"fmt"
	"net/http"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

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

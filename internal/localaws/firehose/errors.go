package firehose

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// Codes of the API model.
const (
	codeInvalidArgument = "InvalidArgumentException"
	codeNotFound        = "ResourceNotFoundException"
	codeInUse           = "ResourceInUseException"
	codeLimit           = "LimitExceededException"
	codeConcurrent      = "ConcurrentModificationException"
	codeUnavailable     = "ServiceUnavailableException"
	// These two are not in the model; every AWS JSON service has them.
	codeValidation    = "ValidationException"
	codeSerialization = "SerializationException"
	codeUnknown       = "UnknownOperationException"
	codeInternal      = "InternalFailure"
)

func invalid(format string, args ...any) *wire.Error {
	return &wire.Error{Code: codeInvalidArgument, Message: fmt.Sprintf(format, args...)}
}

// refused returns the error for a feature of the service that stagelog does not support.
func refused(what string) *wire.Error {
	return invalid("stagelog does not support %s. Its delivery streams are Direct PUT streams with an S3 destination "+
		"and optionally a Lambda function.", what)
}

func serialization(message string) *wire.Error {
	return &wire.Error{Code: codeSerialization, Message: message}
}

// notFound returns the error for an unknown stream, with the service's text (turbot/steampipe-plugin-aws#759).
func (s *Service) notFound(name string) *wire.Error {
	return &wire.Error{Code: codeNotFound, Message: fmt.Sprintf("Firehose %s under account %s not found.", name, s.cfg.Account)}
}

// unavailable returns the retryable error, with the service's text. The model marks it as a fault of the
// service and specifies no status; SDKs retry on 5xx and on this code, and 503 matches the name.
func unavailable() *wire.Error {
	return &wire.Error{Code: codeUnavailable, Message: "Slow down.", Status: http.StatusServiceUnavailable, Fault: true}
}

func internalFailure() *wire.Error {
	return &wire.Error{Code: codeInternal, Message: "The request could not be processed because of an internal failure. See the log of stagelog.", Fault: true}
}

// validation joins violations as the service does. It returns nil if there are none.
func validation(violations []string) *wire.Error {
	switch len(violations) {
	case 0:
		return nil
	case 1:
		return &wire.Error{Code: codeValidation, Message: "1 validation error detected: " + violations[0]}
	}
	return &wire.Error{Code: codeValidation, Message: fmt.Sprintf("%d validation errors detected: %s", len(violations), strings.Join(violations, "; "))}
}

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

// refused is about what the service does and this project does not.
func refused(what string) *wire.Error {
	return invalid("stagelog does not support %s. Its delivery streams are Direct PUT streams with an S3 destination, "+
		"transformed by a Lambda function at most.", what)
}

func serialization(message string) *wire.Error {
	return &wire.Error{Code: codeSerialization, Message: message}
}

// notFound has the service's text (turbot/steampipe-plugin-aws#759).
func (s *Service) notFound(name string) *wire.Error {
	return &wire.Error{Code: codeNotFound, Message: fmt.Sprintf("Firehose %s under account %s not found.", name, s.cfg.Account)}
}

// unavailable asks the client to come again, in the service's words. The model marks it as
// the service's fault and gives no status; SDKs take 5xx and this code for retryable, and
// 503 is what the name says.
func unavailable() *wire.Error {
	return &wire.Error{Code: codeUnavailable, Message: "Slow down.", Status: http.StatusServiceUnavailable, Fault: true}
}

func internalFailure() *wire.Error {
	return &wire.Error{Code: codeInternal, Message: "The request could not be processed because of an internal failure; the log of stagelog says which.", Fault: true}
}

// validation joins violations as the service does; nil when there are none.
func validation(violations []string) *wire.Error {
	switch len(violations) {
	case 0:
		return nil
	case 1:
		return &wire.Error{Code: codeValidation, Message: "1 validation error detected: " + violations[0]}
	}
	return &wire.Error{Code: codeValidation, Message: fmt.Sprintf("%d validation errors detected: %s", len(violations), strings.Join(violations, "; "))}
}

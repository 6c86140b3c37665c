package accesslog

import (
	"errors"
	"slices"
	"strings"
)

// The messages with which UpdateStage refuses a format (all are BadRequestException).
var (
	// ErrEmpty refuses an empty format.
	ErrEmpty = errors.New("Access Log value must not be empty") //lint:ignore ST1005 AWS's words
	// ErrNotSingleLine refuses a newline that is not the last character.
	ErrNotSingleLine = errors.New("Access Log format must be single line, new line character is allowed only at end of the format") //lint:ignore ST1005 AWS's words
	// ErrNoRequestID refuses a format that identifies no request.
	ErrNoRequestID = errors.New("Access Log format must include either $context.requestId or $context.extendedRequestId") //lint:ignore ST1005 AWS's words
)

// ValidateAccessLogFormat refuses exactly what API Gateway's UpdateStage refuses, in AWS's words. It takes formats that
// give invalid JSON, as AWS does: those are Lint's to find. The order of the checks where several fail is ours.
func ValidateAccessLogFormat(format string) error {
	switch {
	case format == "":
		return ErrEmpty
	case innerNewline(format) >= 0:
		return ErrNotSingleLine
	case !hasRequestID(format):
		return ErrNoRequestID
	}
	return nil
}

// innerNewline is the offset of the first newline that does not end the format, or -1.
func innerNewline(format string) int {
	body := strings.TrimSuffix(strings.TrimSuffix(format, "\n"), "\r")
	return strings.IndexAny(body, "\r\n")
}

func hasRequestID(format string) bool {
	return slices.ContainsFunc(uses(format), func(u use) bool {
		name := format[u.start:u.end]
		return name == varRequestID || name == varExtendedRequestID
	})
}

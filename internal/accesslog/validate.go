package accesslog

import (
	"errors"
	"slices"
	"strings"
)

// The messages of UpdateStage for an invalid format (a BadRequestException).
var (
	// ErrEmpty is returned for an empty format.
	ErrEmpty = errors.New("Access Log value must not be empty") //lint:ignore ST1005 AWS's message
	// ErrNotSingleLine is returned for a newline before the end.
	ErrNotSingleLine = errors.New("Access Log format must be single line, new line character is allowed only at end of the format") //lint:ignore ST1005 AWS's message
	// ErrNoRequestID is returned for a format without a request id.
	ErrNoRequestID = errors.New("Access Log format must include either $context.requestId or $context.extendedRequestId") //lint:ignore ST1005 AWS's message
)

// ValidateAccessLogFormat returns an error with AWS's message for exactly the formats that API Gateway's UpdateStage
// rejects. Like AWS it accepts formats that produce invalid JSON, which Lint reports. Which error AWS returns when several
// apply is not documented.
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

// innerNewline returns the offset of the first newline before the end of the format, or -1.
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

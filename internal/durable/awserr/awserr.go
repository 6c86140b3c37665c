// Package awserr classifies the errors of AWS's services.
//
// The codes are those of the services' API references, section "Errors" of each operation, and of
// "Common Error Types" of the same references; S3's are in "Error responses" of its own. The SDK's typed
// exceptions have these codes too, so that one list covers services of which the SDK knows no types.
package awserr

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Code returns AWS's code of an error; "" when AWS did not answer.
func Code(err error) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return ""
	}
	return answer.ErrorCode()
}

// Message returns AWS's text of an error, without the SDK's own; "" when there is none.
func Message(err error) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return ""
	}
	return answer.ErrorMessage()
}

// Status returns the HTTP status of the answer; 0 without one.
func Status(err error) int {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return 0
	}
	return answer.HTTPStatusCode()
}

// BucketRegion returns the Region in which S3 says that the bucket is; "" when it does not say.
func BucketRegion(err error) string {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return ""
	}
	return answer.Response.Header.Get("X-Amz-Bucket-Region")
}

// OtherRegion reports whether S3 answered that the bucket is in another Region than the one asked. MovedPermanently is
// the answer to HEAD, which has no body.
func OtherRegion(err error) bool {
	return Is(err, "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently")
}

// Is reports whether AWS answered with one of the codes.
func Is(err error, codes ...string) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && slices.Contains(codes, answer.ErrorCode())
}

// Answered reports whether err is an answer, and not a failure to get one.
func Answered(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) || Status(err) != 0
}

// Denied reports whether the caller lacks a permission. An answer to HEAD has no body, hence no code of AWS's: the
// SDK makes "Forbidden" of it, or "UnknownError".
func Denied(err error) bool {
	return Is(err, "AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "Forbidden") ||
		Status(err) == http.StatusForbidden && slices.Contains([]string{"", "UnknownError"}, Code(err))
}

// BadCredentials reports whether every further call with the same credentials would fail too.
func BadCredentials(err error) bool {
	return Is(err, "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
		"InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired")
}

// NotFound reports whether the thing that the call is about does not exist. A setting that a bucket does not have
// is not covered: those codes differ with each call.
func NotFound(err error) bool {
	return Is(err,
		"ResourceNotFoundException",                 // Firehose, Lambda, CloudWatch Logs
		"NotFoundException",                         // API Gateway, KMS
		"NoSuchEntity",                              // IAM
		"EntityNotFoundException",                   // Glue
		"NoSuchBucket", "NoSuchKey", "NoSuchUpload", // S3
		"NotFound") // S3, HEAD
}

// Exists reports whether a thing of that name exists already.
func Exists(err error) bool {
	return Is(err,
		"EntityAlreadyExists",            // IAM
		"AlreadyExistsException",         // Glue
		"ResourceAlreadyExistsException", // CloudWatch Logs
		"BucketAlreadyOwnedByYou") ||     // S3; BucketAlreadyExists is the bucket of another account
		Is(err, "ResourceConflictException") && saysExists(err) // Lambda
}

// Conflict reports whether an earlier or a simultaneous change of the same thing is in the way, so that the call
// may succeed a little later.
func Conflict(err error) bool {
	return Is(err,
		"ConflictException",                                            // API Gateway
		"OperationAborted",                                             // S3
		"OperationAbortedException",                                    // CloudWatch Logs
		"ConcurrentModification", "ConcurrentModificationException") || // IAM; Firehose, Glue
		Is(err, "ResourceConflictException") && !saysExists(err) // Lambda
}

// saysExists tells Lambda's two conflicts apart, which have one code.
func saysExists(err error) bool { return strings.Contains(Message(err), "already exist") }

// Throttled reports whether AWS asks for fewer calls. LimitExceededException is a quota in most services, and is not
// covered.
func Throttled(err error) bool {
	return Is(err, "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"TooManyRequestsException", "RequestLimitExceeded", "SlowDown") || Status(err) == http.StatusTooManyRequests && Code(err) == ""
}

// RoleNotReady reports whether a service cannot use a role yet: it may take IAM a minute to make a new role, or a new
// policy of it, known everywhere. Only the texts tell these answers from those to other wrong arguments.
func RoleNotReady(err error) bool {
	text := strings.ToLower(Message(err))
	says := func(part string) bool { return strings.Contains(text, part) }
	switch Code(err) {
	case "InvalidArgumentException": // Firehose
		return says("unable to assume role") || says("verify that the iam role has access")
	case "InvalidParameterValueException": // Lambda: the second one is from the key that encrypts the variables
		return says("cannot be assumed by lambda") || says("arn does not refer to a valid principal")
	}
	return false
}

// Unsupported reports whether the endpoint has no such operation, as some that are not AWS's.
func Unsupported(err error) bool {
	return Is(err, "InvalidAction", "NotImplemented", "UnknownOperation", "UnknownOperationException")
}

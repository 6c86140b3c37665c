// Package awserr classifies the errors of AWS's services.
//
// The codes are from the services' API references, section "Errors" of each operation and "Common Error Types";
// those of S3 are from its page "Error responses". The SDK's typed exceptions return these codes too, so one list
// also covers services for which the SDK has no types.
package awserr

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answer returns the response of AWS that err wraps, or one without code and message.
func answer(err error) smithy.APIError {
	if found, ok := errors.AsType[smithy.APIError](err); ok {
		return found
	}
	return &smithy.GenericAPIError{}
}

// Code returns the AWS error code of an error, or "" if AWS did not respond.
func Code(err error) string { return answer(err).ErrorCode() }

// Message returns the AWS message of an error, without the SDK's text, or "" if there is none.
func Message(err error) string { return answer(err).ErrorMessage() }

// response returns the HTTP response that err wraps, or an empty one.
func response(err error) *http.Response {
	found, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || found.Response == nil || found.Response.Response == nil {
		return &http.Response{}
	}
	return found.Response.Response
}

// Status returns the HTTP status of the response, or 0 if there is none.
func Status(err error) int { return response(err).StatusCode }

// BucketRegion returns the bucket's Region as reported by S3, or "".
func BucketRegion(err error) string { return response(err).Header.Get("X-Amz-Bucket-Region") }

// OtherRegion reports whether S3 responded that the bucket is in another Region. MovedPermanently is the code for
// responses to HEAD, which have no body.
func OtherRegion(err error) bool {
	return Is(err, "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently")
}

// Is reports whether err has one of the AWS error codes.
func Is(err error, codes ...string) bool {
	return slices.Contains(codes, Code(err))
}

// Answered reports whether err is a response of AWS rather than a failure to get one.
func Answered(err error) bool {
	_, ok := errors.AsType[smithy.APIError](err)
	return ok || Status(err) != 0
}

// Denied reports whether the caller lacks a permission. A response to HEAD has no body and therefore no code; the
// SDK sets "Forbidden" or "UnknownError". It does not cover LakeFormation and TagPolicy.
func Denied(err error) bool {
	return !LakeFormation(err) && !TagPolicy(err) && Is(err, "AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "Forbidden") ||
		Status(err) == http.StatusForbidden && slices.Contains([]string{"", "UnknownError"}, Code(err))
}

// RefusedObject reports whether S3 refused to return an object for a reason that need not apply to other objects: permissions,
// an archive, or encryption. InvalidRequest is the code for an object that is encrypted with a customer's own key.
func RefusedObject(err error) bool {
	code := Code(err)
	return Denied(err) || Is(err, "InvalidObjectState", "InvalidRequest") || strings.HasPrefix(code, "KMS.") && code != "KMS.ThrottlingException"
}

// BadCredentials reports whether all other calls with the same credentials would fail too.
func BadCredentials(err error) bool {
	return Is(err, "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
		"InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired")
}

// NotFound reports whether the resource of the call does not exist. It does not cover missing settings of a bucket,
// which have a different code for each call.
func NotFound(err error) bool {
	return Is(err,
		"ResourceNotFoundException",                  // Firehose, Lambda, CloudWatch Logs
		"NotFoundException",                          // API Gateway, KMS
		"NoSuchEntity",                               // IAM
		"EntityNotFoundException",                    // Glue
		"ResourceNotFound", "DashboardNotFoundError", // CloudWatch
		"NoSuchBucket", "NoSuchKey", "NoSuchUpload", // S3
		"NotFound") // S3, HEAD
}

// Exists reports whether a resource with that name already exists.
func Exists(err error) bool {
	return Is(err,
		"EntityAlreadyExists",            // IAM
		"AlreadyExistsException",         // Glue
		"ResourceAlreadyExistsException", // CloudWatch Logs
		"BucketAlreadyOwnedByYou") ||     // S3; BucketAlreadyExists means another account's bucket
		Is(err, "ResourceConflictException") && alreadyExists(err) // Lambda
}

// Conflict reports whether another change of the same resource is in progress, so that the call may succeed later.
func Conflict(err error) bool {
	return Is(err,
		"ConflictException",                                            // API Gateway
		"OperationAborted",                                             // S3
		"OperationAbortedException",                                    // CloudWatch Logs
		"ConcurrentModification", "ConcurrentModificationException") || // IAM; Firehose, Glue
		Is(err, "ResourceConflictException") && !alreadyExists(err) // Lambda
}

// alreadyExists distinguishes Lambda's two conflicts, which have the same code.
func alreadyExists(err error) bool { return strings.Contains(Message(err), "already exist") }

// Throttled reports whether AWS throttled the call. It does not cover LimitExceededException, which is a quota in most
// services.
func Throttled(err error) bool {
	return Is(err, "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"TooManyRequestsException", "RequestLimitExceeded", "SlowDown") || Status(err) == http.StatusTooManyRequests && Code(err) == ""
}

// RoleNotReady reports whether a service cannot use a role, or the role may not do what the service needs. A new role or
// policy can take IAM a minute to propagate, so the call may succeed later; a denial that remains has the same error.
// Only the message distinguishes these errors from other invalid arguments. The messages are those that Terraform's AWS provider
// waits for too: retryDeliveryStreamOp for Firehose, retryFunctionOp for Lambda.
func RoleNotReady(err error) bool {
	text := strings.ToLower(Message(err))
	contains := func(part string) bool { return strings.Contains(text, part) }
	switch Code(err) {
	case "InvalidArgumentException": // Firehose
		return !LakeFormation(err) && slices.ContainsFunc([]string{
			"unable to assume role",
			"verify that the iam role has access",
			"is not authorized to",
			"access was denied", // by Glue, for the table of the format conversion
		}, contains)
	case "InvalidParameterValueException": // Lambda
		return slices.ContainsFunc([]string{
			"cannot be assumed by lambda",
			"execution role does not have permissions",
			"arn does not refer to a valid principal", // for the key of the variables
			"kms key is invalid for creategrant",
		}, contains)
	}
	return false
}

// LakeFormation reports whether Lake Formation does not allow an access to the Glue Data Catalog. IAM policies do not help
// then, and neither does waiting: a grant in Lake Formation is missing. Glue returns the message with AccessDeniedException, and
// Firehose quotes it in an InvalidArgumentException (seen in hashicorp/terraform-provider-aws#17254).
func LakeFormation(err error) bool {
	return strings.Contains(strings.ToLower(Message(err)), "lake formation permission")
}

// TagPolicy reports whether a tag policy of the AWS organisation does not allow a tag. The message is the same in all services,
// the code is not: TagPolicyException in S3, others return TagPolicyViolation or ValidationException.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func TagPolicy(err error) bool {
	return strings.HasPrefix(Code(err), "TagPolicy") || strings.Contains(strings.ToLower(Message(err)), "tag policy does not allow")
}

// Unsupported reports whether the endpoint does not support the operation, as some emulators.
func Unsupported(err error) bool {
	return Is(err, "InvalidAction", "NotImplemented", "UnknownOperation", "UnknownOperationException")
}

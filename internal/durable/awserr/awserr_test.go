package awserr_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	iam "github.com/aws/aws-sdk-go-v2/service/iam/types"
	lambda "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	s3 "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/stagelog/stagelog/internal/durable/awserr"
)

// answer returns an error like the SDK's. Without a code, it is a response that could not be parsed.
func answer(status int, code, message string) error {
	header := http.Header{"X-Amz-Bucket-Region": {"eu-west-1"}}
	var err error = &smithy.GenericAPIError{Code: code, Message: message}
	if code == "" {
		err = errors.New("deserialization failed")
	}
	return fmt.Errorf("read its tags: %w", &smithy.OperationError{ServiceID: "S3", OperationName: "GetBucketTagging", Err: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: header}}, Err: err,
	}})
}

var classes = map[string]func(error) bool{
	"denied": awserr.Denied, "bad credentials": awserr.BadCredentials, "not found": awserr.NotFound, "exists": awserr.Exists,
	"conflict": awserr.Conflict, "throttled": awserr.Throttled, "role not ready": awserr.RoleNotReady, "unsupported": awserr.Unsupported, "other Region": awserr.OtherRegion,
	"Lake Formation": awserr.LakeFormation, "tag policy": awserr.TagPolicy,
}

func TestEachErrorHasOneClass(t *testing.T) {
	for _, c := range []struct {
		err   error
		class string // "": none
	}{
		{answer(403, "AccessDenied", "Access Denied"), "denied"},
		{answer(400, "AccessDeniedException", "User: arn is not authorized to perform: firehose:DescribeDeliveryStream"), "denied"},
		{answer(403, "AuthorizationError", ""), "denied"},
		{answer(403, "Forbidden", ""), "denied"},
		{answer(403, "UnknownError", "UnknownError"), "denied"},
		{answer(403, "", ""), "denied"},
		{answer(403, "InvalidObjectState", "The operation is not valid for the object's storage class"), ""},
		{answer(403, "SignatureDoesNotMatch", ""), "bad credentials"},
		{answer(400, "ExpiredToken", ""), "bad credentials"},
		{answer(403, "InvalidClientTokenId", "The security token included in the request is invalid."), "bad credentials"},
		{answer(404, "NoSuchBucket", ""), "not found"},
		{answer(404, "NotFound", ""), "not found"},
		{&s3.NoSuchKey{}, "not found"},
		{&iam.NoSuchEntityException{}, "not found"},
		{&lambda.ResourceNotFoundException{}, "not found"},
		{answer(404, "NoSuchLifecycleConfiguration", ""), ""},
		{answer(409, "BucketAlreadyOwnedByYou", ""), "exists"},
		{answer(409, "BucketAlreadyExists", ""), ""},
		{&iam.EntityAlreadyExistsException{}, "exists"},
		{&lambda.ResourceConflictException{Message: text("Function already exist: stagelog-acme")}, "exists"},
		{&lambda.ResourceConflictException{Message: text("The operation cannot be performed at this time. An update is in progress for resource: arn")}, "conflict"},
		{answer(409, "OperationAborted", "A conflicting conditional operation is currently in progress against this resource."), "conflict"},
		{&iam.ConcurrentModificationException{}, "conflict"},
		{answer(429, "TooManyRequestsException", "Too Many Requests"), "throttled"},
		{answer(400, "ThrottlingException", "Rate exceeded"), "throttled"},
		{answer(503, "SlowDown", "Please reduce your request rate."), "throttled"},
		{answer(429, "", ""), "throttled"},
		{answer(429, "LimitExceededException", ""), ""},
		{answer(400, "InvalidArgumentException", "Firehose is unable to assume role arn:aws:iam::123456789012:role/r. Please check the role provided."), "role not ready"},
		{answer(400, "InvalidArgumentException", "Verify that the IAM role has access to the KMS key"), "role not ready"},
		{answer(400, "InvalidArgumentException", "Role arn:aws:iam::123456789012:role/r is not authorized to perform: glue:GetTableVersions on resource: arn"), "role not ready"},
		{answer(400, "InvalidArgumentException", "Access was denied when calling Glue. Please ensure that the role specified in the data format conversion configuration has the necessary permissions."), "role not ready"},
		{answer(400, "InvalidArgumentException", "Access was denied when calling Glue. Please ensure that the role specified in the data format conversion configuration has the necessary permissions. Insufficient Lake Formation permission(s) on lines (Service: AWSGlue; Status Code: 400; Error Code: AccessDeniedException; Request ID: 1; Proxy: null)"), "Lake Formation"},
		{answer(400, "AccessDeniedException", "Insufficient Lake Formation permission(s): Required Describe on lines"), "Lake Formation"},
		{answer(400, "AccessDeniedException", "User: arn is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/r"), "denied"},
		{answer(400, "TagPolicyException", "The tag policy does not allow the specified value for the following tag key: 'team'."), "tag policy"},
		{answer(400, "AccessDeniedException", "The tag policy does not allow the specified value for the following tag key: 'team'."), "tag policy"},
		{answer(400, "InvalidArgumentException", "Prefix is not valid"), ""},
		{&lambda.InvalidParameterValueException{Message: text("The role defined for the function cannot be assumed by Lambda.")}, "role not ready"},
		{&lambda.InvalidParameterValueException{Message: text("KMS Message: ARN does not refer to a valid principal: arn:aws:sts::1:assumed-role/r/f")}, "role not ready"},
		{&lambda.InvalidParameterValueException{Message: text("The provided execution role does not have permissions to call CreateNetworkInterface on EC2")}, "role not ready"},
		{&lambda.InvalidParameterValueException{Message: text("Unzipped size must be smaller")}, ""},
		{answer(404, "UnknownOperationException", ""), "unsupported"},
		{answer(301, "PermanentRedirect", ""), "other Region"},
		{answer(301, "MovedPermanently", ""), "other Region"},
		{answer(400, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'"), "other Region"},
		{answer(500, "InternalError", ""), ""},
		{errors.New("dial tcp: connection refused"), ""},
		{context.Canceled, ""},
		{nil, ""},
	} {
		for name, is := range classes {
			if got := is(c.err); got != (name == c.class) {
				t.Errorf("%v: %s = %v, want class %q", c.err, name, got, c.class)
			}
		}
	}
}

func text(s string) *string { return &s }

func TestParts(t *testing.T) {
	err := answer(404, "NoSuchBucket", "The specified bucket does not exist")
	if c, m, s, r := awserr.Code(err), awserr.Message(err), awserr.Status(err), awserr.BucketRegion(err); c != "NoSuchBucket" || m != "The specified bucket does not exist" || s != 404 || r != "eu-west-1" {
		t.Errorf("Code, Message, Status, BucketRegion = %q, %q, %d, %q", c, m, s, r)
	}
	if !awserr.Is(err, "NoSuchKey", "NoSuchBucket") || awserr.Is(err, "NoSuchKey") || awserr.Is(err) {
		t.Error("Is does not compare the code")
	}
	for _, none := range []error{nil, errors.New("no host"), &smithyhttp.ResponseError{Err: errors.New("no answer")}} {
		if awserr.Code(none) != "" || awserr.Message(none) != "" || awserr.Status(none) != 0 || awserr.BucketRegion(none) != "" || awserr.Answered(none) {
			t.Errorf("%v: got parts of a response, want none", none)
		}
	}
	if !awserr.Answered(err) || !awserr.Answered(answer(502, "", "")) {
		t.Error("Answered = false for a response")
	}
}

func TestRefusedObject(t *testing.T) {
	for code, want := range map[string]bool{
		"AccessDenied": true, "InvalidObjectState": true, "InvalidRequest": true, "KMS.DisabledException": true, "KMS.NotFoundException": true,
		"KMS.ThrottlingException": false, "ExpiredToken": false, "SlowDown": false, "InternalError": false, "NoSuchKey": false,
	} {
		if got := awserr.RefusedObject(answer(400, code, "")); got != want {
			t.Errorf("RefusedObject(%s) = %v, want %v", code, got, want)
		}
	}
}

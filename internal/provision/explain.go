package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/durable/awserr"
)

// explained is an error whose text names the cause and the next step.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// Explain converts an error from AWS, or from the connection to it, into one that names the cause
// and the next step, or at least drops the SDK's boilerplate. errors.As still finds the SDK's
// error. An error that was explained already is returned unchanged.
func Explain(err error) error {
	if _, already := errors.AsType[*explained](err); err == nil || already || errors.Is(err, context.Canceled) {
		return err
	}
	for _, explain := range []func(error) string{explainProfile, explainUnreachable, explainResponse} {
		if text := explain(err); text != "" {
			return &explained{before(err) + text, err}
		}
	}
	return err
}

// before returns the prefix that our own code put before the SDK's error, like "read its tags: ".
func before(err error) string {
	op, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), op.Error())
	return text
}

func explainProfile(err error) string {
	missing, ok := errors.AsType[config.SharedConfigProfileNotExistError](err)
	if !ok {
		return ""
	}
	return fmt.Sprintf("profile %s not found in the AWS configuration files: `aws configure list-profiles` lists profiles, `aws configure sso` creates one", missing.Profile)
}

func explainUnreachable(err error) string {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok && lookup.IsNotFound {
		return fmt.Sprintf("host %s not found: check the Region and the network connection", lookup.Name)
	}
	sent, isRequest := errors.AsType[*url.Error](err)
	dial, isNetwork := errors.AsType[*net.OpError](err)
	if !isRequest || !isNetwork || dial.Op != "dial" {
		return ""
	}
	host := sent.URL
	if u, err := url.Parse(sent.URL); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("cannot connect to %s (%v): for the local endpoint, start `stagelog up` first; otherwise check --endpoint-url, AWS_ENDPOINT_URL and the network", host, dial.Err)
}

func explainResponse(err error) string {
	code := awserr.Code(err)
	if code == "" {
		return ""
	}
	switch {
	case awserr.TagPolicy(err):
		return explainTagPolicy(err)
	case awserr.Denied(err):
		return explainDenied(err)
	}
	plain := plainAnswer(err)
	switch {
	case awserr.LakeFormation(err):
		return "Lake Formation does not allow this access to the Glue Data Catalog, and IAM policies cannot: ask a Lake Formation administrator for a grant\nAWS error: " + plain
	case awserr.RoleNotReady(err):
		return "the service cannot use the role: check its trust policy and its permissions, with `stagelog plan` and `stagelog doctor`, then its permissions boundary and the organisation's service control policies\nAWS error: " + plain
	}
	if region := awserr.BucketRegion(err); region != "" && awserr.OtherRegion(err) {
		return fmt.Sprintf("the bucket is in %s: pass --region %s\nAWS error: %s", region, region, plain)
	}
	next, ok := nextSteps[code]
	if awserr.Throttled(err) {
		next, ok = "AWS throttled the requests even after several retries: wait a minute and run the command again", true
	}
	if ok {
		return next + "\nAWS error: " + plain
	}
	return plain
}

// plainAnswer returns AWS's error response without the SDK's boilerplate.
func plainAnswer(err error) string {
	text := awserr.Code(err)
	if m := awserr.Message(err); m != "" {
		text += ": " + m
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		text = op.ServiceID + " " + op.OperationName + ": " + text
	}
	var r interface{ ServiceRequestID() string }
	if errors.As(err, &r) && r.ServiceRequestID() != "" {
		text += " (request " + r.ServiceRequestID() + ")"
	}
	return text
}

const newCredentials = "log in with `aws sso login` or get new ones, and check them with `aws sts get-caller-identity`"

// nextSteps maps error codes that mean the same in every service to cause and next step.
var nextSteps = map[string]string{
	"ExpiredToken":                "the AWS credentials have expired: " + newCredentials,
	"ExpiredTokenException":       "the AWS credentials have expired: " + newCredentials,
	"InvalidClientTokenId":        "AWS rejected the credentials, or the Region is not enabled in their account: " + newCredentials,
	"UnrecognizedClientException": "AWS rejected the credentials, or the Region is not enabled in their account: " + newCredentials,
	"InvalidToken":                "AWS rejected the session token: " + newCredentials,
	"TokenRefreshRequired":        "the AWS credentials have expired: " + newCredentials,
	"InvalidAccessKeyId":          "AWS rejected the credentials: " + newCredentials,
	"SignatureDoesNotMatch":       "the secret access key does not match the access key ID: " + newCredentials,
	"RequestTimeTooSkewed":        "this machine's clock is off by several minutes: correct it and try again",
	"RequestExpired":              "this machine's clock is off by several minutes: correct it and try again",
	"OptInRequired":               "the account has not signed up for this service: finish the sign-up in the AWS console",
	"PermanentRedirect":           "the bucket is in another Region: pass it with --region",
	"LimitExceededException":      "the account's quota is used up: delete unused resources, or request an increase in the Service Quotas console",
	"LimitExceeded":               "the account's quota is used up: delete unused resources, or request an increase in the Service Quotas console",
	"TooManyBuckets":              "the account's bucket quota is used up: delete a bucket, or request an increase in the Service Quotas console",
	"NoSuchBucket":                "the bucket does not exist: `aws s3 ls` lists the buckets of your account",
	"InvalidObjectState":          "the object is archived in S3 Glacier, perhaps by a lifecycle rule: restore it, or exclude its time range",
	"MalformedPolicyDocument":     "a principal in the policy may not exist: check readers: in stagelog.yaml",
}

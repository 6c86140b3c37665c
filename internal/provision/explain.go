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

// explained is an error in words that say the cause and the next step.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// Explain turns an error of AWS, or of the way to it, into one that names the cause and the
// next step. Where it knows none it only leaves out the SDK's own words. errors.As still finds
// the SDK's error, and an error explained once is not explained again.
func Explain(err error) error {
	already := (*explained)(nil)
	if err == nil || errors.As(err, &already) || errors.Is(err, context.Canceled) {
		return err
	}
	for _, say := range []func(error) string{sayProfile, sayUnreachable, sayAnswer} {
		if text := say(err); text != "" {
			return &explained{before(err) + text, err}
		}
	}
	return err
}

// before is what our own code said before the SDK's error: "read its tags: ".
func before(err error) string {
	op := (*smithy.OperationError)(nil)
	if !errors.As(err, &op) {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), op.Error())
	return text
}

func sayProfile(err error) string {
	missing := config.SharedConfigProfileNotExistError{}
	if !errors.As(err, &missing) {
		return ""
	}
	return fmt.Sprintf("AWS's configuration files have no profile %s: `aws configure list-profiles` lists those there are, `aws configure sso` makes one", missing.Profile)
}

func sayUnreachable(err error) string {
	lookup := (*net.DNSError)(nil)
	if errors.As(err, &lookup) && lookup.IsNotFound {
		return fmt.Sprintf("there is no host %s: is the Region right, and this machine online?", lookup.Name)
	}
	sent := (*url.Error)(nil)
	dial := (*net.OpError)(nil)
	if !errors.As(err, &sent) || !errors.As(err, &dial) || dial.Op != "dial" {
		return ""
	}
	host := sent.URL
	if u, err := url.Parse(sent.URL); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("nobody answers at %s (%v): for this machine's own endpoint, start `stagelog up` first; otherwise look at --endpoint-url, AWS_ENDPOINT_URL and the network", host, dial.Err)
}

// sayAnswer knows what AWS answered.
func sayAnswer(err error) string {
	code := awserr.Code(err)
	if code == "" {
		return ""
	}
	if awserr.Denied(err) {
		return sayDenied(err)
	}
	plain := plainAnswer(err)
	if region := awserr.BucketRegion(err); region != "" && awserr.OtherRegion(err) {
		return fmt.Sprintf("the bucket is in the Region %s: give --region %s\nAWS says: %s", region, region, plain)
	}
	next, ok := nextSteps[code]
	if awserr.Throttled(err) {
		next, ok = "AWS asks for fewer requests, and went on asking for it through several tries: wait a minute, and run the same again", true
	}
	if ok {
		return next + "\nAWS says: " + plain
	}
	return plain
}

// plainAnswer is AWS's answer without the SDK's words around it.
func plainAnswer(err error) string {
	text := awserr.Code(err)
	if m := awserr.Message(err); m != "" {
		text += ": " + m
	}
	op := (*smithy.OperationError)(nil)
	if errors.As(err, &op) {
		text = op.ServiceID + " " + op.OperationName + ": " + text
	}
	if id := requestID(err); id != "" {
		text += " (request " + id + ")"
	}
	return text
}

func requestID(err error) string {
	var r interface{ ServiceRequestID() string }
	if errors.As(err, &r) {
		return r.ServiceRequestID()
	}
	return ""
}

const newCredentials = "log in again with `aws sso login`, or get new ones from where these came; `aws sts get-caller-identity` shows whether they work"

// nextSteps are for answers that mean the same in every service.
var nextSteps = map[string]string{
	"ExpiredToken":                "the AWS credentials have expired: " + newCredentials,
	"ExpiredTokenException":       "the AWS credentials have expired: " + newCredentials,
	"InvalidClientTokenId":        "AWS does not know these credentials, or the Region is not enabled in their account: " + newCredentials,
	"UnrecognizedClientException": "AWS does not know these credentials, or the Region is not enabled in their account: " + newCredentials,
	"InvalidToken":                "AWS does not take the session token: " + newCredentials,
	"TokenRefreshRequired":        "the AWS credentials have expired: " + newCredentials,
	"InvalidAccessKeyId":          "AWS does not know these credentials: " + newCredentials,
	"SignatureDoesNotMatch":       "the secret does not belong to the access key: " + newCredentials,
	"RequestTimeTooSkewed":        "this machine's clock is wrong by more than a few minutes: set it, and try again",
	"RequestExpired":              "this machine's clock is wrong by more than a few minutes: set it, and try again",
	"OptInRequired":               "the account may not use this service yet: finish its sign-up in the AWS console",
	"PermanentRedirect":           "the bucket is in another Region: give that one with --region",
	"LimitExceededException":      "the account's quota is used up: delete what is no longer needed, or ask for more in the Service Quotas console",
	"LimitExceeded":               "the account's quota is used up: delete what is no longer needed, or ask for more in the Service Quotas console",
	"TooManyBuckets":              "the account's quota of buckets is used up: delete one, or ask for more in the Service Quotas console",
	"NoSuchBucket":                "there is no bucket of that name, in any account: `aws s3 ls` lists those of these credentials' own",
	"InvalidObjectState":          "the object is archived, as a lifecycle rule of the bucket may do (S3 Glacier): restore it, or leave its time out",
	"MalformedPolicyDocument":     "a principal in the policy may not exist: look at the readers in stagelog.yaml",
}

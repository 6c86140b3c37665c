package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/rights"
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
	if awserr.Denied(err) {
		return explainDenied(err)
	}
	plain := plainAnswer(err)
	switch {
	case awserr.LakeFormation(err):
		return "Lake Formation does not allow this access to the Glue Data Catalog, and IAM policies cannot: ask a Lake Formation administrator for a grant\nAWS error: " + plain
	case awserr.RoleNotReady(err):
		return "the service cannot use the role: check its trust policy and its permissions, with `stagelog plan` and `stagelog doctor`, then its permissions boundary and the organization's service control policies\nAWS error: " + plain
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

// denialText matches AWS's denials: "User: ARN is not authorized to perform: ACTION on resource:
// ARN because …". Some services omit the resource or the reason.
var denialText = regexp.MustCompile(`(?s)^User: (\S+) is not authorized to perform: (\S+?)(?: on resource: ("?[^\s"]+"?))?(?: (?:because|with) (.*))?$`)

// explainDenied names the action, the resource and the statement that would allow it.
func explainDenied(err error) string {
	who, action, resource, why := "these credentials", deniedAction(err), "", ""
	if m := denialText.FindStringSubmatch(strings.TrimSpace(awserr.Message(err))); m != nil {
		who, action, resource, why = m[1], m[2], strings.Trim(m[3], `"`), m[4]
	}
	if action == "" {
		return "access denied: " + plainAnswer(err)
	}
	var about interface{ Resource() string }
	if resource == "" && action == deniedAction(err) && errors.As(err, &about) {
		resource = about.Resource()
	}
	text := fmt.Sprintf("access denied: %s may not %s", who, action)
	if resource != "" {
		text += " on " + resource
	}
	if strings.Contains(why, "explicit deny") {
		return fmt.Sprintf("%s: an explicit deny overrides all permissions; ask the administrator of that policy\nAWS error: %s", text, why)
	}
	if resource == "" {
		resource = "*"
	}
	if strings.Contains(why, "no resource-based policy") {
		return text + "\nThe resource's owner must add this statement to its policy, with a Principal:\n" + allowStatement(action, resource)
	}
	text += "\nAdd this statement to a policy of that user or role, or use other credentials (--profile):\n" + allowStatement(action, resource)
	if why == "" && strings.HasPrefix(action, "s3:") && denialHints[action] != "" {
		text += "\nIf the bucket belongs to another account, the bucket policy must allow it as well."
	}
	return strings.TrimRight(text+"\n"+denialHints[action], "\n")
}

const withoutAlarms = "A pipeline without alarms (alarms: false below aws: in stagelog.yaml) does not need this."

// denialHints are further causes of a denial, by action.
var denialHints = map[string]string{
	"cloudwatch:DescribeAlarms":      withoutAlarms,
	"cloudwatch:ListTagsForResource": withoutAlarms,
	"cloudwatch:PutMetricAlarm":      withoutAlarms,
	"cloudwatch:GetDashboard":        "A pipeline without a dashboard (dashboard: false below aws: in stagelog.yaml) does not need this.",
	"s3:ListBucket":                  "If the policy allows listing only below a prefix, request that prefix.",
	"s3:GetObject":                   "A statement on the bucket's ARN without /* does not cover its objects.",
}

func allowStatement(action, resource string) string {
	statement, err := json.MarshalIndent(struct{ Effect, Action, Resource string }{"Allow", action, resource}, "  ", "  ")
	if err != nil {
		return err.Error() // strings can always be marshalled
	}
	return "  " + string(statement)
}

// deniedAction returns the IAM action of the failed call, "" if it is not known. Not every
// response names it. API Gateway's actions are HTTP methods, which say little without the path.
func deniedAction(err error) string {
	op, ok := errors.AsType[*smithy.OperationError](err)
	if !ok || op.ServiceID == "API Gateway" {
		return ""
	}
	return rights.Action(op.ServiceID + " " + op.OperationName)
}

// withRights adds to the error of a denied change the actions that the steps still to be made need, so that all can be
// granted at once. It does not if a policy denies the call explicitly: then grants do not help.
func withRights(err error, command string, d *desired.Resources, by rights.Command, steps []rights.Step) error {
	if !awserr.Denied(err) || strings.Contains(awserr.Message(err), "explicit deny") {
		return err
	}
	text := err.Error()
	if actions := rights.Writes(d, by, steps); len(actions) > 0 {
		text += "\nThe rest of this run needs these actions too: " + strings.Join(actions, ", ")
	}
	return &explained{text + "\n`stagelog permissions " + command + "` prints a policy with all that it needs.", err}
}

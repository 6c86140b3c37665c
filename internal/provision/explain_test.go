package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
)

func TestExplain(t *testing.T) {
	answer := func(service, operation, code, message string) error {
		return fmt.Errorf("while planning: %w", &smithy.OperationError{ServiceID: service, OperationName: operation,
			Err: &smithy.GenericAPIError{Code: code, Message: message}})
	}
	tests := []struct {
		name string
		err  error
		want []string
	}{
		{"a full denial",
			answer("Firehose", "CreateDeliveryStream", "AccessDeniedException", "User: arn:aws:iam::123456789012:user/eva is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/r because no identity-based policy allows the iam:PassRole action"),
			[]string{"arn:aws:iam::123456789012:user/eva may not iam:PassRole on arn:aws:iam::123456789012:role/r\n", `"Effect": "Allow",`, `"Action": "iam:PassRole",`, `"Resource": "arn:aws:iam::123456789012:role/r"`}},
		{"an older denial, quoted and without a reason",
			answer("API Gateway", "GetStage", "AccessDeniedException", `User: arn:aws:sts::123456789012:assumed-role/r/eva is not authorized to perform: apigateway:GET on resource: "arn:aws:apigateway:eu-west-1::/restapis/a1/stages/prod"`),
			[]string{"may not apigateway:GET on arn:aws:apigateway:eu-west-1::/restapis/a1/stages/prod\n", `"Resource": "arn:aws:apigateway:eu-west-1::/restapis/a1/stages/prod"`}},
		{"a denial that names no resource",
			answer("Lambda", "ListTags", "AccessDeniedException", "User: arn:aws:iam::123456789012:user/eva is not authorized to perform: lambda:ListTags because no identity-based policy allows the lambda:ListTags action"),
			[]string{"eva may not lambda:ListTags\n", `"Resource": "*"`}},
		{"an S3 denial without details", answer("S3", "PutBucketLifecycleConfiguration", "AccessDenied", "Access Denied"),
			[]string{"these credentials may not s3:PutLifecycleConfiguration"}},
		{"an S3 denial with the resource of the call", about("arn:aws:s3:::logs/*", answer("S3", "GetObject", "AccessDenied", "Access Denied")),
			[]string{"these credentials may not s3:GetObject on arn:aws:s3:::logs/*\n", `"Resource": "arn:aws:s3:::logs/*"`, "another account", "without /*"}},
		{"a denial by a resource policy",
			answer("S3", "GetObject", "AccessDenied", "User: arn:aws:iam::123456789012:user/eva is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::logs/a because no resource-based policy allows the s3:GetObject action"),
			[]string{"eva may not s3:GetObject on arn:aws:s3:::logs/a\n", "The resource's owner must add"}},
		{"a bucket in another Region", answer("S3", "ListObjectsV2", "PermanentRedirect", "use the specified endpoint"), []string{"another Region", "--region"}},
		{"an explicit deny",
			answer("IAM", "CreateRole", "AccessDenied", "User: arn:aws:iam::123456789012:user/eva is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::123456789012:role/r with an explicit deny in a service control policy"),
			[]string{"explicit deny overrides", "service control policy"}},
		{"a denial without details", answer("API Gateway", "GetStage", "AccessDeniedException", "no"),
			[]string{"while planning: access denied: API Gateway GetStage: AccessDeniedException: no"}},
		{"expired", answer("STS", "GetCallerIdentity", "ExpiredToken", "The security token included in the request is expired"), []string{"expired", "aws sso login", "AWS error: STS GetCallerIdentity: ExpiredToken"}},
		{"throttled", answer("API Gateway", "GetStage", "TooManyRequestsException", "Too Many Requests"), []string{"wait a minute"}},
		{"a quota", answer("Firehose", "CreateDeliveryStream", "LimitExceededException", "You have already reached 50"), []string{"Service Quotas", "You have already reached 50"}},
		{"another error", answer("Lambda", "CreateFunction", "InvalidParameterValueException", "Unzipped size must be smaller"), []string{"Lambda CreateFunction: InvalidParameterValueException: Unzipped size must be smaller"}},
		{"no such profile", fmt.Errorf("read: %w", config.SharedConfigProfileNotExistError{Profile: "prd", Err: errors.New("none")}), []string{"profile prd not found", "list-profiles"}},
		{"connection refused", &url.Error{Op: "Post", URL: "http://127.0.0.1:4580/", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, []string{"127.0.0.1:4580", "connection refused", "stagelog up"}},
		{"no such host", &url.Error{Op: "Post", URL: "https://sts.eu-wst-1.amazonaws.com/", Err: &net.OpError{Op: "dial", Err: &net.DNSError{Name: "sts.eu-wst-1.amazonaws.com", IsNotFound: true}}}, []string{"sts.eu-wst-1.amazonaws.com", "Region"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Explain(tt.err)
			for _, want := range tt.want {
				if !strings.Contains(got.Error(), want) {
					t.Errorf("Explain does not contain %q:\n%v", want, got)
				}
			}
			if !errors.Is(got, tt.err) {
				t.Error("Explain does not wrap the SDK's error")
			}
			if again := Explain(fmt.Errorf("the stage: %w", got)); !strings.HasPrefix(again.Error(), "the stage: ") {
				t.Errorf("explained again: %v", again)
			}
		})
	}
}

func TestExplainKeepsOtherErrors(t *testing.T) {
	plain := errors.New("a full disk")
	for _, err := range []error{nil, plain, context.Canceled, &refusal{ErrNoParent, "no such stage"}} {
		if got := Explain(err); got != err {
			t.Errorf("Explain(%v) = %v, want it unchanged", err, got)
		}
	}
}

// resourceError is an error with the resource of the call, as the bucket's client returns it.
type resourceError struct {
	error
	resource string
}

func (e resourceError) Unwrap() error    { return e.error }
func (e resourceError) Resource() string { return e.resource }

func about(resource string, err error) error { return resourceError{err, resource} }

// A denied change names the actions that the rest of the run needs, so that one grant is enough.
func TestDeniedChangeNamesFurtherRights(t *testing.T) {
	denied := func(message string) error {
		return &smithy.OperationError{ServiceID: "IAM", OperationName: "CreateRole", Err: &smithy.GenericAPIError{Code: "AccessDenied", Message: message}}
	}
	const user = "User: arn:aws:iam::123456789012:user/eva is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::123456789012:role/r "
	missing := user + "because no identity-based policy allows the iam:CreateRole action"
	tests := []struct {
		name      string
		err       error
		want, not []string
	}{
		{"missing right", denied(missing), []string{"eva may not iam:CreateRole on", "The rest of this run needs these actions too: ", "iam:PutRolePolicy, ", "firehose:CreateDeliveryStream, ", "iam:PassRole", "`stagelog permissions deploy` prints"},
			[]string{"glue:", "s3:CreateBucket", "iam:UpdateAssumeRolePolicy"}},
		{"explicit deny", denied(user + "with an explicit deny in a service control policy"), []string{"explicit deny"}, []string{"firehose:", "stagelog permissions"}},
		{"another error", &smithy.OperationError{ServiceID: "IAM", OperationName: "CreateRole", Err: &smithy.GenericAPIError{Code: "LimitExceeded"}}, []string{"LimitExceeded"}, []string{"firehose:", "stagelog permissions"}},
	}
	for _, tt := range tests {
		var did []string
		plan := &Plan{Steps: []Step{
			{Kind: "S3 bucket", Action: Create, resource: &fake{did: &did}},
			{Kind: "IAM role", Action: Create, resource: &fake{did: &did, err: tt.err}},
			{Kind: "Glue table", Action: NoOp},
			{Kind: "Firehose delivery stream", Action: Create},
		}}
		err := plan.Execute(t.Context(), nil, func(Event) {})
		if !errors.Is(err, tt.err) {
			t.Fatalf("%s: Execute = %v, want it to wrap the SDK's error", tt.name, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error does not contain %q:\n%v", tt.name, want, err)
			}
		}
		for _, not := range tt.not {
			if strings.Contains(err.Error(), not) {
				t.Errorf("%s: the error contains %q:\n%v", tt.name, not, err)
			}
		}
	}
}

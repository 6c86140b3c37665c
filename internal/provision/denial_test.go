package provision

import (
	"strings"
	"testing"

	"github.com/aws/smithy-go"
)

// A denial names the kind of policy, who can change it, and the option of stagelog.yaml that helps.
func TestExplainDenialNamesOption(t *testing.T) {
	const (
		role     = "arn:aws:iam::123456789012:role/r"
		scp      = "with an explicit deny in a service control policy"
		overrule = "an explicit deny overrides all permissions; "
		below    = " below aws: in stagelog.yaml"
	)
	missing := func(kind, action string) string { return "because no " + kind + " allows the " + action + " action" }
	tests := []struct {
		name, call, action, resource, why string // call is "SERVICE OPERATION"
		want, not                         []string
	}{
		{"service control policy", "IAM CreateRole", "iam:CreateRole", role, scp,
			[]string{"eva may not iam:CreateRole on " + role + ": " + overrule + "ask the administrator of the AWS organisation\n", "\nAWS error: an explicit deny in a service control policy\n",
				"set permissions_boundary or role_path" + below, "(function_role and firehose_role" + below + ")", "set them with tags" + below}, []string{`"Effect"`, "aws:SourceVpce"}},
		{"service control policy with its ARN", "IAM PutRolePolicy", "iam:PutRolePolicy", "role r", scp + ": arn:aws:organizations::210987654321:policy/o-1/service_control_policy/p-1",
			[]string{"eva may not iam:PutRolePolicy on role r: " + overrule + "ask the administrator of the AWS organisation\n", "AWS error: an explicit deny in a service control policy: arn:aws:organizations::210987654321:policy/o-1/service_control_policy/p-1\n", "set permissions_boundary or role_path"}, []string{"tags"}},
		{"service control policy without the action", "CloudWatch Logs CreateLogGroup", "logs:CreateLogGroup", "arn:aws:logs:eu-west-1:123456789012:log-group:g", missing("service control policy", "logs:CreateLogGroup"),
			[]string{"The administrator of the AWS organisation must add this statement to a service control policy at each level", `"Action": "logs:CreateLogGroup"`, "}\nIf the policy requires tags, set them with tags" + below}, []string{"policy of that user"}},
		{"permissions boundary", "IAM PassRole", "iam:PassRole", role, "with an explicit deny in a permissions boundary",
			[]string{overrule + "ask the administrator of the permissions boundary of that user or role", "name them with function_role and firehose_role, or their path with role_path," + below}, []string{"service control"}},
		{"permissions boundary without the action", "IAM PutRolePolicy", "iam:PutRolePolicy", "role r", missing("permissions boundary", "iam:PutRolePolicy"),
			[]string{"eva may not iam:PutRolePolicy on role r\nAdd this statement to the permissions boundary of that user or role", `"Resource": "arn:aws:iam::123456789012:role/*r"`, "set permissions_boundary"}, []string{"a policy of that user"}},
		{"identity-based policy", "CloudWatch PutMetricAlarm", "cloudwatch:PutMetricAlarm", "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a", "with an explicit deny in an identity-based policy: arn:aws:iam::123456789012:policy/p",
			[]string{overrule + "ask the administrator of that policy\n", "(alarms: false" + below + ")", "policy/p\n"}, nil},
		{"identity-based policy without the action", "IAM CreateRole", "iam:CreateRole", role, missing("identity-based policy", "iam:CreateRole"),
			[]string{"Add this statement to a policy of that user or role", `"Resource": "` + role + `"`, "function_role"}, []string{"tags", "AWS organisation"}},
		{"resource-based policy", "S3 PutBucketEncryption", "s3:PutEncryptionConfiguration", "arn:aws:s3:::b", "with an explicit deny in a resource-based policy",
			[]string{overrule + "ask the administrator of that policy\n", "encryption: keep" + below, "encryption: kms:KEY_ARN", "aws:SourceVpce", "run the command there; docs/organisations.md"}, nil},
		{"resource control policy", "S3 PutBucketVersioning", "s3:PutBucketVersioning", "arn:aws:s3:::b", "with an explicit deny in a resource control policy",
			[]string{overrule + "ask the administrator of the AWS organisation\n", "versioning: keep" + below, "aws:SourceVpce"}, nil},
		{"session policy", "Lambda TagResource", "lambda:TagResource", "arn:aws:lambda:eu-west-1:123456789012:function:f", "with an explicit deny in a session policy",
			[]string{overrule + "ask for credentials without that session policy", "--profile", "set them with tags"}, nil},
		{"session policy without the action", "Lambda TagResource", "lambda:TagResource", "arn:aws:lambda:eu-west-1:123456789012:function:f", missing("session policy", "lambda:TagResource"),
			[]string{"Add this statement to the session policy of these credentials", `"Action": "lambda:TagResource"`}, nil},
		{"VPC endpoint policy", "S3 CreateBucket", "s3:CreateBucket", "arn:aws:s3:::b", "with an explicit deny in a VPC endpoint policy",
			[]string{overrule + "run the command from a network without this VPC endpoint, or ask the endpoint's administrator\n"}, []string{"tags", "aws:SourceVpce"}},
		{"VPC endpoint policy without the action", "S3 CreateBucket", "s3:CreateBucket", "", missing("VPC endpoint policy", "s3:CreateBucket"),
			[]string{"eva may not s3:CreateBucket\nRun the command from a network without this VPC endpoint, or add this statement to the endpoint's policy", `"Resource": "*"`}, []string{"tags", "policy of that user"}},
		{"retention", "CloudWatch Logs PutRetentionPolicy", "logs:PutRetentionPolicy", "arn:aws:logs:eu-west-1:123456789012:log-group:g", scp, []string{"With log_days: keep" + below}, []string{"tags"}},
		{"key of the log groups", "CloudWatch Logs AssociateKmsKey", "logs:AssociateKmsKey", "arn:aws:logs:eu-west-1:123456789012:log-group:g", scp, []string{"Without kms_key" + below}, []string{"tags"}},
		{"key of the function", "Lambda CreateFunction", "kms:CreateGrant", "arn:aws:kms:eu-west-1:123456789012:key/k", scp, []string{"may not kms:CreateGrant", "Without kms_key" + below}, []string{"tags"}},
		{"stage", "API Gateway UpdateStage", "apigateway:PATCH", "arn:aws:apigateway:eu-west-1::/restapis/a1/stages/prod", scp, []string{"`stagelog deploy --stages-elsewhere` leaves"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			message := "User: arn:aws:sts::123456789012:assumed-role/ci/eva is not authorized to perform: " + tt.action
			if tt.resource != "" {
				message += " on resource: " + tt.resource
			}
			i := strings.LastIndexByte(tt.call, ' ')
			got := Explain(&smithy.OperationError{ServiceID: tt.call[:i], OperationName: tt.call[i+1:],
				Err: &smithy.GenericAPIError{Code: "AccessDenied", Message: message + " " + tt.why}}).Error()
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("the explanation does not contain %q:\n%s", want, got)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(got, not) {
					t.Errorf("the explanation contains %q:\n%s", not, got)
				}
			}
		})
	}
}

// API Gateway's denials need not name the action.
func TestExplainDeniedStageNamesOption(t *testing.T) {
	denied := &smithy.OperationError{ServiceID: "API Gateway", OperationName: "UpdateStage", Err: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}}
	if got := Explain(denied).Error(); !strings.HasPrefix(got, "access denied: API Gateway UpdateStage: AccessDeniedException: no\n`stagelog deploy --stages-elsewhere`") {
		t.Errorf("the explanation is\n%s", got)
	}
}

// The codes of tag policies differ between services, and a missing right is not the cause.
func TestExplainDenialByTagPolicy(t *testing.T) {
	const message = "The tag policy does not allow the specified value for the following tag key: 'team'."
	for _, code := range []string{"TagPolicyException", "ValidationException", "AccessDenied"} {
		denied := &smithy.OperationError{ServiceID: "S3", OperationName: "CreateBucket", Err: &smithy.GenericAPIError{Code: code, Message: message}}
		explained := withRights(Explain(denied), "deploy", nil, 0, nil).Error()
		if !strings.HasPrefix(explained, "a tag policy of the AWS organisation does not allow") || !strings.HasSuffix(explained, "in tags below aws: in stagelog.yaml\nAWS error: S3 CreateBucket: "+code+": "+message) {
			t.Errorf("%s: the explanation is\n%s", code, explained)
		}
	}
}

package provision

import (
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// BucketCalls are the condition keys of a role's calls to a bucket.
type BucketCalls struct {
	Role    string // ARN
	Account string // of the role
	Others  bool   // the bucket belongs to another account
	Key     string // ARN of the KMS key that the caller names; "" if it names none
}

// Context returns the condition keys that every call has. The owner of the bucket is only included if it is the role's account.
func (c BucketCalls) Context() map[string][]string {
	keys := map[string][]string{"aws:SecureTransport": {"true"}}
	if !c.Others {
		keys["aws:ResourceAccount"], keys["s3:ResourceAccount"] = []string{c.Account}, []string{c.Account}
	}
	return keys
}

// PutContext returns the condition keys of PutObject. Keys that are not known to be sent are left out, so that a policy that
// requires one counts as denying.
func (c BucketCalls) PutContext() map[string][]string {
	keys := c.Context()
	keys["aws:ViaAWSService"], keys["aws:PrincipalIsAWSService"] = []string{"false"}, []string{"false"}
	keys["aws:PrincipalArn"], keys["aws:PrincipalAccount"], keys["aws:PrincipalType"] = []string{c.Role}, []string{c.Account}, []string{"AssumedRole"}
	if c.Others {
		keys["s3:x-amz-acl"] = []string{"bucket-owner-full-control"} // Firehose sends it only to buckets of other accounts
	}
	if c.Key != "" {
		keys["s3:x-amz-server-side-encryption"] = []string{"aws:kms"}
		keys["s3:x-amz-server-side-encryption-aws-kms-key-id"] = []string{c.Key}
	}
	return keys
}

// DenyCause returns why a statement of a bucket policy denies Firehose's calls.
func DenyCause(by *policy.Statement) string {
	keys := by.ConditionKeys()
	switch has := by.HasCondition; {
	case has("s3:x-amz-acl"):
		return "it requires an ACL (s3:x-amz-acl), and Firehose sends none to a bucket in its own account"
	case has("s3:x-amz-server-side-encryption"), has("s3:x-amz-server-side-encryption-aws-kms-key-id"):
		return "it requires an encryption header (s3:x-amz-server-side-encryption), which Firehose sends only when the stream itself has a KMS key; the bucket's default encryption does not count here"
	case has("aws:SourceIp"), has("aws:VpcSourceIp"):
		return "it allows only certain IP addresses (aws:SourceIp), and Firehose connects from AWS's own addresses"
	case has("aws:SourceVpce"), has("aws:SourceVpc"):
		return "it allows only one VPC or VPC endpoint (" + strings.Join(keys, ", ") + "), and Firehose uses none"
	case has("aws:SecureTransport"):
		return "its condition on aws:SecureTransport is inverted: it denies requests over TLS"
	}
	return conditionCause(by, "Firehose's")
}

func conditionCause(by *policy.Statement, whose string) string {
	if keys := by.ConditionKeys(); len(keys) > 0 {
		return "its condition (" + strings.Join(keys, ", ") + ") matches " + whose + " calls"
	}
	return "it has no condition, and its principal covers the role"
}

// denials describes the statements that deny the pipeline's roles what they need in the bucket. The effect is silent: the stream
// stays ACTIVE and accepts records, which are lost after 24 hours.
func denials(s *desired.Spec, others policy.Document) (warnings []string) {
	firehose := BucketCalls{Role: s.FirehoseRoleARN(), Account: s.Account, Key: s.Pipeline.AWS.KMSKey}
	function := BucketCalls{Role: s.FunctionRoleARN(), Account: s.Account}
	own, bucket := s.Prefixes(), s.BucketARN()
	type pair struct {
		by   *policy.Statement
		role string
	}
	seen := map[pair]bool{} // the first effect of a statement is the gravest
	for _, part := range []struct {
		role, effect string
		calls        BucketCalls
		actions      []string
		resource     string
	}{
		{"the delivery stream's role " + roleName(firehose.Role), "nothing is delivered, and the records are lost after 24 hours", firehose, []string{"s3:PutObject"}, bucket + "/" + own[0] + "object"},
		{"the delivery stream's role " + roleName(firehose.Role), "records that fail are lost", firehose, []string{"s3:PutObject"}, bucket + "/" + own[1] + "object"},
		{"the delivery stream's role " + roleName(firehose.Role), "delivery may fail", firehose, []string{"s3:AbortMultipartUpload", "s3:GetObject"}, bucket + "/" + own[0] + "object"},
		{"the delivery stream's role " + roleName(firehose.Role), "delivery may fail", firehose, []string{"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"}, bucket},
		{"the function's role " + roleName(function.Role), "the function's instances cannot share what they know of keys", function, []string{"s3:GetObject", "s3:PutObject"}, bucket + "/" + desired.SnapshotKey(s.Pipeline)},
	} {
		var by *policy.Statement
		var denied []string
		for _, action := range part.actions {
			req := policy.Request{Principal: part.calls.Role, Action: action, Resource: part.resource, Context: part.calls.PutContext()}
			if decision, statement := policy.Evaluate([]policy.Document{others}, req); decision == policy.Deny {
				by, denied = statement, append(denied, action)
			}
		}
		if by == nil || seen[pair{by, part.role}] {
			continue
		}
		seen[pair{by, part.role}] = true
		cause := DenyCause(by)
		if part.calls == function {
			cause = conditionCause(by, "the function's")
		}
		warnings = append(warnings, fmt.Sprintf("%s denies %s to %s, so %s: %s; add to its conditions: \"ArnNotLike\": {\"aws:PrincipalArn\": %q}",
			sidOf(by), Listed(denied), part.role, part.effect, cause, part.calls.Role))
	}
	return warnings
}

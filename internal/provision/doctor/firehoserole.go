package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

// checkFirehoseRole examines the role with which the stream writes into the bucket, and the
// one with which it calls the function, which mostly is the same.
func (r *run) checkFirehoseRole(ctx context.Context, s *stream) {
	if s.role.missing {
		s.blocked = "there is no role " + s.role.arn
	}
	external := map[string][]string{"sts:ExternalId": {r.t.Account}}
	r.checkTrust(s, linkStream, firehoseService, s.role, external)
	r.checkFirehoseScope(s)
	delivers := actor{linkStream, "Firehose", s.role, s.policy.allowing()}
	if s.function == "" || s.functionRole == s.role.arn {
		r.checkPermissions(s, delivers, append(s.bucketCalls(), s.functionCalls()...))
		return
	}
	r.checkPermissions(s, delivers, s.bucketCalls())
	caller := r.readRole(ctx, s.functionRole)
	r.checkTrust(s, linkStream, firehoseService, caller, external)
	r.checkPermissions(s, actor{link: linkStream, who: "Firehose", role: caller}, s.functionCalls())
}

// checkFirehoseScope names a mistake that is easily made: a resource of bucket* for bucket/*
// takes in every bucket whose name begins so.
func (r *run) checkFirehoseScope(s *stream) {
	req := policy.Request{Principal: s.role.arn, Action: "s3:PutObject", Resource: s.bucketARN() + "-elsewhere/" + sampleName, Context: s.putContext()}
	decision, by := policy.Evaluate(s.role.policies, req)
	if s.role.missing || decision != policy.Allow {
		return
	}
	r.out.problem(Warning, linkStream, "role scope", finding{
		found: fmt.Sprintf("the role %s may put objects into other buckets (%s)", s.role.name, listed(by.Resources)), cause: "the resource ends in * without a / before it, or names no bucket at all",
		consequence: "who may change the stream can write where it has no business",
		fix:         r.mend(s, addToRole(s.role.name, statementsFor(slices.Concat(s.bucketCalls(), s.functionCalls())))+"\nand then take that statement out of the role's policies"),
	})
}

// bucketCalls are what Firehose needs to deliver and to log its errors.
// https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
func (s *stream) bucketCalls() []call {
	const undelivered = "no object can be put, and after 24 hours of trying the records are lost"
	const documented = "AWS documents it as needed; multipart uploads may fail, or be left over"
	multipart := s.wait() < time.Minute // then objects are put in parts
	bucket := s.bucketARN()
	calls := []call{
		{"s3:PutObject", s.objectARN(), s.putContext(), true, undelivered},
		{"s3:AbortMultipartUpload", s.objectARN(), s.s3Context(), multipart, documented},
		{"s3:GetObject", s.objectARN(), s.s3Context(), false, documented},
		{"s3:GetBucketLocation", bucket, s.s3Context(), false, documented},
		{"s3:ListBucket", bucket, s.s3Context(), false, documented},
		{"s3:ListBucketMultipartUploads", bucket, s.s3Context(), multipart, documented},
	}
	if s.policy.elsewhere {
		calls = append(calls, call{"s3:PutObjectAcl", s.objectARN(), s.putContext(), true, undelivered})
	}
	if e := s.errorPrefix(); literal(e) != literal(s.prefix()) {
		calls = append(calls, call{"s3:PutObject", bucket + "/" + literal(e) + sampleName, s.putContext(), true, "what fails cannot be put into the error output, and is lost"})
	}
	if log := s.to.CloudWatchLoggingOptions; log != nil && aws.ToBool(log.Enabled) {
		calls = append(calls, call{"logs:PutLogEvents", s.logARN(aws.ToString(log.LogGroupName)) + ":log-stream:" + aws.ToString(log.LogStreamName), nil, false, "its errors are written nowhere"})
	}
	return append(calls, s.tableCalls()...)
}

// functionCalls are what Firehose needs to have records transformed.
func (s *stream) functionCalls() []call {
	if s.function == "" {
		return nil
	}
	return []call{
		{"lambda:InvokeFunction", s.function, nil, true, "every record goes to the error output (Lambda.InvokeAccessDenied), untouched"},
		{"lambda:GetFunctionConfiguration", s.function, nil, false, "AWS documents it as needed: Firehose looks at the function's timeout"},
	}
}

// sampleName stands for an object of the stream.
const sampleName = "2026/01/31/12/stagelog-doctor"

// objectARN is an object as the stream would put it.
func (s *stream) objectARN() string {
	return s.bucketARN() + "/" + literal(s.prefix()) + sampleName
}

func (s *stream) logARN(group string) string {
	return "arn:" + partition(s.arn) + ":logs:" + s.region + ":" + s.account + ":log-group:" + group
}

func partition(arn string) string {
	parts := strings.SplitN(arn, ":", 3)
	if len(parts) < 3 {
		return "aws"
	}
	return parts[1]
}

// s3Context has the condition keys that every call of AWS's services to the bucket has. Whose the
// bucket is counts where it is the account's; another's is not known.
func (s *stream) s3Context() map[string][]string {
	keys := map[string][]string{"aws:SecureTransport": {"true"}}
	if s.policy == nil || !s.policy.elsewhere {
		keys["aws:ResourceAccount"], keys["s3:ResourceAccount"] = []string{s.account}, []string{s.account}
	}
	return keys
}

// putContext has the condition keys that Firehose's PutObject has. What is missing is not
// known to be sent, so that a policy that asks for it denies.
func (s *stream) putContext() map[string][]string {
	keys := s.s3Context()
	maps.Copy(keys, map[string][]string{
		"aws:ViaAWSService":         {"false"},
		"aws:PrincipalIsAWSService": {"false"},
		"aws:PrincipalArn":          {aws.ToString(s.to.RoleARN)},
		"aws:PrincipalAccount":      {s.account},
		"aws:PrincipalType":         {"AssumedRole"},
	})
	if s.policy != nil && s.policy.elsewhere {
		keys["s3:x-amz-acl"] = []string{"bucket-owner-full-control"} // sent to other accounts' buckets alone
	}
	if e := s.to.EncryptionConfiguration; e != nil && e.KMSEncryptionConfig != nil {
		keys["s3:x-amz-server-side-encryption"] = []string{"aws:kms"}
		keys["s3:x-amz-server-side-encryption-aws-kms-key-id"] = []string{aws.ToString(e.KMSEncryptionConfig.AWSKMSKeyARN)}
	}
	return keys
}

// allowing are the policies that may allow the role what its own do not, which they may
// within one account alone.
func (b *bucketPolicy) allowing() []policy.Document {
	if b.elsewhere {
		return nil
	}
	return b.documents()
}

// documents are the bucket's policy, where it has one that could be read.
func (b *bucketPolicy) documents() []policy.Document {
	if b == nil || b.document == nil {
		return nil
	}
	return []policy.Document{*b.document}
}

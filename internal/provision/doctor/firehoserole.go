package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// checkFirehoseRole examines the role with which the stream writes to the bucket, and the one
// with which it calls the function, which is usually the same.
func (r *run) checkFirehoseRole(ctx context.Context, s *stream) {
	if s.role.Missing {
		s.blocked = "the role " + s.role.ARN + " does not exist"
	}
	external := map[string][]string{"sts:ExternalId": {r.t.Account}}
	r.checkTrust(s, linkStream, firehoseService, s.role, external)
	r.checkFirehoseScope(s)
	delivers := actor{linkStream, "Firehose", s.role, s.policy.allowing()}
	if s.function == "" || s.functionRole == s.role.ARN {
		r.checkPermissions(s, delivers, append(s.bucketCalls(), s.functionCalls()...))
		return
	}
	r.checkPermissions(s, delivers, s.bucketCalls())
	caller := r.readRole(ctx, s.functionRole)
	r.checkTrust(s, linkStream, firehoseService, caller, external)
	r.checkPermissions(s, actor{link: linkStream, who: "Firehose", role: caller}, s.functionCalls())
}

// checkFirehoseScope checks for a common mistake: the resource bucket* instead of bucket/*
// matches every bucket whose name starts the same.
func (r *run) checkFirehoseScope(s *stream) {
	req := policy.Request{Principal: s.role.ARN, Action: "s3:PutObject", Resource: s.bucketARN() + "-elsewhere/" + sampleName, Context: s.callsTo().PutContext()}
	decision, by := policy.Evaluate(s.role.Policies, req)
	if s.role.Missing || decision != policy.Allow {
		return
	}
	r.out.problem(Warning, linkStream, "role scope", finding{
		found: fmt.Sprintf("the role %s can put objects into other buckets (%s)", s.role.Name, listed(by.Resources)), cause: "the resource ends in * without a / before it, or does not name a bucket",
		consequence: "anyone who can change the stream can write to those buckets",
		fix:         r.repair(s, addToRole(s.role.Name, statementsFor(slices.Concat(s.bucketCalls(), s.functionCalls())))+"\nthen remove that statement from the role's policies"),
	})
}

// bucketCalls returns the calls that Firehose makes to deliver and to log its errors.
// https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
func (s *stream) bucketCalls() []call {
	const undelivered = "no object can be put; Firehose retries for 24 hours, then the records are lost"
	const documented = "AWS documents it as required; multipart uploads may fail or be left incomplete"
	multipart := s.wait() < time.Minute // with such short intervals objects are put in parts
	bucket := s.bucketARN()
	calls := []call{
		{"s3:PutObject", s.objectARN(), s.callsTo().PutContext(), true, undelivered},
		{"s3:AbortMultipartUpload", s.objectARN(), s.callsTo().Context(), multipart, documented},
		{"s3:GetObject", s.objectARN(), s.callsTo().Context(), false, documented},
		{"s3:GetBucketLocation", bucket, s.callsTo().Context(), false, documented},
		{"s3:ListBucket", bucket, s.callsTo().Context(), false, documented},
		{"s3:ListBucketMultipartUploads", bucket, s.callsTo().Context(), multipart, documented},
	}
	if s.policy.foreign {
		calls = append(calls, call{"s3:PutObjectAcl", s.objectARN(), s.callsTo().PutContext(), true, undelivered})
	}
	if e := s.errorPrefix(); literal(e) != literal(s.prefix()) {
		calls = append(calls, call{"s3:PutObject", bucket + "/" + literal(e) + sampleName, s.callsTo().PutContext(), true, "failed records cannot be put into the error output, and are lost"})
	}
	if log := s.to.CloudWatchLoggingOptions; log != nil && aws.ToBool(log.Enabled) {
		calls = append(calls, call{"logs:PutLogEvents", s.logARN(aws.ToString(log.LogGroupName)) + ":log-stream:" + aws.ToString(log.LogStreamName), nil, false, "its errors are not logged"})
	}
	return append(calls, s.tableCalls()...)
}

// functionCalls returns the calls that Firehose makes to transform records.
func (s *stream) functionCalls() []call {
	if s.function == "" {
		return nil
	}
	return []call{
		{"lambda:InvokeFunction", s.function, nil, true, "every record goes unprocessed to the error output (Lambda.InvokeAccessDenied)"},
		{"lambda:GetFunctionConfiguration", s.function, nil, false, "AWS documents it as required: Firehose reads the function's timeout"},
	}
}

// sampleName is the name of an example object.
const sampleName = "2026/01/31/12/stagelog-doctor"

// objectARN returns the ARN of an example object of the stream.
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

// callsTo returns what the condition keys of the stream's calls to the bucket depend on.
func (s *stream) callsTo() provision.BucketCalls {
	c := provision.BucketCalls{Role: aws.ToString(s.to.RoleARN), Account: s.account, Others: s.policy != nil && s.policy.foreign}
	if e := s.to.EncryptionConfiguration; e != nil && e.KMSEncryptionConfig != nil {
		c.Key = aws.ToString(e.KMSEncryptionConfig.AWSKMSKeyARN)
	}
	return c
}

// allowing returns the policies that can allow what the role's own policies do not. A bucket
// policy can do that only within one account.
func (b *bucketPolicy) allowing() []policy.Document {
	if b.foreign {
		return nil
	}
	return b.documents()
}

// documents returns the bucket policy, or nothing if there is none or it could not be read.
func (b *bucketPolicy) documents() []policy.Document {
	if b == nil || b.document == nil {
		return nil
	}
	return []policy.Document{*b.document}
}

package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// bucketPolicy holds the present policy of a bucket.
type bucketPolicy struct {
	document *policy.Document // nil without a policy
	err      error            // reading it failed
	foreign  bool             // the bucket belongs to another account
}

func (r *run) readBucketPolicy(ctx context.Context, s *stream) *bucketPolicy {
	b := &bucketPolicy{foreign: r.isForeign(ctx, s.bucket)}
	out, err := r.c.S3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: aws.String(s.bucket)})
	switch {
	case awserr.Is(err, "NoSuchBucketPolicy", "NoSuchBucket"):
		return b
	case err != nil:
		b.err = err
		return b
	}
	doc, err := policy.Parse(aws.ToString(out.Policy))
	if err != nil {
		b.err = err
		return b
	}
	b.document = &doc
	return b
}

// isForeign reports whether a bucket belongs to another account: ListBuckets returns only the
// caller's own. If listing fails, it reports false.
func (r *run) isForeign(ctx context.Context, bucket string) bool {
	pages := s3.NewListBucketsPaginator(r.c.S3, &s3.ListBucketsInput{Prefix: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false
		}
		for _, b := range page.Buckets {
			if aws.ToString(b.Name) == bucket {
				return false
			}
		}
	}
	_, err := r.c.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	return err == nil || awserr.Status(err) == http.StatusForbidden
}

// checkBucketPolicy looks for statements that deny Firehose access. The effect is silent: the
// stream stays ACTIVE and accepts records, which are lost after 24 hours.
func (r *run) checkBucketPolicy(s *stream) {
	const name = "policy"
	b := s.policy
	if b.err != nil {
		r.unknown(linkBucket, name, "the policy of the bucket "+s.bucket, need{"s3:GetBucketPolicy", s.bucketARN()}, b.err)
		return
	}
	for _, c := range s.bucketCalls() {
		if !strings.HasPrefix(c.action, "s3:") {
			continue
		}
		req := policy.Request{Principal: s.role.arn, Action: c.action, Resource: c.resource, Context: c.context}
		if decision, by := policy.Evaluate(b.documents(), req); decision == policy.Deny {
			r.out.problem(Failed, linkBucket, name, r.denyFinding(s, c, by))
			return
		} else if b.foreign && c.required && decision != policy.Allow {
			r.out.problem(Failed, linkBucket, name, r.foreignBucketFinding(s, c))
			return
		}
	}
	if b.document == nil {
		r.out.ok(linkBucket, name, "the bucket has no policy that could deny Firehose access")
		return
	}
	r.out.ok(linkBucket, name, "none of its %d statements denies Firehose access", len(b.document.Statements))
}

func (r *run) denyFinding(s *stream, c call, by *policy.Statement) finding {
	keys := conditionKeys(by)
	f := finding{
		found:       fmt.Sprintf("%s of the policy of %s denies %s to the stream's role %s", statementName(*s.policy.document, by), s.bucket, c.action, s.role.name),
		consequence: "nothing can be delivered, and no error is reported: the stream stays ACTIVE and accepts records, which are lost after 24 hours",
		fix:         r.exemptCommand(s, by),
	}
	has := func(key string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
	}
	switch {
	case has("s3:x-amz-acl"):
		f.cause = "it requires an ACL (s3:x-amz-acl), and Firehose sends none to a bucket in its own account"
	case has("s3:x-amz-server-side-encryption"), has("s3:x-amz-server-side-encryption-aws-kms-key-id"):
		f.cause = "it requires an encryption header (s3:x-amz-server-side-encryption), which Firehose sends only when the stream itself has a KMS key; the bucket's default encryption does not count here"
		if s.key != nil && !s.key.managed {
			f.fix += "\nor have the stream send it: " + s.updateDestination(map[string]any{"EncryptionConfiguration": map[string]any{"KMSEncryptionConfig": map[string]string{"AWSKMSKeyARN": s.key.arn}}})
		}
	case has("aws:SourceIp"), has("aws:VpcSourceIp"):
		f.cause = "it allows only certain IP addresses (aws:SourceIp), and Firehose connects from AWS's own addresses"
	case has("aws:SourceVpce"), has("aws:SourceVpc"):
		f.cause = "it allows only one VPC or VPC endpoint (" + strings.Join(keys, ", ") + "), and Firehose uses none"
	case has("aws:SecureTransport"):
		f.cause = "its condition on aws:SecureTransport is inverted: it denies requests over TLS"
	case len(keys) > 0:
		f.cause = "its condition (" + strings.Join(keys, ", ") + ") matches Firehose's calls"
	default:
		f.cause = "it has no condition, and its principal covers the role"
	}
	return f
}

// foreignBucketFinding describes a bucket in another account whose policy does not allow a call. Its
// policy must allow what the role's policies allow.
func (r *run) foreignBucketFinding(s *stream, c call) finding {
	doc := docOf(s)
	doc.Statements = append(slices.Clone(doc.Statements), policy.Statement{
		Sid: "Firehose" + s.account, Effect: "Allow", Principal: policy.Principal{AWS: []string{s.role.arn}},
		Actions:   []string{"s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:PutObject", "s3:PutObjectAcl"},
		Resources: []string{s.bucketARN(), s.bucketARN() + "/*"},
	})
	return finding{
		found:       fmt.Sprintf("the bucket %s belongs to another account, and its policy does not allow %s to the stream's role %s", s.bucket, c.action, s.role.arn),
		cause:       "across accounts, both the role's policies and the bucket policy must allow a call",
		consequence: "nothing can be delivered (S3.AccessDenied); Firehose retries for 24 hours, then the records are lost",
		fix:         "with credentials of the bucket's account: " + putBucketPolicy(s, doc),
	}
}

// exemptCommand returns the command that exempts the role from a statement of the bucket policy.
func (r *run) exemptCommand(s *stream, by *policy.Statement) string {
	doc := *s.policy.document
	doc.Statements = slices.Clone(doc.Statements)
	for i := range doc.Statements {
		if &s.policy.document.Statements[i] != by {
			continue
		}
		conditions := map[string]map[string][]string{}
		for op, keys := range by.Conditions {
			conditions[op] = keys
		}
		merged := map[string][]string{"aws:PrincipalArn": {s.role.arn}}
		for key, values := range conditions["ArnNotLike"] {
			merged[key] = append(merged[key], values...)
		}
		conditions["ArnNotLike"] = merged
		doc.Statements[i].Conditions = conditions
	}
	return "exempt the role from the statement: " + putBucketPolicy(s, doc)
}

func putBucketPolicy(s *stream, doc policy.Document) string {
	return command("s3api", "put-bucket-policy", "--bucket", s.bucket, "--policy", oneLine(doc.JSON()))
}

// conditionKeys returns the keys that a statement's conditions test, sorted.
func conditionKeys(st *policy.Statement) (keys []string) {
	for _, of := range st.Conditions {
		for key := range of {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return slices.Compact(keys)
}

// statementName identifies a statement by its Sid, or by its number.
func statementName(doc policy.Document, st *policy.Statement) string {
	if st.Sid != "" {
		return fmt.Sprintf("the statement %q", st.Sid)
	}
	for i := range doc.Statements {
		if &doc.Statements[i] == st {
			return fmt.Sprintf("statement %d", i+1)
		}
	}
	return "a statement"
}

package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// checkBucket examines the bucket that the stream delivers to.
func (r *run) checkBucket(ctx context.Context, s *stream) {
	if s.to == nil || !r.checkBucketExists(ctx, s) {
		return
	}
	r.checkEncryption(ctx, s)
	r.checkBucketPolicy(s)
	r.checkOwnership(ctx, s)
	r.checkPublicAccess(ctx, s)
	r.checkVersioning(ctx, s)
	r.checkLifecycle(ctx, s)
}

func (r *run) checkBucketExists(ctx context.Context, s *stream) bool {
	out, err := r.c.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(s.bucket)})
	region := ""
	if err == nil {
		region = aws.ToString(out.BucketRegion)
	}
	if err != nil {
		region = awserr.BucketRegion(err)
	}
	switch status := awserr.Status(err); {
	case status == http.StatusNotFound:
		s.blocked = "the bucket " + s.bucket + " does not exist"
		r.out.problem(Failed, linkBucket, "exists", finding{
			found: s.blocked, cause: "it was deleted; the stream still accepts records",
			consequence: "nothing is delivered (S3.NoSuchBucket); Firehose retries for 24 hours, then the records are lost",
			fix:         r.repair(s, command("s3", "mb", "s3://"+s.bucket, "--region", s.region)),
		})
		return false
	case err != nil && status != http.StatusMovedPermanently && (region == "" || region == s.region):
		r.unknown(linkBucket, "exists", "the bucket "+s.bucket, need{"s3:ListBucket", s.bucketARN()}, err)
		return r.fatal == nil
	}
	r.out.ok(linkBucket, "exists", "s3://%s", s.bucket)
	if region != "" && region != s.region {
		r.out.problem(Warning, linkBucket, "region", finding{
			found: fmt.Sprintf("the bucket is in %s, the stream in %s", region, s.region), cause: "the stream was configured with a bucket in another Region",
			consequence: "every byte incurs data transfer costs between Regions; and the bucket's settings are not examined, because they can only be read in its own Region",
			fix:         r.repair(s, "use a bucket in "+s.region+": "+s.updateDestination(map[string]string{"BucketARN": "BUCKET_ARN"})),
		})
		return false
	}
	r.out.ok(linkBucket, "region", "the same as the stream's, %s", s.region)
	return true
}

func (r *run) checkOwnership(ctx context.Context, s *stream) {
	const name = "object ownership"
	out, err := r.c.S3.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: aws.String(s.bucket)})
	if err != nil && !awserr.Is(err, "OwnershipControlsNotFoundError") {
		r.unknown(linkBucket, name, "object ownership of "+s.bucket, need{"s3:GetBucketOwnershipControls", s.bucketARN()}, err)
		return
	}
	setting := types.ObjectOwnershipObjectWriter
	if err == nil && out.OwnershipControls != nil && len(out.OwnershipControls.Rules) > 0 {
		setting = out.OwnershipControls.Rules[0].ObjectOwnership
	}
	if setting == types.ObjectOwnershipBucketOwnerEnforced {
		r.out.ok(linkBucket, name, "%s: ACLs are off", setting)
		return
	}
	r.out.problem(Warning, linkBucket, name, finding{
		found: fmt.Sprintf("object ownership is %s", setting), cause: "the bucket was created before April 2023, or ACLs were enabled later",
		consequence: "an object belongs to the account that puts it: one put by another account is not the bucket owner's, and the bucket policy does not let readers read it",
		fix:         r.repair(s, command("s3api", "put-bucket-ownership-controls", "--bucket", s.bucket, "--ownership-controls", "Rules=[{ObjectOwnership=BucketOwnerEnforced}]")),
	})
}

func (r *run) checkPublicAccess(ctx context.Context, s *stream) {
	const name = "public access block"
	out, err := r.c.S3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: aws.String(s.bucket)})
	if err != nil && !awserr.Is(err, "NoSuchPublicAccessBlockConfiguration") {
		r.unknown(linkBucket, name, "the public access block of "+s.bucket, need{"s3:GetBucketPublicAccessBlock", s.bucketARN()}, err)
		return
	}
	var open []string
	if err == nil && out.PublicAccessBlockConfiguration != nil {
		b := out.PublicAccessBlockConfiguration
		for _, f := range []struct {
			name string
			on   *bool
		}{{"BlockPublicAcls", b.BlockPublicAcls}, {"IgnorePublicAcls", b.IgnorePublicAcls}, {"BlockPublicPolicy", b.BlockPublicPolicy}, {"RestrictPublicBuckets", b.RestrictPublicBuckets}} {
			if !aws.ToBool(f.on) {
				open = append(open, f.name)
			}
		}
	} else {
		open = []string{"all four settings"}
	}
	if len(open) == 0 {
		r.out.ok(linkBucket, name, "all four settings are on")
		return
	}
	r.out.problem(Warning, linkBucket, name, finding{
		found: "off: " + strings.Join(open, ", "), cause: "they were never enabled; older buckets have them off by default",
		consequence: "one wrong statement or ACL makes the logs of all customers public",
		fix:         r.repair(s, command("s3api", "put-public-access-block", "--bucket", s.bucket, "--public-access-block-configuration", "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true")),
	})
}

func (r *run) checkVersioning(ctx context.Context, s *stream) {
	const name = "versioning"
	out, err := r.c.S3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String(s.bucket)})
	switch {
	case err != nil:
		r.unknown(linkBucket, name, "versioning of "+s.bucket, need{"s3:GetBucketVersioning", s.bucketARN()}, err)
	case out.Status == types.BucketVersioningStatusEnabled && r.t.Spec != nil && r.ours(s) && r.t.Spec.Pipeline.AWS.KeepVersioning:
		r.out.ok(linkBucket, name, "on, and kept as set in stagelog.yaml")
	case out.Status == types.BucketVersioningStatusEnabled:
		r.out.problem(Warning, linkBucket, name, finding{
			found: "versioning is on", cause: "it was enabled on the bucket; delivered objects are never overwritten, so it has no benefit",
			consequence: "logs that expire or are deleted remain as old versions, which cost storage",
			fix:         r.repair(s, command("s3api", "put-bucket-versioning", "--bucket", s.bucket, "--versioning-configuration", "Status=Suspended")),
		})
	default:
		r.out.ok(linkBucket, name, "off")
	}
}

func (r *run) checkLifecycle(ctx context.Context, s *stream) {
	const name = "lifecycle"
	out, err := r.c.S3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: aws.String(s.bucket)})
	if awserr.Is(err, "NoSuchLifecycleConfiguration") {
		if r.t.Spec != nil && r.ours(s) && s.owned {
			r.out.ok(linkBucket, name, "none: logs are kept forever, as set in stagelog.yaml")
			return
		}
		rule := map[string]any{"Rules": []any{map[string]any{"ID": "logs", "Status": "Enabled", "Filter": map[string]string{"Prefix": literal(s.prefix())},
			"Expiration": map[string]int{"Days": 400}, "AbortIncompleteMultipartUpload": map[string]int{"DaysAfterInitiation": desired.AbortDays}}}}
		r.out.problem(Warning, linkBucket, name, finding{
			found: "the bucket has no lifecycle rule", cause: "none was set",
			consequence: "logs, which contain personal data such as IP addresses, are kept and cost storage forever, and so are the parts of incomplete uploads",
			fix:         "choose after how many days logs are deleted permanently, 400 in this example:\n" + r.repair(s, command("s3api", "put-bucket-lifecycle-configuration", "--bucket", s.bucket, "--lifecycle-configuration", provision.CompactJSON(rule))),
		})
		return
	}
	if err != nil {
		r.unknown(linkBucket, name, "the lifecycle of "+s.bucket, need{"s3:GetLifecycleConfiguration", s.bucketARN()}, err)
		return
	}
	if found := r.stateRules(s, out.Rules); len(found) > 0 {
		r.out.problem(Warning, linkBucket, name, finding{
			found: strings.Join(found, "; "), cause: "others set a rule that covers more than their own objects",
			consequence: "without stagelog's own objects, destroy cannot restore a stage's previous logging, and deleted keys lose their names",
			fix:         "limit the rule to the prefix of their objects: " + command("s3api", "get-bucket-lifecycle-configuration", "--bucket", s.bucket),
		})
		return
	}
	r.out.ok(linkBucket, name, "%d rules", len(out.Rules))
}

// stateRules describes the lifecycle rules of others that delete or move stagelog's own objects.
func (r *run) stateRules(s *stream, rules []types.LifecycleRule) []string {
	if !r.ours(s) {
		return nil
	}
	return provision.RuleWarnings(rules, []string{r.t.Spec.StatePrefix()})
}

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
	for page, err := range provision.Pages(ctx, s3.NewListBucketsPaginator(r.c.S3, &s3.ListBucketsInput{Prefix: &bucket})) {
		if err != nil {
			return false
		}
		if slices.ContainsFunc(page.Buckets, func(b types.Bucket) bool { return aws.ToString(b.Name) == bucket }) {
			return false
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
	if b.err != nil && b.foreign {
		r.out.problem(Skipped, linkBucket, name, finding{
			found: "not checked: the policy of the bucket " + s.bucket, cause: "it belongs to another account, and S3 shows a bucket policy only to its owner",
			consequence: "its state is unknown", fix: "`stagelog plan` prints the statements that its owner must add",
		})
		return
	}
	if b.err != nil {
		r.unknown(linkBucket, name, "the policy of the bucket "+s.bucket, need{"s3:GetBucketPolicy", s.bucketARN()}, b.err)
		return
	}
	for _, c := range s.bucketCalls() {
		if !strings.HasPrefix(c.action, "s3:") {
			continue
		}
		req := policy.Request{Principal: s.role.ARN, Action: c.action, Resource: c.resource, Context: c.context}
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
	f := finding{
		found:       fmt.Sprintf("%s of the policy of %s denies %s to the stream's role %s", statementName(*s.policy.document, by), s.bucket, c.action, s.role.Name),
		consequence: "nothing can be delivered, and no error is reported: the stream stays ACTIVE and accepts records, which are lost after 24 hours",
		cause:       provision.DenyCause(by),
		fix:         r.exemptCommand(s, by),
	}
	if encrypts := by.HasCondition("s3:x-amz-server-side-encryption") || by.HasCondition("s3:x-amz-server-side-encryption-aws-kms-key-id"); encrypts && s.key != nil && !s.key.Managed {
		f.fix += "\nor have the stream send it: " + s.updateDestination(map[string]any{"EncryptionConfiguration": map[string]any{"KMSEncryptionConfig": map[string]string{"AWSKMSKeyARN": s.key.ARN}}})
	}
	return f
}

// foreignBucketFinding describes a bucket in another account whose policy does not allow a call. Its
// policy must allow what the role's policies allow.
func (r *run) foreignBucketFinding(s *stream, c call) finding {
	doc := docOf(s)
	doc.Statements = append(slices.Clone(doc.Statements), policy.Statement{
		Sid: "Firehose" + s.account, Effect: "Allow", Principal: policy.Principal{AWS: []string{s.role.ARN}},
		Actions:   []string{"s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:PutObject", "s3:PutObjectAcl"},
		Resources: []string{s.bucketARN(), s.bucketARN() + "/*"},
	})
	return finding{
		found:       fmt.Sprintf("the bucket %s belongs to another account, and its policy does not allow %s to the stream's role %s", s.bucket, c.action, s.role.ARN),
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
		conditions := policy.Conditions{}
		maps.Copy(conditions, by.Conditions)
		merged := map[string]policy.Values{"aws:PrincipalArn": {s.role.ARN}}
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

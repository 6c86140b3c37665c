package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
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
			fix:         "choose after how many days logs are deleted permanently, 400 in this example:\n" + r.repair(s, command("s3api", "put-bucket-lifecycle-configuration", "--bucket", s.bucket, "--lifecycle-configuration", compact(rule))),
		})
		return
	}
	if err != nil {
		r.unknown(linkBucket, name, "the lifecycle of "+s.bucket, need{"s3:GetLifecycleConfiguration", s.bucketARN()}, err)
		return
	}
	r.out.ok(linkBucket, name, "%d rules", len(out.Rules))
}

package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	s3controltypes "github.com/aws/aws-sdk-go-v2/service/s3control/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// ErrElsewhere means that the bucket is in another account or Region.
var ErrElsewhere = errors.New("the bucket is elsewhere")

// errPerhapsElsewhere means that the bucket exists, but these credentials cannot find out who owns it.
var errPerhapsElsewhere = fmt.Errorf("perhaps %w", ErrElsewhere)

// mine reports whether the bucket exists and belongs to the account, so that its contents can be
// trusted: another account may have reused the name of a deleted bucket.
func (r *Bucket) mine(ctx context.Context) (bool, error) {
	exists, err := r.look(ctx)
	if errors.Is(err, ErrElsewhere) && !errors.Is(err, errPerhapsElsewhere) {
		return false, nil
	}
	return exists, err
}

// lookAt returns a Bucket for reading only.
func lookAt(s *desired.Spec, c *Clients) *Bucket {
	b := &Bucket{s: s, c: c.S3, all: c}
	if !s.ForeignBucket {
		b.want.Account, b.want.Others = s.BucketAccount(), s.OthersBucket()
	}
	return b
}

// look reports whether the account owns the bucket, in the pipeline's Region.
func (r *Bucket) look(ctx context.Context) (bool, error) {
	if r.want.Account == "" {
		status, err := r.head(ctx, nil)
		if status == http.StatusForbidden {
			err = fmt.Errorf("no permission to access bucket %s", r.Name())
		}
		return status == http.StatusOK, err
	}
	status, err := r.head(ctx, &r.want.Account)
	switch {
	case status == http.StatusNotFound:
		return false, nil
	case err == nil && status != http.StatusForbidden:
		return true, nil
	case errors.Is(err, ErrElsewhere), status == 0:
		return false, err
	case r.want.Others && status == http.StatusForbidden:
		return false, r.othersDenied()
	}
	// A HEAD response has no body to explain a 403; ListBuckets lists the account's own buckets
	// only, so it separates another account's bucket from one without permission. The S3 server of
	// `stagelog up` does not identify owners by account ID, so there only ListBuckets works.
	mine, listErr := r.listed(ctx)
	switch {
	case awserr.Denied(listErr) && status == http.StatusForbidden:
		return false, &refusal{errPerhapsElsewhere, fmt.Sprintf("no permission to access bucket %s: it belongs to another AWS account (choose another bucket: in stagelog.yaml), or these credentials lack s3:ListBucket on %s; grant s3:ListAllMyBuckets to find out which",
			r.Name(), r.s.BucketARN())}
	case listErr != nil:
		return false, listErr
	case status != http.StatusForbidden:
		return false, err
	case !mine:
		return false, r.taken()
	}
	if status, err = r.head(ctx, nil); status == http.StatusForbidden {
		return false, fmt.Errorf("account %s owns the bucket, but these credentials may not access it: IAM does not allow it, or the bucket policy denies it\nAdd this statement to a policy of that user or role, or use other credentials (--profile):\n%s",
			r.s.Account, allowStatement("s3:ListBucket", r.s.BucketARN()))
	}
	return status == http.StatusOK, err
}

// head sends HeadBucket and returns the HTTP status, 0 without a response. It returns no error
// for 403 and 404.
func (r *Bucket) head(ctx context.Context, owner *string) (status int, err error) {
	out, err := r.c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(r.Name()), ExpectedBucketOwner: owner})
	region := ""
	if err == nil {
		region, status = aws.ToString(out.BucketRegion), http.StatusOK
	}
	if s := awserr.Status(err); s != 0 {
		region, status = awserr.BucketRegion(err), s
	}
	switch {
	case status == http.StatusForbidden, status == http.StatusNotFound:
		return status, nil
	case region != "" && region != r.s.Region:
		return status, &refusal{ErrElsewhere, fmt.Sprintf("the bucket %s is in %s, but the pipeline is in %s: choose another bucket: in stagelog.yaml, or, if the APIs are in %s too, set region: %s",
			r.Name(), region, r.s.Region, region, region)}
	}
	return status, err
}

func (r *Bucket) listed(ctx context.Context) (bool, error) {
	for page, err := range Pages(ctx, s3.NewListBucketsPaginator(r.c, &s3.ListBucketsInput{Prefix: aws.String(r.Name())})) {
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(page.Buckets, func(b types.Bucket) bool { return aws.ToString(b.Name) == r.Name() }) {
			return true, nil
		}
	}
	return false, nil
}

func (r *Bucket) taken() error {
	return &refusal{ErrElsewhere, fmt.Sprintf("another AWS account owns bucket %s, and bucket names are globally unique: choose another bucket: in stagelog.yaml", r.Name())}
}

// tags returns the bucket's tags in S3's order.
func (r *Bucket) tags(ctx context.Context) ([]types.Tag, error) {
	out, err := r.c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: aws.String(r.Name())})
	if awserr.Is(err, "NoSuchTagSet", "NoSuchTagSetError") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read its tags: %w", err)
	}
	return out.TagSet, nil
}

func bucketTags(all []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, t := range all {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags
}

func s3Tags(tags map[string]string) (all []types.Tag) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	return all
}

// abac reports whether the bucket uses tags for access control. It returns false if that cannot be read.
func (r *Bucket) abac(ctx context.Context) bool {
	out, err := r.c.GetBucketAbac(ctx, &s3.GetBucketAbacInput{Bucket: aws.String(r.Name())})
	return err == nil && out.AbacStatus != nil && out.AbacStatus.Status == types.BucketAbacStatusEnabled
}

// tag sets the pipeline's tags and removes those that it no longer has. The API replaces all tags at once, so the others are sent unchanged.
func (r *Bucket) tag(ctx context.Context) error {
	tags, err := r.tags(ctx)
	if err != nil {
		return err
	}
	remove, set := tagChanges(bucketTags(tags), r.s.Tags())
	if r.abac(ctx) {
		return r.tagResource(ctx, remove, set)
	}
	tags = slices.DeleteFunc(tags, func(t types.Tag) bool {
		_, replaced := set[aws.ToString(t.Key)]
		return replaced || slices.Contains(remove, aws.ToString(t.Key))
	})
	_, err = r.c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{
		Bucket: aws.String(r.Name()), Tagging: &types.Tagging{TagSet: append(tags, s3Tags(set)...)},
	})
	return err
}

// tagResource sets and removes tags of a bucket that uses them for access control: S3 then refuses PutBucketTagging.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html
func (r *Bucket) tagResource(ctx context.Context, remove []string, set map[string]string) error {
	account, bucket := aws.String(r.want.Account), aws.String(r.s.BucketARN())
	var tags []s3controltypes.Tag
	for _, t := range s3Tags(set) {
		tags = append(tags, s3controltypes.Tag{Key: t.Key, Value: t.Value})
	}
	if len(tags) > 0 {
		if _, err := r.all.S3Control.TagResource(ctx, &s3control.TagResourceInput{AccountId: account, ResourceArn: bucket, Tags: tags}); err != nil {
			return err
		}
	}
	if len(remove) == 0 {
		return nil
	}
	_, err := r.all.S3Control.UntagResource(ctx, &s3control.UntagResourceInput{AccountId: account, ResourceArn: bucket, TagKeys: remove})
	return err
}

// owned sets the required flag in state if the bucket is not the pipeline's. A bare bucket needs
// no flag: an interrupted deploy may have left it, and it holds nothing to lose.
func (r *Bucket) owned(ctx context.Context, tags []types.Tag, state *State) error {
	state.ownedBy(bucketTags(tags)[desired.OwnerTag], r.s.Owner())
	if len(tags) > 0 {
		return nil
	}
	bare, err := r.bare(ctx)
	if err == nil && bare {
		state.RequiredFlag, state.Reason = NoFlag, ""
	}
	return err
}

// bare reports whether a bucket has no objects, no policy, no lifecycle rules and was never
// versioned.
func (r *Bucket) bare(ctx context.Context) (bool, error) {
	versioning, err := r.versioning(ctx)
	if err != nil || versioning != "" {
		return false, err
	}
	rules, err := r.lifecycle(ctx)
	if err != nil || len(rules.Rules) > 0 {
		return false, err
	}
	_, err = r.c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: aws.String(r.Name())})
	if err == nil {
		return false, nil
	}
	if !awserr.Is(err, "NoSuchBucketPolicy") {
		return false, err
	}
	out, err := r.c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(r.Name()), MaxKeys: aws.Int32(1)})
	return err == nil && len(out.Contents) == 0, err
}

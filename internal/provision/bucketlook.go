package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// ErrElsewhere means that the bucket's name is that of a bucket in another account or Region.
var ErrElsewhere = errors.New("the bucket is elsewhere")

// errPerhapsElsewhere: it is there, and whose it is these credentials may not ask.
var errPerhapsElsewhere = fmt.Errorf("perhaps %w", ErrElsewhere)

// mine says whether the bucket is there and the account's, so that what stagelog keeps in it can be
// believed: a name that was given up may be anybody's by now.
func (r *Bucket) mine(ctx context.Context) (bool, error) {
	exists, err := r.look(ctx)
	if errors.Is(err, ErrElsewhere) && !errors.Is(err, errPerhapsElsewhere) {
		return false, nil
	}
	return exists, err
}

// lookAt returns a bucket that can be looked at, and not changed.
func lookAt(s *desired.Spec, c *Clients) *Bucket {
	b := &Bucket{s: s, c: c.S3}
	if !s.ForeignBucket {
		b.want.Account = s.Account
	}
	return b
}

// look says whether the account has the bucket, in the Region.
func (r *Bucket) look(ctx context.Context) (bool, error) {
	if r.want.Account == "" {
		status, err := r.head(ctx, nil)
		if status == http.StatusForbidden {
			err = fmt.Errorf("these credentials may not look at the bucket %s", r.Name())
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
	}
	// An answer to HEAD does not say why, one to a list does. And the list has the account's own
	// buckets only, so it tells another's bucket from one that these credentials may not look
	// at. The S3 server of `stagelog up` knows owners by other names than account ids: there it
	// alone says whose a bucket is.
	mine, listErr := r.listed(ctx)
	switch {
	case awserr.Denied(listErr) && status == http.StatusForbidden:
		return false, &refusal{errPerhapsElsewhere, fmt.Sprintf("there is a bucket %s, and these credentials may not look at it: it belongs to another AWS account (choose another bucket: in stagelog.yaml), or they lack s3:ListBucket on %s; nor may they ask whose it is, which takes s3:ListAllMyBuckets",
			r.Name(), r.s.BucketARN())}
	case listErr != nil:
		return false, listErr
	case status != http.StatusForbidden:
		return false, err
	case !mine:
		return false, r.taken()
	}
	if status, err = r.head(ctx, nil); status == http.StatusForbidden {
		return false, fmt.Errorf("account %s has the bucket, and these credentials may not look at it: IAM does not allow it, or the bucket's policy denies it\nAdd this statement to a policy of that user or role, or use other credentials (--profile):\n%s",
			r.s.Account, allowStatement("s3:ListBucket", r.s.BucketARN()))
	}
	return status == http.StatusOK, err
}

// head asks for the bucket alone, and answers the status, 0 without an answer. Neither 403 nor
// 404 is an error.
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
		return status, &refusal{ErrElsewhere, fmt.Sprintf("the bucket %s is in the Region %s, and the pipeline in %s: choose another bucket: in stagelog.yaml, or, if the APIs are in %s too, region: %s",
			r.Name(), region, r.s.Region, region, region)}
	}
	return status, err
}

func (r *Bucket) listed(ctx context.Context) (bool, error) {
	pages := s3.NewListBucketsPaginator(r.c, &s3.ListBucketsInput{Prefix: aws.String(r.Name())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
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
	return &refusal{ErrElsewhere, fmt.Sprintf("another AWS account has a bucket %s, and a name is there once in all of AWS: choose another bucket: in stagelog.yaml", r.Name())}
}

// tags are the bucket's, in the order that S3 has them.
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

func ownerOf(tags []types.Tag) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == desired.OwnerTag {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

func (r *Bucket) ownerTag() types.Tag {
	return types.Tag{Key: aws.String(desired.OwnerTag), Value: aws.String(r.s.Owner())}
}

// tag adds the owner's. S3 replaces all tags at once, so the others are said again.
func (r *Bucket) tag(ctx context.Context) error {
	tags, err := r.tags(ctx)
	if err != nil {
		return err
	}
	tags = slices.DeleteFunc(tags, func(t types.Tag) bool { return aws.ToString(t.Key) == desired.OwnerTag })
	_, err = r.c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{
		Bucket: aws.String(r.Name()), Tagging: &types.Tagging{TagSet: append(tags, r.ownerTag())},
	})
	return err
}

// owned fills in whose the bucket is. A bare bucket of the account is what a deploy leaves
// that was cut off before the tag; to take it over loses nobody anything.
func (r *Bucket) owned(ctx context.Context, tags []types.Tag, state *State) error {
	state.ownedBy(ownerOf(tags), r.s.Owner())
	if len(tags) > 0 {
		return nil
	}
	bare, err := r.bare(ctx)
	if err == nil && bare {
		state.RequiredFlag, state.Reason = NoFlag, ""
	}
	return err
}

// bare says whether nothing is in an untagged bucket and nobody set anything that counts: no
// policy, no lifecycle, never a version.
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

package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
)

// s3Bucket is a bucket over the SDK, and a lake.Source. It may be in another Region than the client:
// S3 says so, and the next call goes there.
type s3Bucket struct {
	s3     *s3.Client
	name   string
	region *atomic.Pointer[string] // where S3 says that it is; nil is the client's
}

func newS3Bucket(client *s3.Client, name string) s3Bucket {
	return s3Bucket{client, name, &atomic.Pointer[string]{}}
}

// there sends a call to the bucket's Region.
func (b s3Bucket) there(o *s3.Options) {
	if region := b.region.Load(); region != nil {
		o.Region = *region
	}
}

// follow calls S3, and once more where S3 answers that the bucket is in another Region.
func follow[T any](ctx context.Context, b s3Bucket, call func(where func(*s3.Options)) (T, error)) (T, error) {
	out, err := call(b.there)
	if err == nil || !awserr.OtherRegion(err) {
		return out, err
	}
	region := awserr.BucketRegion(err)
	if region == "" { // it always says so to HEAD
		answer, headErr := b.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name}, b.there)
		if region = awserr.BucketRegion(headErr); headErr == nil {
			region = aws.ToString(answer.BucketRegion)
		}
	}
	if old := b.region.Load(); region == "" || old != nil && *old == region {
		return out, err
	}
	b.region.Store(&region)
	return call(b.there)
}

// arn is the bucket's, for who is to allow something.
func (b s3Bucket) arn() string {
	region := b.s3.Options().Region
	return "arn:" + record.Partition(region) + ":s3:::" + b.name
}

// list calls fn with the objects whose keys begin with prefix and come after startAfter.
func (b s3Bucket) list(ctx context.Context, prefix, startAfter string, fn func(types.Object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
	if startAfter != "" {
		in.StartAfter = &startAfter
	}
	pages := s3.NewListObjectsV2Paginator(b.s3, in)
	for pages.HasMorePages() {
		page, err := follow(ctx, b, func(where func(*s3.Options)) (*s3.ListObjectsV2Output, error) { return pages.NextPage(ctx, where) })
		if err != nil {
			return fmt.Errorf("list bucket %s: %w", b.name, provision.On(b.arn(), err))
		}
		for _, o := range page.Contents {
			if err := fn(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxNames is how much of what is in a bucket is named to somebody.
const maxNames = 20

// names are what is below a prefix, as far as the next slash.
func (b s3Bucket) names(ctx context.Context, prefix string) (all []string, err error) {
	page, err := follow(ctx, b, func(where func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
		return b.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix, Delimiter: aws.String("/"), MaxKeys: aws.Int32(maxNames)}, where)
	})
	if err != nil {
		return nil, fmt.Errorf("list bucket %s: %w", b.name, provision.On(b.arn(), err))
	}
	for _, p := range page.CommonPrefixes {
		all = append(all, aws.ToString(p.Prefix))
	}
	for _, o := range page.Contents {
		all = append(all, aws.ToString(o.Key))
	}
	return all, nil
}

// Get implements lake.Source. Who calls it says of which object an error is.
func (b s3Bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := follow(ctx, b, func(where func(*s3.Options)) (*s3.GetObjectOutput, error) {
		return b.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key}, where)
	})
	if err != nil {
		return nil, provision.On(b.arn()+"/*", err)
	}
	return out.Body, nil
}

// Bucket implements lake.Source.
func (b s3Bucket) Bucket() string { return b.name }

// List implements lake.Source.
func (b s3Bucket) List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	return b.list(ctx, prefix, startAfter, func(o types.Object) error {
		return fn(record.Object{Key: aws.ToString(o.Key), ETag: etag(o), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)})
	})
}

func etag(o types.Object) string { return strings.Trim(aws.ToString(o.ETag), `"`) }

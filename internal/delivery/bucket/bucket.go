package bucket

import (
	"context"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/record"
)

// Bucket puts, lists and reads the objects of one bucket.
type Bucket struct {
	client *Client
	name   string
}

// Bucket returns the bucket of that name. It makes no call.
func (c *Client) Bucket(name string) Bucket { return Bucket{c, name} }

// Bucket returns the bucket's name.
func (b Bucket) Bucket() string { return b.name }

// Put stores one object of m.Size bytes and returns once it is durable. Repeating it with the
// same key and body is safe. The body starts at its current position, and a retry rewinds to it.
func (b Bucket) Put(ctx context.Context, key string, body io.ReadSeeker, m record.Meta) error {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: body, ContentLength: &m.Size, Metadata: m.User}
	if m.ContentType != "" {
		in.ContentType = &m.ContentType
	}
	if m.ContentEncoding != "" {
		in.ContentEncoding = &m.ContentEncoding
	}
	start, startErr := body.Seek(0, io.SeekCurrent)
	_, err := follow(ctx, b, "put object", key, func(there func(*s3.Options)) (*s3.PutObjectOutput, error) {
		if startErr != nil {
			return nil, startErr
		}
		if _, err := body.Seek(start, io.SeekStart); err != nil {
			return nil, err
		}
		return b.client.s3.PutObject(ctx, in, there)
	})
	return err
}

// Get opens an object as it is stored: gzip is not decompressed. The caller closes the body. The
// error wraps record.ErrNotFound if there is no such object.
func (b Bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := follow(ctx, b, "get object", key, func(there func(*s3.Options)) (*s3.GetObjectOutput, error) {
		return b.client.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key}, there)
	})
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

// Head returns an object's metadata. The error wraps record.ErrNotFound if there is no such object.
func (b Bucket) Head(ctx context.Context, key string) (record.Meta, error) {
	out, err := follow(ctx, b, "head object", key, func(there func(*s3.Options)) (*s3.HeadObjectOutput, error) {
		return b.client.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key}, there)
	})
	if err != nil {
		return record.Meta{}, err
	}
	return record.Meta{
		Size: aws.ToInt64(out.ContentLength), ContentType: aws.ToString(out.ContentType),
		ContentEncoding: aws.ToString(out.ContentEncoding), User: out.Metadata,
	}, nil
}

// List calls fn with every object whose key begins with prefix and sorts after startAfter, in
// order. It stops at fn's first error and returns it unchanged.
func (b Bucket) List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
	if startAfter != "" {
		in.StartAfter = &startAfter
	}
	pages := s3.NewListObjectsV2Paginator(b.client.s3, in)
	for pages.HasMorePages() {
		page, err := follow(ctx, b, "list bucket", "", func(there func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
			return pages.NextPage(ctx, there)
		})
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if err := fn(record.Object{
				Key: decoded(o.Key, page.EncodingType), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified),
				ETag: strings.Trim(aws.ToString(o.ETag), `"`),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// decoded returns the key of a listing. XML cannot represent the control characters of a key, so keys are requested in URL
// encoding; some stores ignore that and do not confirm it.
func decoded(key *string, encoding types.EncodingType) string {
	if encoding == types.EncodingTypeUrl {
		if plain, err := url.QueryUnescape(aws.ToString(key)); err == nil {
			return plain
		}
	}
	return aws.ToString(key)
}

// Children returns the entries directly below prefix, using "/" as the delimiter: first the common
// prefixes, then the keys. It returns up to limit entries.
func (b Bucket) Children(ctx context.Context, prefix string, limit int32) (all []string, err error) {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix, Delimiter: aws.String("/"), MaxKeys: &limit, EncodingType: types.EncodingTypeUrl}
	page, err := follow(ctx, b, "list bucket", "", func(there func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
		return b.client.s3.ListObjectsV2(ctx, in, there)
	})
	if err != nil {
		return nil, err
	}
	for _, p := range page.CommonPrefixes {
		all = append(all, decoded(p.Prefix, page.EncodingType))
	}
	for _, o := range page.Contents {
		all = append(all, decoded(o.Key, page.EncodingType))
	}
	return all, nil
}

// Delete removes an object. A missing object is not an error.
func (b Bucket) Delete(ctx context.Context, key string) error {
	_, err := follow(ctx, b, "delete object", key, func(there func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
		return b.client.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key}, there)
	})
	return err
}

// there makes a call go to the bucket's Region.
func (b Bucket) there(o *s3.Options) {
	if region, ok := b.client.regions.Load(b.name); ok {
		o.Region = region.(string)
	}
}

// follow calls S3, and repeats the call if S3 reports that the bucket is in another Region. Its error has the action and
// the object; key is "" for the bucket itself.
func follow[T any](ctx context.Context, b Bucket, action, key string, call func(there func(*s3.Options)) (T, error)) (T, error) {
	out, err := call(b.there)
	if err != nil && awserr.OtherRegion(err) && b.moved(ctx, err) {
		out, err = call(b.there)
	}
	if err != nil {
		err = b.client.failed(action, b.name, key, err)
	}
	return out, err
}

// moved remembers the bucket's Region, which S3 reports in an error. It returns false if the Region is not new.
func (b Bucket) moved(ctx context.Context, err error) bool {
	region := awserr.BucketRegion(err)
	if region == "" { // HEAD always returns it
		answer, err := b.client.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name}, b.there)
		if region = awserr.BucketRegion(err); err == nil {
			region = aws.ToString(answer.BucketRegion)
		}
	}
	if region == "" {
		return false
	}
	known, _ := b.client.regions.Swap(b.name, region)
	return known != region
}

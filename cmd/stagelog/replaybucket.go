package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/layout"
	"github.com/stagelog/stagelog/internal/replay"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// replayBucket is replay.Bucket over the SDK.
type replayBucket struct {
	s3     *s3.Client
	bucket string
}

// List implements replay.Bucket.
func (b replayBucket) List(ctx context.Context, prefix string, fn func(replay.Object) error) error {
	pages := s3.NewListObjectsV2Paginator(b.s3, &s3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list bucket %s: %w", b.bucket, err)
		}
		for _, o := range page.Contents {
			if err := fn(replay.Object{
				Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified), ETag: strings.Trim(aws.ToString(o.ETag), `"`),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Get implements replay.Bucket.
func (b replayBucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("get object %s/%s: %w", b.bucket, key, err)
	}
	return out.Body, nil
}

// Head implements replay.Bucket.
func (b replayBucket) Head(ctx context.Context, key string) (map[string]string, error) {
	out, err := b.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key})
	var code smithy.APIError
	if errors.As(err, &code) && (code.ErrorCode() == "NotFound" || code.ErrorCode() == "NoSuchKey") {
		return nil, replay.ErrNotFound
	} else if err != nil {
		return nil, fmt.Errorf("look at object %s/%s: %w", b.bucket, key, err)
	}
	return out.Metadata, nil
}

// Put implements replay.Bucket.
func (b replayBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, encoding string, meta map[string]string) error {
	in := &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: body, ContentLength: &size, ContentType: aws.String(layout.ContentType), Metadata: meta}
	if encoding != "" {
		in.ContentEncoding = &encoding
	}
	if _, err := b.s3.PutObject(ctx, in); err != nil {
		return fmt.Errorf("put object %s/%s: %w", b.bucket, key, err)
	}
	return nil
}

// Delete implements replay.Bucket.
func (b replayBucket) Delete(ctx context.Context, key string) error {
	if _, err := b.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.bucket, Key: &key}); err != nil {
		return fmt.Errorf("delete object %s/%s: %w", b.bucket, key, err)
	}
	return nil
}

// snapshot is what the functions of a pipeline share about its customers, or nil.
func (b replayBucket) snapshot(ctx context.Context, key string) (*usageplan.Snapshot, error) {
	body, err := b.Get(ctx, key)
	var none *types.NoSuchKey
	if errors.As(err, &none) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read object %s/%s: %w", b.bucket, key, err)
	}
	s, err := usageplan.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("object %s/%s: %w", b.bucket, key, err)
	}
	return s, nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/delivery/replay"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

// replayBucket is replay.Bucket over the SDK.
type replayBucket struct{ s3Bucket }

// List implements replay.Bucket.
func (b replayBucket) List(ctx context.Context, prefix string, fn func(replay.Object) error) error {
	return b.list(ctx, prefix, "", func(o types.Object) error {
		return fn(replay.Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified), ETag: etag(o)})
	})
}

// Get implements replay.Bucket.
func (b replayBucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	body, err := b.s3Bucket.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("get object %s/%s: %w", b.name, key, err)
	}
	return body, nil
}

// Head implements replay.Bucket.
func (b replayBucket) Head(ctx context.Context, key string) (map[string]string, error) {
	out, err := b.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key}, b.there)
	var code smithy.APIError
	if errors.As(err, &code) && (code.ErrorCode() == "NotFound" || code.ErrorCode() == "NoSuchKey") {
		return nil, record.ErrNotFound
	} else if err != nil {
		return nil, fmt.Errorf("look at object %s/%s: %w", b.name, key, err)
	}
	return out.Metadata, nil
}

// Put implements replay.Bucket.
func (b replayBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, encoding string, meta map[string]string) error {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: body, ContentLength: &size, ContentType: aws.String(objectkey.ContentType), Metadata: meta}
	if encoding != "" {
		in.ContentEncoding = &encoding
	}
	if _, err := b.s3.PutObject(ctx, in, b.there); err != nil {
		return fmt.Errorf("put object %s/%s: %w", b.name, key, err)
	}
	return nil
}

// Delete implements replay.Bucket.
func (b replayBucket) Delete(ctx context.Context, key string) error {
	if _, err := b.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key}, b.there); err != nil {
		return fmt.Errorf("delete object %s/%s: %w", b.name, key, err)
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
		return nil, fmt.Errorf("read object %s/%s: %w", b.name, key, err)
	}
	s, err := usageplan.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("object %s/%s: %w", b.name, key, err)
	}
	return s, nil
}

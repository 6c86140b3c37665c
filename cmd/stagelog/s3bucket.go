package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/lake"
)

// s3Bucket is a bucket over the SDK, and a lake.Source.
type s3Bucket struct {
	s3   *s3.Client
	name string
}

// list calls fn with the objects whose keys begin with prefix and come after startAfter.
func (b s3Bucket) list(ctx context.Context, prefix, startAfter string, fn func(types.Object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
	if startAfter != "" {
		in.StartAfter = &startAfter
	}
	pages := s3.NewListObjectsV2Paginator(b.s3, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list bucket %s: %w", b.name, err)
		}
		for _, o := range page.Contents {
			if err := fn(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// Get implements lake.Source.
func (b s3Bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("get object %s/%s: %w", b.name, key, err)
	}
	return out.Body, nil
}

// Bucket implements lake.Source.
func (b s3Bucket) Bucket() string { return b.name }

// List implements lake.Source.
func (b s3Bucket) List(ctx context.Context, prefix, startAfter string, fn func(lake.Object) error) error {
	return b.list(ctx, prefix, startAfter, func(o types.Object) error {
		return fn(lake.Object{Key: aws.ToString(o.Key), ETag: etag(o), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)})
	})
}

func etag(o types.Object) string { return strings.Trim(aws.ToString(o.ETag), `"`) }

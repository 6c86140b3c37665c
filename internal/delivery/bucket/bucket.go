package bucket

import (
	"context"
	"io"

	"github.com/stagelog/stagelog/internal/record"
)

// Bucket is one bucket of a Client.
type Bucket struct {
	client *Client
	name   string
}

// Bucket returns the bucket of that name. It makes no call.
func (c *Client) Bucket(name string) Bucket { return Bucket{c, name} }

// Bucket returns the bucket's name.
func (b Bucket) Bucket() string { return b.name }

// Put calls Client.Put for this bucket.
func (b Bucket) Put(ctx context.Context, key string, body io.ReadSeeker, m record.Meta) error {
	return b.client.Put(ctx, b.name, key, body, m)
}

// Get calls Client.Get for this bucket and returns no metadata.
func (b Bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	body, _, err := b.client.Get(ctx, b.name, key)
	return body, err
}

// Head calls Client.Head for this bucket.
func (b Bucket) Head(ctx context.Context, key string) (record.Meta, error) {
	return b.client.Head(ctx, b.name, key)
}

// List calls Client.List for this bucket.
func (b Bucket) List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	return b.client.List(ctx, b.name, prefix, startAfter, fn)
}

// Children calls Client.Children for this bucket.
func (b Bucket) Children(ctx context.Context, prefix string, limit int32) ([]string, error) {
	return b.client.Children(ctx, b.name, prefix, limit)
}

// Delete calls Client.Delete for this bucket.
func (b Bucket) Delete(ctx context.Context, key string) error {
	return b.client.Delete(ctx, b.name, key)
}

package s3server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// synced syncs objects before they are acknowledged. The posix backend does not sync, and delivery discards a
// record once its object is acknowledged.
type synced struct {
	*posix.Posix
	root     string
	sidecar  string // "": attributes are in the files
	settings *settings
}

// PutObject stores one object, its attributes and its name.
func (s *synced) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := s.Posix.PutObject(ctx, in)
	return out, s.sync(err, aws.ToString(in.Bucket), aws.ToString(in.Key))
}

// CopyObject stores a copy.
func (s *synced) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := s.Posix.CopyObject(ctx, in)
	return out, s.sync(err, aws.ToString(in.Bucket), aws.ToString(in.Key))
}

// CompleteMultipartUpload stores the object assembled from an upload's parts.
func (s *synced) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := s.Posix.CompleteMultipartUpload(ctx, in)
	return out, version, s.sync(err, aws.ToString(in.Bucket), aws.ToString(in.Key))
}

// CreateBucket creates a bucket.
func (s *synced) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	err := s.Posix.CreateBucket(ctx, in, acl)
	return s.sync(err, aws.ToString(in.Bucket), "")
}

// DeleteBucket deletes a bucket and its settings, which a new bucket of that name must not inherit.
func (s *synced) DeleteBucket(ctx context.Context, bucket string) error {
	if err := s.Posix.DeleteBucket(ctx, bucket); err != nil {
		return err
	}
	return s.settings.forget(bucket)
}

// PutBucketPolicy replaces a bucket's policy.
func (s *synced) PutBucketPolicy(ctx context.Context, bucket string, policy []byte) error {
	err := s.Posix.PutBucketPolicy(ctx, bucket, policy)
	return s.sync(err, bucket, "")
}

// DeleteBucketPolicy deletes a bucket's policy, durably, so that revoked access stays revoked.
func (s *synced) DeleteBucketPolicy(ctx context.Context, bucket string) error {
	err := s.Posix.DeleteBucketPolicy(ctx, bucket)
	return s.sync(err, bucket, "")
}

// sync syncs the object, or the bucket if key is empty: content, attributes, and all parent folders. It ignores
// an object that was deleted meanwhile. It only returns err, the error of the change, if there is one.
func (s *synced) sync(err error, bucket, key string) error {
	if err != nil {
		return err
	}
	name := filepath.Join(bucket, filepath.FromSlash(key))
	if err := syncUp(s.root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sync object: %w", err)
	}
	if s.sidecar == "" {
		return nil
	}
	attributes, err := os.ReadDir(filepath.Join(s.sidecar, name, "meta"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sync object's attributes: %w", err)
	}
	for _, a := range attributes {
		if err := syncUp(s.sidecar, filepath.Join(name, "meta", a.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync object's attributes: %w", err)
		}
	}
	return nil
}

// syncUp syncs root/name and the folders from there up to root.
func syncUp(root, name string) error {
	for name != "." && !strings.HasPrefix(name, "..") {
		// SyncDir also syncs files.
		if err := atomicfile.SyncDir(filepath.Join(root, name)); err != nil {
			return err
		}
		name = filepath.Dir(name)
	}
	return atomicfile.SyncDir(root)
}

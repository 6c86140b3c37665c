package s3server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

// synced makes what was stored durable before it is acknowledged. The posix backend
// itself syncs nothing, and delivery forgets a record once its object was acknowledged.
type synced struct {
	*posix.Posix
	root     string
	sidecar  string // empty when attributes are in the files
	settings *settings
}

// PutObject stores one object, its attributes and its name.
func (s *synced) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := s.Posix.PutObject(ctx, in)
	if err == nil {
		err = s.sync(deref(in.Bucket), deref(in.Key))
	}
	return out, err
}

// CopyObject stores a copy.
func (s *synced) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := s.Posix.CopyObject(ctx, in)
	if err == nil {
		err = s.sync(deref(in.Bucket), deref(in.Key))
	}
	return out, err
}

// CompleteMultipartUpload stores the object of an upload's parts.
func (s *synced) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := s.Posix.CompleteMultipartUpload(ctx, in)
	if err == nil {
		err = s.sync(deref(in.Bucket), deref(in.Key))
	}
	return out, version, err
}

// CreateBucket makes a bucket.
func (s *synced) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	err := s.Posix.CreateBucket(ctx, in, acl)
	if err == nil {
		err = s.sync(deref(in.Bucket), "")
	}
	return err
}

// DeleteBucket removes a bucket, and the settings that are not kept with it: a new one of
// that name must not have them.
func (s *synced) DeleteBucket(ctx context.Context, bucket string) error {
	if err := s.Posix.DeleteBucket(ctx, bucket); err != nil {
		return err
	}
	return s.settings.forget(bucket)
}

// PutBucketPolicy replaces a bucket's policy.
func (s *synced) PutBucketPolicy(ctx context.Context, bucket string, policy []byte) error {
	err := s.Posix.PutBucketPolicy(ctx, bucket, policy)
	if err == nil {
		err = s.sync(bucket, "")
	}
	return err
}

// DeleteBucketPolicy removes it: access that was taken away stays away.
func (s *synced) DeleteBucketPolicy(ctx context.Context, bucket string) error {
	err := s.Posix.DeleteBucketPolicy(ctx, bucket)
	if err == nil {
		err = s.sync(bucket, "")
	}
	return err
}

// sync brings the object, or the bucket when key is empty, to disk: content, attributes,
// and every folder that leads to it. An object that was deleted meanwhile is no error.
func (s *synced) sync(bucket, key string) error {
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
		// SyncDir is fsync of whatever the path names, a file as well.
		if err := atomicfile.SyncDir(filepath.Join(root, name)); err != nil {
			return err
		}
		name = filepath.Dir(name)
	}
	return atomicfile.SyncDir(root)
}

func deref(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

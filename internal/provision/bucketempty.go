package provision

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Contents counts the bucket's current objects, without old versions, and their bytes. It
// returns zero for a bucket that does not exist.
func (r *Bucket) Contents(ctx context.Context) (objects, bytes int64, err error) {
	pages := s3.NewListObjectsV2Paginator(r.c, &s3.ListObjectsV2Input{Bucket: aws.String(r.Name())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isMissing(err) {
			return 0, 0, nil
		}
		if err != nil {
			return 0, 0, fmt.Errorf("count its objects: %w", err)
		}
		for _, o := range page.Contents {
			objects++
			bytes += aws.ToInt64(o.Size)
		}
	}
	return objects, bytes, nil
}

// own reports whether key is an object that a deleted pipeline no longer needs. Previous logging
// settings are kept: restoring a stage deletes them, and a stage that was not restored needs them.
func (r *Bucket) own(key string) bool { return key == desired.SnapshotKey }

func anyKey(string) bool { return true }

func quietly(string) {}

// maxDeletions limits how often delete empties a bucket that keeps receiving objects.
const maxDeletions = 3

func (r *Bucket) delete(ctx context.Context, progress func(string)) (string, error) {
	var gone int64
	for try := 1; ; try++ {
		n, err := r.empty(ctx, "", anyKey, progress)
		gone += n
		if isMissing(err) {
			return "deleted, with " + objectsText(gone), nil
		}
		if err != nil {
			return "", err
		}
		if err := r.abortUploads(ctx); err != nil {
			return "", err
		}
		_, err = r.c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String(r.Name())})
		switch {
		case err == nil, isMissing(err):
			return "deleted, with " + objectsText(gone), nil
		case !awserr.Is(err, "BucketNotEmpty"):
			return "", err
		case try == maxDeletions:
			return "", &explained{fmt.Sprintf("emptied %d times, but new objects keep arriving; stop the writer and run `stagelog destroy` again", try), err}
		}
	}
}

// empty deletes all versions of the objects below prefix that mine selects, and returns their
// number.
func (r *Bucket) empty(ctx context.Context, prefix string, mine func(key string) bool, progress func(string)) (int64, error) {
	pages := s3.NewListObjectVersionsPaginator(r.c, &s3.ListObjectVersionsInput{Bucket: aws.String(r.Name()), Prefix: aws.String(prefix)})
	var gone int64
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return gone, fmt.Errorf("list objects to delete: %w", err)
		}
		var batch []types.ObjectIdentifier // at most 1000, the limit of one DeleteObjects call
		for _, v := range page.Versions {
			if mine(aws.ToString(v.Key)) {
				batch = append(batch, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
			}
		}
		for _, m := range page.DeleteMarkers {
			if mine(aws.ToString(m.Key)) {
				batch = append(batch, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
			}
		}
		if len(batch) == 0 {
			continue
		}
		if err := r.deleteBatch(ctx, batch); err != nil {
			return gone, err
		}
		gone += int64(len(batch))
		progress(objectsText(gone) + " deleted")
	}
	return gone, nil
}

func (r *Bucket) deleteBatch(ctx context.Context, batch []types.ObjectIdentifier) error {
	out, err := r.c.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: aws.String(r.Name()),
		Delete: &types.Delete{Objects: batch, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("delete objects: %w", err)
	}
	if len(out.Errors) > 0 {
		first := out.Errors[0]
		return fmt.Errorf("delete objects: %s of %s failed; first failure, %s: %s (%s)", grouped(int64(len(out.Errors))), objectsText(int64(len(batch))),
			aws.ToString(first.Key), aws.ToString(first.Message), aws.ToString(first.Code))
	}
	return nil
}

// abortUploads aborts incomplete uploads. AWS deletes a bucket despite them; other S3 servers
// do not.
func (r *Bucket) abortUploads(ctx context.Context) error {
	pages := s3.NewListMultipartUploadsPaginator(r.c, &s3.ListMultipartUploadsInput{Bucket: aws.String(r.Name())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isMissing(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list incomplete uploads: %w", err)
		}
		for _, u := range page.Uploads {
			_, err := r.c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String(r.Name()), Key: u.Key, UploadId: u.UploadId})
			if err != nil && !awserr.Is(err, "NoSuchUpload") {
				return fmt.Errorf("abort incomplete upload: %w", err)
			}
		}
	}
	return nil
}

// ContentsText formats a bucket's contents, like "1,204 objects, 3.4 MB".
func ContentsText(objects, bytes int64) string {
	if objects == 0 {
		return "empty"
	}
	return objectsText(objects) + ", " + sizeText(bytes)
}

func objectsText(n int64) string {
	if n == 1 {
		return "1 object"
	}
	return grouped(n) + " objects"
}

// grouped formats n with thousands separators.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func sizeText(bytes int64) string {
	size, units := float64(bytes), []string{"kB", "MB", "GB", "TB"}
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	for i, unit := range units {
		if size /= 1000; size < 999.95 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %s", size, unit)
		}
	}
	return ""
}

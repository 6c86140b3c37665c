package provision

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Bucket is the bucket that objects are delivered to. Its policy is a separate resource.
type Bucket struct {
	// DeleteObjects makes Destroy delete the bucket and its objects, old versions included. By
	// default Destroy keeps the bucket with its settings and tag, so that a later deploy uses it
	// without a flag.
	DeleteObjects bool

	s    *desired.Spec
	want desired.Bucket
	d    *desired.Resources
	c    *s3.Client
	all  *Clients
}

func newBucket(d *desired.Resources, c *Clients) *Bucket {
	return &Bucket{s: d.Spec, want: d.Bucket, d: d, c: c.S3, all: c}
}

// Kind returns "S3 bucket".
func (r *Bucket) Kind() string { return "S3 bucket" }

// Name returns the bucket's name.
func (r *Bucket) Name() string { return r.s.Bucket() }

// Read compares the bucket. It returns ErrElsewhere if the name belongs to another account or
// to a bucket in another Region.
func (r *Bucket) Read(ctx context.Context) (State, error) {
	exists, err := r.look(ctx)
	if err != nil {
		return State{}, err
	}
	if exists {
		state, err := r.read(ctx)
		if !isMissing(err) {
			return state, err
		}
	}
	if r.want.Others {
		return State{}, r.othersMissing()
	}
	absent := State{Fields: append([]Field{{Name: fieldTag, Want: r.s.Owner()}}, tagFields(nil, r.s.Tags())...), Notes: r.notes("")}
	for _, set := range r.settings() {
		absent.Fields = append(absent.Fields, Field{Name: set.name, Want: set.want})
	}
	absent.Refusal = r.wrongNamespace()
	r.judgeKey(ctx, types.ServerSideEncryptionByDefault{SSEAlgorithm: r.want.Encryption, KMSMasterKeyID: &r.want.Key}, false, &absent)
	return absent, nil
}

const fieldTag = "tag " + desired.OwnerTag

func (r *Bucket) read(ctx context.Context) (State, error) {
	state := State{Exists: true}
	if r.want.Others {
		return r.readOthers(ctx)
	}
	tags, err := r.tags(ctx)
	if err != nil {
		return State{}, err
	}
	if err := r.owned(ctx, tags, &state); err != nil {
		return State{}, err
	}
	state.Fields = append(state.Fields, tagFields(bucketTags(tags), r.s.Tags())...)
	var lacking []string
	for _, set := range r.settings() {
		have, err := set.have(ctx)
		if awserr.Unsupported(err) { // by an S3-compatible server
			lacking = append(lacking, "this S3 server does not support "+set.name)
			continue
		}
		if err != nil {
			return State{}, fmt.Errorf("read its %s: %w", set.name, err)
		}
		state.Fields = append(state.Fields, Field{Name: set.name, Have: have, Want: set.want})
	}
	versioning, err := r.versioning(ctx)
	if err != nil {
		return State{}, err
	}
	state.Notes = append(r.notes(versioning), lacking...)
	return state, r.judge(ctx, versioning, &state)
}

// Apply creates the bucket, or changes the settings that differ.
func (r *Bucket) Apply(ctx context.Context, found State, progress func(string)) error {
	if !found.Exists {
		var err error
		if found, err = r.create(ctx, progress); err != nil {
			return err
		}
	}
	if found.Refusal != nil {
		return found.Refusal
	}
	// First what S3 may refuse, so that nothing is changed in a bucket that cannot become as wanted.
	if err := r.set(ctx, found, true, progress); err != nil {
		return err
	}
	// Then the tags: if interrupted afterwards, the next run needs no flag.
	if found.tagsDiffer() {
		if err := r.settled(ctx, progress, r.tag); err != nil {
			return fmt.Errorf("tag it: %w", err)
		}
	}
	return r.set(ctx, found, false, progress)
}

// set changes the settings that differ: those that S3 may refuse, or the others. It begins with the last, versioning, whose refusal
// Read may not foresee.
func (r *Bucket) set(ctx context.Context, found State, refusable bool, progress func(string)) error {
	for _, set := range slices.Backward(r.settings()) {
		if set.refusable != refusable || !found.Differs(set.name) {
			continue
		}
		if err := r.settled(ctx, progress, set.put); err != nil {
			return fmt.Errorf("set its %s: %w", set.name, err)
		}
	}
	return nil
}

// create creates the bucket and returns its state. BucketAlreadyOwnedByYou is no error: the SDK
// may have retried a request whose response was lost.
func (r *Bucket) create(ctx context.Context, progress func(string)) (State, error) {
	err := r.settled(ctx, progress, func(ctx context.Context) error { return r.createCall(ctx, true) })
	if awserr.Is(err, "UnsupportedArgument") {
		// Not every partition accepts tags here yet. An untagged bucket still counts as the
		// pipeline's while it is bare.
		err = r.settled(ctx, progress, func(ctx context.Context) error { return r.createCall(ctx, false) })
	}
	switch {
	case awserr.Is(err, "BucketAlreadyExists"):
		return State{}, r.taken()
	case err != nil && !awserr.Is(err, "BucketAlreadyOwnedByYou"):
		return State{}, err
	}
	found, err := untilFound(ctx, r, progress)
	switch {
	case err != nil:
		return State{}, err
	case found.RequiredFlag != NoFlag:
		return State{}, fmt.Errorf("%s: %w", found.Reason, ErrChanged)
	case !found.Exists:
		return State{}, fmt.Errorf("created, but S3 still reports it missing after %s", settleTime)
	}
	return found, nil
}

func (r *Bucket) createCall(ctx context.Context, tagged bool) error {
	config := &types.CreateBucketConfiguration{}
	if r.s.Region != "us-east-1" { // us-east-1 rejects its own name
		config.LocationConstraint = types.BucketLocationConstraint(r.s.Region)
	}
	if tagged {
		config.Tags = s3Tags(r.s.Tags())
	}
	in := &s3.CreateBucketInput{Bucket: aws.String(r.Name()), ObjectOwnership: r.want.Ownership}
	if r.want.AccountRegional {
		in.BucketNamespace = types.BucketNamespaceAccountRegional
	}
	if config.LocationConstraint != "" || tagged {
		in.CreateBucketConfiguration = config
	}
	_, err := r.c.CreateBucket(ctx, in)
	return err
}

// settled repeats a call until S3 has finished earlier changes of the bucket.
func (r *Bucket) settled(ctx context.Context, progress func(string), call func(context.Context) error) error {
	return repeat(ctx, progress, func() error { return call(ctx) })
}

// Destroy deletes stagelog's own objects and keeps the bucket, or deletes the bucket with all
// objects if DeleteObjects is set.
func (r *Bucket) Destroy(ctx context.Context, found State, progress func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	if r.want.Others {
		_, err := r.c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(r.Name()), Key: aws.String(desired.SnapshotKey(r.s.Pipeline))})
		return "kept: it belongs to account " + r.want.Account, err
	}
	if r.DeleteObjects && found.have(fieldTag) != r.s.Owner() { // bare: left by an interrupted deploy, or created by hand
		return "kept, but emptied: it has no stagelog tag", nil
	}
	if r.DeleteObjects {
		return r.delete(ctx, progress)
	}
	if _, err := r.empty(ctx, r.s.StatePrefix(), r.own, quietly); err != nil && !isMissing(err) {
		return "", err
	}
	objects, bytes, err := r.Contents(ctx)
	if err != nil {
		return "", err
	}
	return "kept, " + ContentsText(objects, bytes), nil
}

// Contents counts the bucket's current objects, without old versions, and their bytes. It
// returns zero for a bucket that does not exist.
func (r *Bucket) Contents(ctx context.Context) (objects, bytes int64, err error) {
	for page, err := range Pages(ctx, s3.NewListObjectsV2Paginator(r.c, &s3.ListObjectsV2Input{Bucket: aws.String(r.Name())})) {
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
func (r *Bucket) own(key string) bool { return key == desired.SnapshotKey(r.s.Pipeline) }

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
	var gone int64
	for page, err := range Pages(ctx, s3.NewListObjectVersionsPaginator(r.c, &s3.ListObjectVersionsInput{Bucket: aws.String(r.Name()), Prefix: aws.String(prefix)})) {
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
		first, hint := out.Errors[0], ""
		if aws.ToString(first.Code) == "AccessDenied" {
			hint = "; a retention period or legal hold of Object Lock also denies it"
		}
		return fmt.Errorf("delete objects: %s of %s failed; first failure, %s: %s (%s)%s", grouped(int64(len(out.Errors))), objectsText(int64(len(batch))),
			aws.ToString(first.Key), aws.ToString(first.Message), aws.ToString(first.Code), hint)
	}
	return nil
}

// abortUploads aborts incomplete uploads. AWS deletes a bucket despite them; other S3 servers
// do not.
func (r *Bucket) abortUploads(ctx context.Context) error {
	for page, err := range Pages(ctx, s3.NewListMultipartUploadsPaginator(r.c, &s3.ListMultipartUploadsInput{Bucket: aws.String(r.Name())})) {
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

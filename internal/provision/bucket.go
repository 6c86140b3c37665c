package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
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
	c    *s3.Client
}

func newBucket(d *desired.Resources, c *Clients) *Bucket {
	return &Bucket{s: d.Spec, want: d.Bucket, c: c.S3}
}

// Kind returns "S3 bucket".
func (r *Bucket) Kind() string { return "S3 bucket" }

// Name returns the bucket's name.
func (r *Bucket) Name() string { return r.s.Bucket() }

const (
	bucketPoll = time.Second
	bucketWait = 2 * time.Minute // new buckets and settings are visible everywhere within seconds
)

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
	absent := State{Fields: []Field{{Name: fieldTag, Want: r.s.Owner()}}, Notes: r.notes("")}
	for _, set := range r.settings() {
		absent.Fields = append(absent.Fields, Field{Name: set.name, Want: set.want})
	}
	return absent, nil
}

const fieldTag = "tag " + desired.OwnerTag

func (r *Bucket) read(ctx context.Context) (State, error) {
	state := State{Exists: true}
	tags, err := r.tags(ctx)
	if err != nil {
		return State{}, err
	}
	if err := r.owned(ctx, tags, &state); err != nil {
		return State{}, err
	}
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
	return state, nil
}

// Apply creates the bucket, or changes the settings that differ.
func (r *Bucket) Apply(ctx context.Context, found State, progress func(string)) error {
	if !found.Exists {
		var err error
		if found, err = r.create(ctx, progress); err != nil {
			return err
		}
	}
	// Tag first: if interrupted afterwards, the next run needs no flag.
	if found.Differs(fieldTag) {
		if err := r.settled(ctx, progress, r.tag); err != nil {
			return fmt.Errorf("tag it: %w", err)
		}
	}
	for _, set := range r.settings() {
		if !found.Differs(set.name) {
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
	for left := bucketWait; ; left -= bucketPoll {
		found, err := r.Read(ctx)
		switch {
		case err != nil:
			return State{}, err
		case found.Exists && found.RequiredFlag != NoFlag:
			return State{}, fmt.Errorf("%s: %w", found.Reason, ErrChanged)
		case found.Exists:
			return found, nil
		case left <= 0:
			return State{}, fmt.Errorf("created, but S3 still reports it missing after %s", bucketWait)
		}
		progress("waiting until the new bucket is visible everywhere")
		if err := retry.Sleep(ctx, bucketPoll); err != nil {
			return State{}, err
		}
	}
}

func (r *Bucket) createCall(ctx context.Context, tagged bool) error {
	config := &types.CreateBucketConfiguration{}
	if r.s.Region != "us-east-1" { // us-east-1 rejects its own name
		config.LocationConstraint = types.BucketLocationConstraint(r.s.Region)
	}
	if tagged {
		config.Tags = []types.Tag{r.ownerTag()}
	}
	in := &s3.CreateBucketInput{Bucket: aws.String(r.Name()), ObjectOwnership: r.want.Ownership}
	if config.LocationConstraint != "" || tagged {
		in.CreateBucketConfiguration = config
	}
	_, err := r.c.CreateBucket(ctx, in)
	return err
}

// settled repeats a call until S3 has finished earlier changes of the bucket.
func (r *Bucket) settled(ctx context.Context, progress func(string), call func(context.Context) error) error {
	return repeatWhile(ctx, notSettled, progress, func() error { return call(ctx) })
}

// Destroy deletes stagelog's own objects and keeps the bucket, or deletes the bucket with all
// objects if DeleteObjects is set.
func (r *Bucket) Destroy(ctx context.Context, found State, progress func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	if r.DeleteObjects && found.have(fieldTag) != r.s.Owner() { // bare: left by an interrupted deploy, or created by hand
		return "kept, but emptied: it has no stagelog tag", nil
	}
	if r.DeleteObjects {
		return r.delete(ctx, progress)
	}
	if _, err := r.empty(ctx, desired.StatePrefix, r.own, quietly); err != nil && !isMissing(err) {
		return "", err
	}
	objects, bytes, err := r.Contents(ctx)
	if err != nil {
		return "", err
	}
	return "kept, " + ContentsText(objects, bytes), nil
}

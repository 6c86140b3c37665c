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

// Bucket is the bucket that objects are delivered to. Who may read it is in its policy, which
// is a resource of its own.
type Bucket struct {
	// DeleteObjects has Destroy delete the bucket with all that is in it, old versions
	// included. By default the bucket stays, with its settings and its tag: a later deploy
	// takes it for the pipeline's, and requires no flag.
	DeleteObjects bool

	s    *desired.Spec
	want desired.Bucket
	c    *s3.Client
}

func newBucket(d *desired.Resources, c *Clients) *Bucket {
	return &Bucket{s: d.Spec, want: d.Bucket, c: c.S3}
}

// Kind is "S3 bucket".
func (r *Bucket) Kind() string { return "S3 bucket" }

// Name is the bucket's name.
func (r *Bucket) Name() string { return r.s.Bucket() }

const (
	bucketPoll = time.Second
	bucketWait = 2 * time.Minute // S3's buckets and their settings are everywhere within seconds
)

// Read compares the bucket. That its name belongs to another account, or to a bucket in
// another Region, is an ErrElsewhere.
func (r *Bucket) Read(ctx context.Context) (State, error) {
	exists, err := r.look(ctx)
	if err != nil {
		return State{}, err
	}
	if exists {
		state, err := r.read(ctx)
		if !isNothing(err) {
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
		if awserr.Unsupported(err) { // AWS has all of them, another S3 may not
			lacking = append(lacking, "this S3 has no "+set.name)
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

// Apply creates the bucket, and mends what differs.
func (r *Bucket) Apply(ctx context.Context, found State, progress func(string)) error {
	if !found.Exists {
		var err error
		if found, err = r.create(ctx, progress); err != nil {
			return err
		}
	}
	// The tag comes first: stopped after it, the next run requires no flag.
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

// create makes the bucket and answers what Read finds then. That it is there already is what
// a repeated request gets whose first answer was lost.
func (r *Bucket) create(ctx context.Context, progress func(string)) (State, error) {
	err := r.settled(ctx, progress, func(ctx context.Context) error { return r.createCall(ctx, true) })
	if awserr.Is(err, "UnsupportedArgument") {
		// Not every partition takes tags here yet. Without the tag, the bucket counts as the
		// pipeline's as long as it is bare.
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
			return State{}, fmt.Errorf("S3 made it, and does not know it after %s", bucketWait)
		}
		progress("waiting until S3 knows it everywhere")
		if err := retry.Sleep(ctx, bucketPoll); err != nil {
			return State{}, err
		}
	}
}

func (r *Bucket) createCall(ctx context.Context, tagged bool) error {
	config := &types.CreateBucketConfiguration{}
	if r.s.Region != "us-east-1" { // which takes no other and not its own name
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

// settled repeats a call while a change of the bucket is on its way through S3.
func (r *Bucket) settled(ctx context.Context, progress func(string), call func(context.Context) error) error {
	return repeatWhile(ctx, notSettled, progress, func() error { return call(ctx) })
}

// Destroy keeps the bucket, without what stagelog keeps in it for itself, or deletes it with
// everything.
func (r *Bucket) Destroy(ctx context.Context, found State, progress func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	if r.DeleteObjects && found.have(fieldTag) != r.s.Owner() { // bare: a deploy may have been cut off, or anybody made it
		return "kept, empty: it has no tag of stagelog's", nil
	}
	if r.DeleteObjects {
		return r.delete(ctx, progress)
	}
	if _, err := r.empty(ctx, desired.StatePrefix, r.own, quietly); err != nil && !isNothing(err) {
		return "", err
	}
	objects, bytes, err := r.Contents(ctx)
	if err != nil {
		return "", err
	}
	return "kept, " + ContentsText(objects, bytes), nil
}

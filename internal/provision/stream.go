package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Stream is the Firehose delivery stream.
type Stream struct {
	// Drain is how long Destroy waits before it deletes the stream, as Firehose discards
	// undelivered records. The default is the stream's longest buffering time plus one minute;
	// Destroy waits longer if the existing stream buffers longer than stagelog.yaml says. 0
	// deletes at once.
	Drain time.Duration

	s    *desired.Spec
	want *types.ExtendedS3DestinationConfiguration
	c    *firehose.Client
	all  *Clients
	role *role // of its destination; nil if deploy does not manage it
}

func newStream(d *desired.Resources, c *Clients) *Stream {
	held := d.Spec.Pipeline.Deliver.Interval + d.Spec.FunctionInterval()
	return &Stream{Drain: held + drainMargin, s: d.Spec, want: d.Destination, c: c.Firehose, all: c}
}

// Kind returns "Firehose delivery stream".
func (r *Stream) Kind() string { return "Firehose delivery stream" }

// Name returns the stream's name.
func (r *Stream) Name() string { return r.s.Stream() }

const (
	streamPoll = 2 * time.Second  // Firehose allows 5 control plane calls per second and account
	streamWait = 10 * time.Minute // creation and deletion take one or two

	maxUpdates = 3 // attempts when others change the destination at the same time
)

// Read compares the stream. A stream that is being deleted exists, but has no owner.
func (r *Stream) Read(ctx context.Context) (State, error) {
	d, err := r.describe(ctx)
	if err != nil {
		return State{}, err
	}
	if d == nil {
		fields := append(r.compare(nil), Field{Name: fieldTag, Want: r.s.Owner()})
		return State{Fields: append(fields, tagFields(nil, r.s.StreamTags())...)}, nil
	}
	state := State{Exists: true}
	if d.DeliveryStreamStatus == types.DeliveryStreamStatusDeleting {
		state.Fields = []Field{statusField(d)}
		state.Notes = []string{"it is being deleted; deploy waits for that and recreates it"}
		return state, nil
	}
	if err := r.changeable(d); err != nil {
		return State{}, err
	}
	tags, err := r.tags(ctx)
	if err != nil {
		return State{}, err
	}
	state.Fields = r.compare(d)
	state.ownedBy(tags[desired.OwnerTag], r.s.Owner())
	state.Fields = append(state.Fields, tagFields(tags, r.s.StreamTags())...)
	state.Notes = r.notes(d)
	return state, nil
}

// Apply creates the stream, or changes what differs in its destination.
func (r *Stream) Apply(ctx context.Context, _ State, progress func(string)) error {
	d, err := r.settled(ctx, progress)
	if err != nil {
		return err
	}
	if d != nil && failed(d) {
		progress("deleting the stream first because its status is " + statusText(d))
		if err := r.delete(ctx, d, progress); err != nil {
			return err
		}
		d = nil
	}
	if d == nil {
		return r.create(ctx, progress)
	}
	// Tag first: if interrupted afterwards, the next run needs no flag.
	if err := setTags(ctx, r, r.s.StreamTags()); err != nil {
		return err
	}
	return r.updateDestination(ctx, progress)
}

// Destroy waits until buffered records are delivered, deletes the stream and waits until it is gone.
func (r *Stream) Destroy(ctx context.Context, found State, progress func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	d, err := r.described(ctx, progress, "waiting until it is ACTIVE, as Firehose requires before a deletion", func(d *types.DeliveryStreamDescription) bool {
		return d == nil || d.DeliveryStreamStatus != types.DeliveryStreamStatusCreating
	})
	if err != nil || d == nil {
		return "", err
	}
	did := "deleted"
	if d.DeliveryStreamStatus == types.DeliveryStreamStatusActive {
		if r.Drain > 0 {
			err = drain(ctx, max(r.Drain, heldBy(destinationOf(d))+drainMargin), progress)
		} else {
			did = "deleted at once: undelivered records are lost"
		}
		if err != nil {
			return "", err
		}
	}
	return did, r.delete(ctx, d, progress)
}

func drain(ctx context.Context, left time.Duration, progress func(string)) error {
	for ; left > 0; left -= drainStep {
		progress(fmt.Sprintf("waiting %s for its last records to reach the bucket", left))
		if err := retry.Sleep(ctx, min(left, drainStep)); err != nil {
			return err
		}
	}
	return nil
}

const (
	drainStep   = 10 * time.Second
	drainMargin = time.Minute
)

// heldBy returns how long a stream with this destination may buffer a record: for the function, and
// then for the object.
func heldBy(to *types.ExtendedS3DestinationDescription) time.Duration {
	held := HintsOf(to).Interval
	if p := to.ProcessingConfiguration; p != nil && aws.ToBool(p.Enabled) {
		for _, processor := range p.Processors {
			if processor.Type == types.ProcessorTypeLambda {
				held += FunctionHintsOf(processor.Parameters).Interval
			}
		}
	}
	return held
}

// describe returns the stream, or nil if it does not exist.
func (r *Stream) describe(ctx context.Context) (*types.DeliveryStreamDescription, error) {
	out, err := r.c.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name())})
	if awserr.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out.DeliveryStreamDescription, nil
}

// described waits until done accepts the stream, and returns it.
func (r *Stream) described(ctx context.Context, progress func(string), waiting string, done func(*types.DeliveryStreamDescription) bool) (*types.DeliveryStreamDescription, error) {
	for left := streamWait; ; left -= streamPoll {
		d, err := r.describe(ctx)
		if err != nil || done(d) {
			return d, err
		}
		if left <= 0 {
			return nil, fmt.Errorf("timed out after %s: status is still %s", streamWait, statusText(d))
		}
		progress(waiting)
		if err := retry.Sleep(ctx, streamPoll); err != nil {
			return nil, err
		}
	}
}

// settled waits until the stream is neither being created nor deleted, and returns it, or nil if it is gone.
func (r *Stream) settled(ctx context.Context, progress func(string)) (*types.DeliveryStreamDescription, error) {
	return r.described(ctx, progress, "waiting until it is ACTIVE or deleted", func(d *types.DeliveryStreamDescription) bool {
		return d == nil || d.DeliveryStreamStatus != types.DeliveryStreamStatusCreating && d.DeliveryStreamStatus != types.DeliveryStreamStatusDeleting
	})
}

func (r *Stream) create(ctx context.Context, progress func(string)) error {
	in := &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName:                 aws.String(r.Name()),
		DeliveryStreamType:                 types.DeliveryStreamTypeDirectPut,
		ExtendedS3DestinationConfiguration: r.want,
		Tags:                               firehoseTags(r.s.StreamTags()),
	}
	err := repeatWithRole(ctx, r.role, progress, func() error {
		_, err := r.c.CreateDeliveryStream(ctx, in)
		return err
	})
	if err != nil {
		return r.explainGrant(err)
	}
	d, err := r.described(ctx, progress, "waiting until it is ACTIVE", func(d *types.DeliveryStreamDescription) bool {
		return d != nil && d.DeliveryStreamStatus != types.DeliveryStreamStatusCreating
	})
	if err != nil {
		return err
	}
	if d.DeliveryStreamStatus != types.DeliveryStreamStatusActive {
		return fmt.Errorf("creation failed: %s; fix the cause and run `stagelog deploy` again, which first deletes the failed stream", statusText(d))
	}
	return nil
}

// updateDestination changes what differs in the destination. If another process changes it at the
// same time, the version differs and it compares again.
func (r *Stream) updateDestination(ctx context.Context, progress func(string)) error {
	var err error
	for range maxUpdates {
		var d *types.DeliveryStreamDescription
		if d, err = r.describe(ctx); err != nil {
			return err
		}
		if d == nil {
			return errDeletedByOther
		}
		update := r.update(d)
		if update == nil {
			return nil
		}
		if update.BucketARN != nil {
			if err := movePrevious(ctx, r.s, r.all, bucketOf(destinationOf(d)), progress); err != nil {
				return err
			}
		}
		err = repeatWithRole(ctx, r.role, progress, func() error {
			_, err := r.c.UpdateDestination(ctx, &firehose.UpdateDestinationInput{
				DeliveryStreamName:             aws.String(r.Name()),
				CurrentDeliveryStreamVersionId: d.VersionId,
				DestinationId:                  d.Destinations[0].DestinationId,
				ExtendedS3DestinationUpdate:    update,
			})
			return err
		})
		if !awserr.Is(err, "ConcurrentModificationException") {
			return r.explainGrant(err)
		}
	}
	return err
}

// explainGrant explains that the stream's role may not read the columns that Firehose converts records to.
func (r *Stream) explainGrant(err error) error {
	role := aws.ToString(r.want.RoleARN)
	return explainGrant(r.s, err, "the role "+role, role)
}

func (r *Stream) delete(ctx context.Context, d *types.DeliveryStreamDescription, progress func(string)) error {
	if d.DeliveryStreamStatus != types.DeliveryStreamStatusDeleting {
		in := &firehose.DeleteDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name())}
		if d.DeliveryStreamStatus == types.DeliveryStreamStatusDeletingFailed {
			in.AllowForceDelete = aws.Bool(true) // needed if the KMS key no longer exists
		}
		_, err := r.c.DeleteDeliveryStream(ctx, in)
		if err != nil && !awserr.NotFound(err) {
			return err
		}
	}
	last, err := r.described(ctx, progress, "waiting until it is deleted", func(d *types.DeliveryStreamDescription) bool {
		return d == nil || d.DeliveryStreamStatus == types.DeliveryStreamStatusDeletingFailed
	})
	if err == nil && last != nil {
		err = fmt.Errorf("deletion failed: %s", statusText(last))
	}
	return err
}

func firehoseTags(tags map[string]string) (all []types.Tag) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	return all
}

func (r *Stream) tag(ctx context.Context, tags map[string]string) error {
	_, err := r.c.TagDeliveryStream(ctx, &firehose.TagDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name()), Tags: firehoseTags(tags)})
	return err
}

func (r *Stream) untag(ctx context.Context, keys []string) error {
	_, err := r.c.UntagDeliveryStream(ctx, &firehose.UntagDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name()), TagKeys: keys})
	return err
}

// owner returns the value of desired.OwnerTag, "" if it is not set.
func (r *Stream) owner(ctx context.Context) (string, error) {
	tags, err := r.tags(ctx)
	return tags[desired.OwnerTag], err
}

// tags returns the stream's tags.
func (r *Stream) tags(ctx context.Context) (map[string]string, error) {
	in := &firehose.ListTagsForDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name()), Limit: aws.Int32(maxStreamTags)}
	out, err := r.c.ListTagsForDeliveryStream(ctx, in)
	if err != nil {
		return nil, err
	}
	return tagsOf(out.Tags), nil
}

// maxStreamTags is Firehose's limit.
const maxStreamTags = 50

func tagsOf(all []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, t := range all {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags
}

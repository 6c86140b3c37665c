package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Stream is the delivery stream.
type Stream struct {
	// Drain is how long Destroy waits before it deletes the stream: Firehose discards what a
	// stream holds when it is deleted. By default it is as long as the stream may hold a
	// record, and a minute more; where the stream that is there holds records longer than
	// stagelog.yaml says by now, it is as long as that. 0 deletes at once.
	Drain time.Duration

	s    *desired.Spec
	want *types.ExtendedS3DestinationConfiguration
	c    *firehose.Client
	all  *Clients
}

func newStream(d *desired.Resources, c *Clients) *Stream {
	held := d.Spec.Pipeline.Deliver.Interval + d.Spec.FunctionInterval()
	return &Stream{Drain: held + drainMargin, s: d.Spec, want: d.Destination, c: c.Firehose, all: c}
}

// Kind is "Firehose delivery stream".
func (r *Stream) Kind() string { return "Firehose delivery stream" }

// Name is the stream's name.
func (r *Stream) Name() string { return r.s.Stream() }

const (
	streamPoll = 2 * time.Second  // Firehose has 5 control calls a second for an account
	streamWait = 10 * time.Minute // a stream is ready, or gone, within one or two

	maxUpdates = 3 // of one destination that others change at the same time
)

// Read compares the stream. A stream that is being deleted exists and belongs to nobody.
func (r *Stream) Read(ctx context.Context) (State, error) {
	d, err := r.describe(ctx)
	if err != nil {
		return State{}, err
	}
	if d == nil {
		return State{Fields: append(r.compare(nil), Field{Name: "tag " + desired.OwnerTag, Want: r.s.Owner()})}, nil
	}
	state := State{Exists: true}
	if d.DeliveryStreamStatus == types.DeliveryStreamStatusDeleting {
		state.Fields = []Field{statusField(d)}
		state.Notes = []string{"it is being deleted; deploy waits until it is gone, and makes it again"}
		return state, nil
	}
	if err := r.changeable(d); err != nil {
		return State{}, err
	}
	owner, err := r.owner(ctx)
	if err != nil {
		return State{}, err
	}
	state.Fields = r.compare(d)
	state.ownedBy(owner, r.s.Owner())
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
		progress("deleting the stream first, as it is " + statusText(d))
		if err := r.delete(ctx, d, progress); err != nil {
			return err
		}
		d = nil
	}
	if d == nil {
		return r.create(ctx, progress)
	}
	// The tag comes first: stopped after it, the next run requires no flag.
	if err := r.tag(ctx); err != nil {
		return err
	}
	return r.mend(ctx, progress)
}

// Destroy waits for what the stream holds to be delivered, deletes it and waits until it is
// gone.
func (r *Stream) Destroy(ctx context.Context, found State, progress func(string)) (string, error) {
	if !found.Exists || found.RequiredFlag != NoFlag {
		return "", nil
	}
	d, err := r.described(ctx, progress, "waiting until it is ACTIVE: Firehose deletes none before", func(d *types.DeliveryStreamDescription) bool {
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
			did = "deleted at once: what it had not delivered yet is lost"
		}
		if err != nil {
			return "", err
		}
	}
	return did, r.delete(ctx, d, progress)
}

func drain(ctx context.Context, left time.Duration, progress func(string)) error {
	for ; left > 0; left -= drainStep {
		progress(fmt.Sprintf("%s more, for what it holds to reach the bucket", left))
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

// heldBy is how long a stream with this destination may hold a record: for the function, and then
// for the object.
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

// describe is the stream as it is, or nil where there is none.
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

// described waits until the stream is as it should be.
func (r *Stream) described(ctx context.Context, progress func(string), waiting string, done func(*types.DeliveryStreamDescription) bool) (*types.DeliveryStreamDescription, error) {
	for left := streamWait; ; left -= streamPoll {
		d, err := r.describe(ctx)
		if err != nil || done(d) {
			return d, err
		}
		if left <= 0 {
			return nil, fmt.Errorf("it is still %s after %s", statusText(d), streamWait)
		}
		progress(waiting)
		if err := retry.Sleep(ctx, streamPoll); err != nil {
			return nil, err
		}
	}
}

// settled is the stream once it is neither being made nor being deleted; nil when it is gone.
func (r *Stream) settled(ctx context.Context, progress func(string)) (*types.DeliveryStreamDescription, error) {
	return r.described(ctx, progress, "waiting until it is ACTIVE, or gone", func(d *types.DeliveryStreamDescription) bool {
		return d == nil || d.DeliveryStreamStatus != types.DeliveryStreamStatusCreating && d.DeliveryStreamStatus != types.DeliveryStreamStatusDeleting
	})
}

func (r *Stream) create(ctx context.Context, progress func(string)) error {
	in := &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName:                 aws.String(r.Name()),
		DeliveryStreamType:                 types.DeliveryStreamTypeDirectPut,
		ExtendedS3DestinationConfiguration: r.want,
		Tags:                               r.tags(),
	}
	err := repeatWhile(ctx, awserr.RoleNotReady, progress, func() error {
		_, err := r.c.CreateDeliveryStream(ctx, in)
		return err
	})
	if err != nil {
		return err
	}
	d, err := r.described(ctx, progress, "waiting until it is ACTIVE", func(d *types.DeliveryStreamDescription) bool {
		return d != nil && d.DeliveryStreamStatus != types.DeliveryStreamStatusCreating
	})
	if err != nil {
		return err
	}
	if d.DeliveryStreamStatus != types.DeliveryStreamStatusActive {
		return fmt.Errorf("Firehose could not make it: %s; mend the cause and run `stagelog deploy` again, which deletes what is left of it first", statusText(d)) //lint:ignore ST1005 a name
	}
	return nil
}

// mend changes what differs in the destination. Another's change in between is seen by the
// version, and compared with again.
func (r *Stream) mend(ctx context.Context, progress func(string)) error {
	var err error
	for range maxUpdates {
		var d *types.DeliveryStreamDescription
		if d, err = r.describe(ctx); err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("it was deleted meanwhile: %w", ErrChanged)
		}
		update := r.update(d)
		if update == nil {
			return nil
		}
		if update.BucketARN != nil {
			if err := movePrevious(ctx, r.s, r.all, bucketOf(destinationOf(d))); err != nil {
				return err
			}
		}
		err = repeatWhile(ctx, awserr.RoleNotReady, progress, func() error {
			_, err := r.c.UpdateDestination(ctx, &firehose.UpdateDestinationInput{
				DeliveryStreamName:             aws.String(r.Name()),
				CurrentDeliveryStreamVersionId: d.VersionId,
				DestinationId:                  d.Destinations[0].DestinationId,
				ExtendedS3DestinationUpdate:    update,
			})
			return err
		})
		if !awserr.Is(err, "ConcurrentModificationException") {
			return err
		}
	}
	return err
}

func (r *Stream) delete(ctx context.Context, d *types.DeliveryStreamDescription, progress func(string)) error {
	if d.DeliveryStreamStatus != types.DeliveryStreamStatusDeleting {
		in := &firehose.DeleteDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name())}
		if d.DeliveryStreamStatus == types.DeliveryStreamStatusDeletingFailed {
			in.AllowForceDelete = aws.Bool(true) // a grant of a KMS key that is gone cannot be retired
		}
		_, err := r.c.DeleteDeliveryStream(ctx, in)
		if err != nil && !awserr.NotFound(err) {
			return err
		}
	}
	last, err := r.described(ctx, progress, "waiting until it is gone", func(d *types.DeliveryStreamDescription) bool {
		return d == nil || d.DeliveryStreamStatus == types.DeliveryStreamStatusDeletingFailed
	})
	if err == nil && last != nil {
		err = fmt.Errorf("Firehose could not delete it: %s", statusText(last)) //lint:ignore ST1005 a name
	}
	return err
}

func (r *Stream) tags() []types.Tag {
	return []types.Tag{{Key: aws.String(desired.OwnerTag), Value: aws.String(r.s.Owner())}}
}

func (r *Stream) tag(ctx context.Context) error {
	owner, err := r.owner(ctx)
	if err != nil || owner == r.s.Owner() {
		return err
	}
	_, err = r.c.TagDeliveryStream(ctx, &firehose.TagDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name()), Tags: r.tags()})
	return err
}

// owner is the desired.OwnerTag's value; "" where there is none.
func (r *Stream) owner(ctx context.Context) (string, error) {
	in := &firehose.ListTagsForDeliveryStreamInput{DeliveryStreamName: aws.String(r.Name()), Limit: aws.Int32(50)} // a stream has no more
	out, err := r.c.ListTagsForDeliveryStream(ctx, in)
	if err != nil {
		return "", err
	}
	for _, t := range out.Tags {
		if aws.ToString(t.Key) == desired.OwnerTag {
			return aws.ToString(t.Value), nil
		}
	}
	return "", nil
}

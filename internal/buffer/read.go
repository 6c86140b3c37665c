package buffer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stagelog/stagelog/internal/record"
)

// readAheadBytes is how much of a log one reader holds in memory.
const readAheadBytes = 4 * record.MaxFrameBytes

// Read calls fn with each frame from sequence from on, in order and without gaps other
// than trimmed frames, waiting for new ones, until ctx ends or fn returns an error, which
// is returned as it is. When no frame came for a tick, fn is called with a nil frame, so
// that the caller can cut by age. The frame is valid only during fn.
func (l *Log) Read(ctx context.Context, from uint64, tick time.Duration, fn func(seq uint64, frame []byte) error) error {
	next := max(from, 1)
	consumer, err := l.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   next,
		ReplayPolicy:  jetstream.ReplayInstantPolicy,
	})
	if err != nil {
		return fmt.Errorf("read %s from %d: %w", l.name, from, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(readAheadBytes))
	if err != nil {
		return fmt.Errorf("read %s from %d: %w", l.name, from, err)
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(tick))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrTimeout):
			if err := fn(0, nil); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("read %s at %d: %w", l.name, next, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read %s at %d: %w", l.name, next, err)
		}
		seq := meta.Sequence.Stream
		if seq < next {
			continue // the consumer was set up again and repeats
		}
		next = seq + 1
		if err := fn(seq, msg.Data()); err != nil {
			return err
		}
	}
}

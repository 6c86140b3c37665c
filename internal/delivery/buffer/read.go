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

const (
	// readAheadBytes is how much of a log one reader holds in memory.
	readAheadBytes = 4 * record.MaxFrameBytes
	// stallCheck is how long nothing comes before a reader asks whether there is something.
	// A consumer dies with the server that holds it, and nobody tells its reader.
	stallCheck = time.Second
	// consumerIdle is after how long a server forgets a consumer whose reader is gone.
	consumerIdle = time.Minute
)

// errConsumer: the consumer is of no use any more, and a new one may be.
var errConsumer = errors.New("the consumer is gone")

// Read calls fn with each frame from sequence from on, in order and without gaps other
// than trimmed frames, waiting for new ones, until ctx ends or fn returns an error, which
// is returned as it is. When no frame came for a tick, fn is called with a nil frame, so
// that the caller can cut by age. The frame is valid only during fn.
func (l *Log) Read(ctx context.Context, from uint64, tick time.Duration, fn func(seq uint64, frame []byte) error) error {
	next := max(from, 1)
	for failed := false; ; {
		began := next
		err := l.consume(ctx, &next, tick, fn)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errConsumer):
			return err
		case failed && next == began:
			return fmt.Errorf("read %s at %d: %w", l.name, next, err)
		}
		failed = next == began
		l.b.logger.Warn("reading goes on with a new consumer", "log", l.name, "at", next, "error", err)
	}
}

// consume reads from *next on with one consumer. It wraps errConsumer when another one may
// do better.
func (l *Log) consume(ctx context.Context, next *uint64, tick time.Duration, fn func(uint64, []byte) error) error {
	messages, err := l.consumer(ctx, *next)
	if err != nil {
		return fmt.Errorf("read %s from %d: %w", l.name, *next, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	ticked := time.Now()
	watch := stallWatch{log: l, since: ticked}
	for delivered := uint64(0); ; {
		msg, err := messages.Next(jetstream.NextMaxWait(min(tick, stallCheck)))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrTimeout):
			if err := watch.idle(ctx, *next); err != nil {
				return err
			}
			if now := time.Now(); now.Sub(ticked) >= tick {
				ticked = now
				if err := fn(0, nil); err != nil {
					return err
				}
			}
			continue
		case err != nil:
			return fmt.Errorf("%w: %w", errConsumer, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read %s at %d: %w", l.name, *next, err)
		}
		if delivered++; meta.Sequence.Consumer != delivered {
			return fmt.Errorf("%w: message %d came as its number %d", errConsumer, delivered, meta.Sequence.Consumer)
		}
		seq := meta.Sequence.Stream
		*next = seq + 1
		if err := fn(seq, msg.Data()); err != nil {
			return err
		}
		ticked = time.Now()
		watch.since = ticked
	}
}

// consumer makes a consumer that nobody has to delete. It is in one server's memory.
func (l *Log) consumer(ctx context.Context, from uint64) (messages jetstream.MessagesContext, err error) {
	err = l.b.do(ctx, func(ctx context.Context) error {
		c, err := l.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:       from,
			AckPolicy:         jetstream.AckNonePolicy,
			ReplayPolicy:      jetstream.ReplayInstantPolicy,
			InactiveThreshold: consumerIdle,
			MemoryStorage:     true,
			Replicas:          1,
		})
		if err != nil {
			return err
		}
		messages, err = c.Messages(jetstream.PullMaxBytes(readAheadBytes))
		return err
	})
	return messages, err
}

// stallWatch finds out that a consumer delivers nothing though the log has more.
type stallWatch struct {
	log   *Log
	since time.Time // nothing came, or the log was asked, at this time
	owed  uint64    // what stood in the log then and had not come; 0 is nothing
}

// idle is called when nothing came for a tick, and next is what the reader waits for.
func (w *stallWatch) idle(ctx context.Context, next uint64) error {
	if time.Since(w.since) < stallCheck {
		return nil
	}
	owed := w.owed
	w.owed = 0
	if s, err := w.log.Stats(ctx); err != nil {
		w.log.b.logger.Debug("a reader cannot ask for more", "log", w.log.name, "error", err)
	} else if s.Last >= next {
		w.owed = next
	}
	w.since = time.Now()
	if w.owed != 0 && w.owed == owed {
		return fmt.Errorf("%w: frame %d stands in the log and does not come", errConsumer, next)
	}
	return nil
}

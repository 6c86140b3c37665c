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
	// readAheadBytes limits how much of a log one reader holds in memory.
	readAheadBytes = 4 * record.MaxFrameBytes
	// stallCheck is how long a reader waits for a frame before it checks the log for more. A
	// consumer dies with the server that holds it, and its reader is not notified.
	stallCheck = time.Second
	// consumerIdle is when a server deletes a consumer without a reader.
	consumerIdle = time.Minute
)

// errConsumer marks the failure of a consumer; a new one may work.
var errConsumer = errors.New("consumer no longer exists")

// Read calls fn with each frame, in order, starting at sequence from, and waits for new ones. Only
// trimmed frames are skipped. It returns when ctx ends, or with fn's error unchanged. If no frame
// arrived during a tick, fn is called with a nil frame, so that the caller can close a flush by
// age. The frame is valid only during fn. The error wraps record.ErrReplaced if the newest frame that
// was read is no longer in the log, which happens when a server of a cluster lost its disk.
func (l *Log) Read(ctx context.Context, from uint64, tick time.Duration, fn func(seq uint64, frame []byte) error) error {
	next := max(from, 1)
	sum := uint32(0) // of the frame next-1, if it was read
	for failed := false; ; {
		began := next
		if err := l.same(ctx, next-1, sum); err != nil {
			return err
		}
		err := l.consume(ctx, &next, tick, func(seq uint64, frame []byte) error {
			if frame != nil {
				sum = record.FrameSum(frame)
			}
			return fn(seq, frame)
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errConsumer):
			return err
		case failed && next == began:
			return fmt.Errorf("read %s at %d: %w", l.name, next, err)
		}
		failed = next == began
		l.logger.Warn("consumer failed; reading continues with a new one", "sequence", next, "error", err)
	}
}

// same returns an error that wraps record.ErrReplaced unless the log has the frame seq with that sum. A sum
// of 0 is not compared.
func (l *Log) same(ctx context.Context, seq uint64, sum uint32) error {
	if sum == 0 {
		return nil
	}
	frame, err := l.Frame(ctx, seq)
	if errors.Is(err, record.ErrNotFound) || err == nil && record.FrameSum(frame) != sum {
		return fmt.Errorf("read %s: frame %d is another one now, or missing: %w", l.name, seq, record.ErrReplaced)
	}
	return err
}

// consume reads starting at *next with one consumer. The error wraps errConsumer if a new
// consumer may work.
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
			return fmt.Errorf("%w: expected message %d, received %d", errConsumer, delivered, meta.Sequence.Consumer)
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

// consumer creates a consumer that expires by itself. It is in one server's memory.
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

// stallWatch detects a consumer that delivers nothing although the log has more.
type stallWatch struct {
	log   *Log
	since time.Time // last frame, or last check of the log
	owed  uint64    // sequence that was overdue at that time; 0 means none
}

// idle checks for a stall. It is called when nothing arrived for a while; next is the expected sequence.
func (w *stallWatch) idle(ctx context.Context, next uint64) error {
	if time.Since(w.since) < stallCheck {
		return nil
	}
	owed := w.owed
	w.owed = 0
	if s, err := w.log.Stats(ctx); err != nil {
		w.log.logger.Debug("stall check failed", "error", err)
	} else if s.Last >= next {
		w.owed = next
	} else if s.Last+1 < next {
		return fmt.Errorf("%w: the log ends at %d, and %d is next", errConsumer, s.Last, next)
	}
	w.since = time.Now()
	if w.owed != 0 && w.owed == owed {
		return fmt.Errorf("%w: frame %d is in the log but not delivered", errConsumer, next)
	}
	return nil
}

package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// tick is the interval between calls of idle while no frame arrives.
const tick = 200 * time.Millisecond

// errEnd stops reading after the last frame of a range.
var errEnd = errors.New("end of the range")

// reader gathers frames into calls, in order.
type reader struct {
	w     *Worker
	pipe  *pipe
	until uint64 // 0 means no end
	next  uint64 // expected sequence

	passed uint64             // the frames before it were passed on; those from here to next are lost
	batch  record.Batch       // reused buffer
	open   *call              // being gathered, or nil
	since  time.Time          // when open was started
	dest   *cachedDestination // at that time
}

// run reads from sequence from, up to until if that is not 0.
func (r *reader) run(ctx context.Context, from uint64) error {
	defer close(r.pipe.work)
	r.next, r.passed = from, from
	err := r.w.log.Read(ctx, from, tick, func(seq uint64, frame []byte) error {
		if frame == nil {
			return r.idle(ctx)
		}
		return r.frame(ctx, seq, frame)
	})
	switch {
	case errors.Is(err, errEnd):
		return nil
	case errors.Is(err, record.ErrReplaced):
		// What was read may exist nowhere else; it is delivered before the session looks at the log again.
		r.w.logger.Error("the log lost frames that were read; delivering those first", "next", r.next, "error", err)
		if err := r.end(ctx); !errors.Is(err, errEnd) {
			return err
		}
		return nil
	case err == nil:
		return errors.New("read frames: the log ended")
	}
	return fmt.Errorf("read frames: %w", err)
}

// idle sends gathered records that are due, and a tick. It is called while no frame arrives.
func (r *reader) idle(ctx context.Context) error {
	if err := r.passLost(ctx); err != nil {
		return err
	}
	if err := r.passRequests(ctx); err != nil {
		return err
	}
	if r.open != nil && r.w.now().Sub(r.since) >= r.dest.FunctionInterval {
		if err := r.send(ctx); err != nil {
			return err
		}
	}
	return r.signal(ctx, callTick, nil)
}

// frame processes one frame.
func (r *reader) frame(ctx context.Context, seq uint64, frame []byte) error {
	if r.until != 0 && seq > r.until {
		r.next = r.until + 1
		return r.end(ctx)
	}
	if record.IsLostFrame(frame) {
		r.next = seq + 1 // passed on together with those around it
	} else if err := r.whole(ctx, seq, frame); err != nil {
		return err
	}
	if seq == r.until {
		return r.end(ctx)
	}
	return r.passRequests(ctx)
}

// whole processes a frame that is not lost, after those before it that are.
func (r *reader) whole(ctx context.Context, seq uint64, frame []byte) error {
	r.next = seq
	if err := r.passLost(ctx); err != nil {
		return err
	}
	r.next, r.passed = seq+1, seq+1
	if err := r.batch.Parse(frame); err != nil {
		r.w.logger.Error("stored frame is unreadable; writing it unchanged to the error output", "sequence", seq, "error", err)
		return r.corrupt(ctx, seq, frame)
	}
	sum := record.FrameSum(frame)
	r.w.seen = place{seq, sum, r.w.epoch}
	return r.take(ctx, seq, sum)
}

// take adds the parsed frame to the open call.
func (r *reader) take(ctx context.Context, seq uint64, sum uint32) error {
	for i, rec := range r.batch.Records {
		if r.open != nil && r.dest.FunctionBytes > 0 && len(r.open.records) > 0 &&
			int64(len(r.open.buf)+len(rec)) > r.dest.FunctionBytes {
			if err := r.send(ctx); err != nil {
				return err
			}
		}
		if err := r.begin(ctx); err != nil {
			return err
		}
		r.open.add(seq, r.batch.Arrived, i, rec)
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	r.open.frameEnds(seq, r.batch.Arrived, sum, false)
	if r.dest.FunctionBytes <= 0 || r.dest.FunctionARN == "" || r.w.now().Sub(r.since) >= r.dest.FunctionInterval {
		return r.send(ctx)
	}
	return nil
}

// corrupt sends an unreadable frame in a call of its own.
func (r *reader) corrupt(ctx context.Context, seq uint64, frame []byte) error {
	if err := r.send(ctx); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	now := r.w.now()
	r.open.kind = callCorrupt
	r.open.add(seq, now, 0, frame)
	r.open.frameEnds(seq, now, record.FrameSum(frame), false)
	return r.send(ctx)
}

// passLost reports the lost frames before next, if there are any, and passes them on as one frame
// without records.
// They are reported first, so that a crash cannot hide them. The frames of a pending flush are not
// reported, because its objects may contain them: see Worker.settle.
func (r *reader) passLost(ctx context.Context) error {
	first, last := r.passed, r.next-1
	if last < first {
		return nil
	}
	r.passed = r.next
	if r.until == 0 {
		n, known := r.w.log.Records(first, last)
		if !known {
			n = Unknown
		}
		if err := r.w.report(ctx, Fault{Kind: Lost, First: first, Last: last, Records: n}); err != nil {
			return err
		}
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	r.open.frameEnds(last, r.w.now(), record.FrameSum(nil), true)
	return r.send(ctx)
}

// begin opens a call unless one is open.
func (r *reader) begin(ctx context.Context) error {
	if r.open != nil {
		return nil
	}
	c, err := r.pipe.take(ctx)
	if err != nil {
		return err
	}
	r.open, r.since = c, r.w.now()
	r.dest = r.w.destination(r.since)
	c.functionARN, c.streamARN, c.retries = r.dest.FunctionARN, r.dest.StreamARN, r.dest.Retries
	return nil
}

// send passes the open call to the function and the collector.
func (r *reader) send(ctx context.Context) error {
	c := r.open
	if c == nil {
		return nil
	}
	r.open = nil
	if c.kind == callRecords && c.functionARN != "" && len(c.records) > 0 {
		if err := give(ctx, r.pipe.work, c); err != nil {
			return err
		}
	} else {
		c.pass(r.w.now())
	}
	return give(ctx, r.pipe.order, c)
}

// passRequests sends the flush requests whose last frame has been read.
func (r *reader) passRequests(ctx context.Context) error {
	if r.until != 0 {
		return nil // the range ends in a flush anyway
	}
	due := r.w.requests.take(func(f *flushRequest) bool { return r.next > f.last })
	if len(due) == 0 {
		return nil
	}
	if err := errors.Join(r.passLost(ctx), r.send(ctx)); err != nil {
		return err
	}
	return r.signal(ctx, callFlush, due)
}

func (r *reader) end(ctx context.Context) error {
	if err := errors.Join(r.passLost(ctx), r.send(ctx)); err != nil {
		return err
	}
	if err := r.signal(ctx, callEnd, nil); err != nil {
		return err
	}
	return errEnd
}

// signal sends a call without records to the collector.
func (r *reader) signal(ctx context.Context, kind callKind, requests []*flushRequest) error {
	return give(ctx, r.pipe.order, &call{kind: kind, requests: requests})
}

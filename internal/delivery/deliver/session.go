package deliver

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagelog/stagelog/internal/record"
)

// session takes over the delivery state, finishes the pending flush, and continues from there. It
// begins by comparing the state with the log, and does so again whenever the log was replaced.
func (w *Worker) session(ctx context.Context) error {
	w.collecting.Store(0)
	w.delivering.Store(0)
	st, err := take(ctx, w.store, stateKey(w.stream, w.cfg.Shard), w.owner, w.stateFailures)
	if err != nil {
		return err
	}
	w.epoch = st.doc.Epoch
	for {
		if err := w.compare(ctx, st); err != nil {
			return fmt.Errorf("compare the delivery state with the log: %w", err)
		}
		w.epoch = st.doc.Epoch
		w.done.Store(st.doc.Delivered)
		if st.doc.Pending == nil {
			err = w.pump(ctx, st, st.doc.Delivered+1, 0)
		} else if err = w.finish(ctx, st); err != nil {
			err = fmt.Errorf("finish the pending flush: %w", err)
		}
		if err != nil {
			return err
		}
	}
}

// compare makes sure that the delivery state is about this log: otherwise everything that the log
// holds up to Delivered would be skipped.
func (w *Worker) compare(ctx context.Context, st *state) error {
	first, last, err := w.log.Range(ctx)
	if err != nil {
		return err
	}
	first = max(first, 1) // it is 0 in a log that nothing was appended to
	doc := st.doc
	gone, err := w.gone(ctx, first, last)
	if err != nil {
		return err
	}
	if st.missing {
		st.missing = false
		if gone {
			return w.replaced(ctx, st, first, w.done.Load())
		}
		if last == 0 {
			return st.write(ctx, doc)
		}
		n, known := w.log.Records(first, last)
		if !known {
			n = Unknown
		}
		if err := w.report(ctx, Fault{Kind: Repeated, First: first, Last: last, Records: n}); err != nil {
			return err
		}
		return w.restart(ctx, st, first)
	}
	same, err := w.same(ctx, doc, first, last)
	if err != nil {
		return err
	}
	if same && !w.proven && doc.Pending == nil && doc.Epoch == w.seen.epoch {
		same = !gone
	}
	if same {
		if doc.Sum != 0 || last == 0 {
			return nil
		}
		doc.Known = max(first, doc.Delivered)
		if doc.Sum, err = w.sum(ctx, doc.Known); err != nil || doc.Sum == 0 {
			return err
		}
		return st.write(ctx, doc)
	}
	return w.replaced(ctx, st, first, doc.Delivered)
}

// replaced reports that the log is another one than that of which the frames up to delivered were delivered.
func (w *Worker) replaced(ctx context.Context, st *state, first, delivered uint64) error {
	if err := w.report(ctx, Fault{Kind: Replaced, First: first, Last: delivered, Records: Unknown}); err != nil {
		return err
	}
	w.seen = place{}
	return w.restart(ctx, st, first)
}

// gone reports whether the log does not have the newest frame that this worker has read.
func (w *Worker) gone(ctx context.Context, first, last uint64) (bool, error) {
	if first > w.seen.seq { // it was trimmed, as a new log begins at 1; or none was read
		return false, nil
	}
	if last < w.seen.seq {
		return true, nil
	}
	sum, err := w.sum(ctx, w.seen.seq)
	return sum != w.seen.sum, err
}

// restart makes delivery begin with the log's first frame.
func (w *Worker) restart(ctx context.Context, st *state, first uint64) error {
	sum, err := w.sum(ctx, first)
	if err != nil {
		return err
	}
	return st.restart(ctx, first-1, first, sum)
}

// sum returns the sum of a frame, or 0 if it is missing.
func (w *Worker) sum(ctx context.Context, seq uint64) (uint32, error) {
	frame, err := w.log.Frame(ctx, seq)
	if errors.Is(err, record.ErrNotFound) {
		return 0, nil
	}
	return record.FrameSum(frame), err
}

// same reports whether the log is the one that the document is about. It sets proven if Known is there.
func (w *Worker) same(ctx context.Context, doc document, first, last uint64) (bool, error) {
	w.proven = false
	if last < max(doc.Delivered, doc.Known) {
		return false, nil
	}
	if doc.Sum == 0 {
		return true, nil // nothing was delivered, or by an earlier version
	}
	frame, err := w.log.Frame(ctx, doc.Known)
	if errors.Is(err, record.ErrNotFound) {
		// A new log begins at 1, so only the same one can begin after Known.
		return first > doc.Known, nil
	}
	if err != nil {
		return false, err
	}
	w.proven = record.FrameSum(frame) == doc.Sum
	return w.proven || record.IsLostFrame(frame), nil
}

// finish finishes the pending flush.
func (w *Worker) finish(ctx context.Context, st *state) error {
	in := st.doc.Pending
	_, last, err := w.log.Range(ctx)
	if err != nil {
		return err
	}
	w.logger.Info("found a pending flush from an earlier run; finishing it first", "first", in.First, "last", in.Last, "objects", len(in.Objects))
	lost := last < in.Last
	if !lost {
		err := w.pump(ctx, st, in.First, in.Last)
		var changed *changedFlush
		if !errors.As(err, &changed) {
			return err
		}
		lost = changed.lost
	}
	return w.settle(ctx, st, min(in.Last, last), lost)
}

// settle ends a pending flush whose frames are no longer all there, or no longer the same. The bucket
// may hold its objects with the records of the lost frames, so they are not written again.
//
// If frames are lost and every object is there, the flush is delivered, up to the newest frame, unless it
// may be another log.
// Otherwise the frames that are there are delivered into other objects.
func (w *Worker) settle(ctx context.Context, st *state, last uint64, lost bool) error {
	in, found := st.doc.Pending, 0
	for _, t := range in.Objects {
		if err := untilDone(ctx, w.putFailures, func() error {
			exists, err := w.sink.Exists(ctx, t.Bucket, t.Key)
			if exists {
				found++
			}
			return err
		}); err != nil {
			return err
		}
	}
	w.logger.Error("frames of a pending flush were lost or replaced", "first", in.First, "last", in.Last, "objects", len(in.Objects), "stored", found)
	if lost && found == len(in.Objects) && w.proven {
		sum, err := w.sum(ctx, last)
		if err != nil {
			return err
		}
		return st.restart(ctx, last, last, sum)
	}
	if found > 0 {
		if err := w.report(ctx, Fault{Kind: Repeated, First: in.First, Last: in.Last, Records: Unknown}); err != nil {
			return err
		}
	}
	return st.restart(ctx, st.doc.Delivered, st.doc.Known, st.doc.Sum)
}

// report reports a fault of this shard. It returns once the fault is stored, or with an error if ctx ends.
func (w *Worker) report(ctx context.Context, f Fault) error {
	f.Found, f.Stream, f.Shard = w.now().UTC(), w.stream, w.cfg.Shard
	return untilDone(ctx, w.stateFailures, func() error { return w.cfg.Faults.Report(ctx, f, w.epoch) })
}

package deliver

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/durable/failpoint"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// parallelPuts is the number of objects of one flush that are put in parallel.
	parallelPuts = 4
	// putTimeout limits a put, plus one second for each putBytesPerSecond of its size, so that a
	// put that hangs does not block the stream.
	putTimeout        = time.Minute
	putBytesPerSecond = 1 << 20
)

// deliverer puts flushes into the bucket, one at a time.
type deliverer struct {
	w     *Worker
	state *state
}

func (d *deliverer) run(ctx context.Context, flushes <-chan *flush) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f, ok := <-flushes:
			if !ok {
				return nil
			}
			err := d.deliver(ctx, f)
			f.release()
			if err != nil {
				return err
			}
		}
	}
}

// deliver delivers one flush: it records the pending flush, puts the objects, commits, and trims the log.
func (d *deliverer) deliver(ctx context.Context, f *flush) error {
	if f.last != 0 {
		if d.state.doc.Pending.changed(f) {
			return &changedFlush{f.lost}
		}
		if !f.oldest.IsZero() {
			d.w.delivering.Store(f.oldest.UnixMilli())
			defer d.w.delivering.Store(0)
		}
		failpoint.At(failpoint.Collected)
		if err := d.put(ctx, f); err != nil {
			return err
		}
		failpoint.At(failpoint.PutAll)
		if err := d.state.commit(ctx, f.last, f.lastSum); err != nil {
			return err
		}
		failpoint.At(failpoint.Committed)
		d.w.delivered(f)
		// A failed trim only delays freeing space: the next one covers this range too.
		if err := d.w.log.Trim(ctx, f.last); err != nil && ctx.Err() == nil {
			d.w.trimFailures.Failed(err)
		} else if err == nil {
			d.w.trimFailures.Worked()
			failpoint.At(failpoint.Trimmed)
		}
	}
	d.w.requests.fulfilled(f.requests)
	return nil
}

// changed reports whether f, with the frames of the pending flush, does not have the frames for which that
// was recorded.
func (p *pendingFlush) changed(f *flush) bool {
	switch {
	case p == nil:
		return false
	case p.Sum == 0: // recorded by an earlier version
		return f.lost
	}
	return p.Sum != f.sum
}

// changedFlush is the error of a pending flush that cannot be finished, because its frames are not
// those for which it was recorded.
type changedFlush struct{ lost bool } // storage has lost some of them

// Error describes the error.
func (e *changedFlush) Error() string { return "the frames of the pending flush have changed" }

// put records the pending flush, unless it is recorded already, and puts its objects.
func (d *deliverer) put(ctx context.Context, f *flush) error {
	in, changed := d.plan(f)
	if len(in.Objects) == 0 {
		return nil
	}
	if changed {
		if err := d.state.decide(ctx, f, in); err != nil {
			return err
		}
		failpoint.At(failpoint.Decided)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelPuts)
	for _, t := range in.Objects {
		group.Go(func() error { return d.putObject(ctx, f, t) })
	}
	return group.Wait()
}

// plan returns the pending flush of f and reports whether it must be written: not if the recorded
// one names every object.
func (d *deliverer) plan(f *flush) (in *pendingFlush, changed bool) {
	in = &pendingFlush{
		First: f.first, Last: f.last, Sum: f.sum,
		Decided: d.w.now().UTC(), Conversion: f.dest.Conversion,
	}
	if pending := d.state.doc.Pending; pending != nil {
		in.Decided, in.Objects = pending.Decided, pending.Objects[:len(pending.Objects):len(pending.Objects)]
	}
	for _, o := range f.order {
		if _, ok := f.targets[o.part]; !ok {
			in.Objects = append(in.Objects, f.target(o, d.w.cfg.Shard, d.state.doc.Epoch))
			changed = true
		}
	}
	return in, changed
}

// target returns bucket, key and compression of a new object.
func (f *flush) target(o *object, shard int, epoch string) target {
	t := target{Part: o.part, Bucket: f.dest.Bucket, Compression: o.compression}
	prefix, dest := f.failed, f.dest
	switch o.kind {
	case kindData:
		prefix = f.good
	case kindSource:
		prefix, t.Bucket = f.source, f.dest.Backup.Bucket
		dest.FileExtension = "" // backups always have their compression's extension
	}
	t.Key = o.name(dest, objectkey.Origin{Shard: shard, Epoch: epoch, First: f.first, Last: f.last}, prefix)
	return t
}

// putObject puts one object of the pending flush and retries until it succeeds. An object that no
// longer has records is put empty: see document.
func (d *deliverer) putObject(ctx context.Context, f *flush, t target) error {
	o := f.objects[t.Part]
	if o == nil {
		var err error
		if o, err = f.mem.object("", t.Part, t.Compression, f.convert, false); err != nil {
			return err
		}
		defer f.mem.release(o)
		if err := o.close(); err != nil {
			return err
		}
	}
	_, encoding := objectkey.Extension(t.Compression, "")
	meta := record.Meta{ContentType: objectkey.ContentType, ContentEncoding: encoding}
	return f.mem.body(o, func(body io.ReadSeeker, size int64) error {
		meta.Size = size
		return untilDone(ctx, d.w.putFailures, func() error {
			if _, err := body.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("rewind object %s: %w", t.Key, err)
			}
			limit := putTimeout + time.Duration(size/putBytesPerSecond)*time.Second
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			if err := d.w.sink.Put(ctx, t.Bucket, t.Key, body, meta); err != nil {
				d.w.cfg.Metrics.putFailures.WithLabelValues(d.w.stream).Inc()
				return fmt.Errorf("put object %s into bucket %s: %w", t.Key, t.Bucket, err)
			}
			failpoint.At(failpoint.PutOne)
			d.w.put(o.metricKind(), size)
			return nil
		})
	})
}

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
	// parallelPuts is how many objects of one cut are put at once.
	parallelPuts = 4
	// A put may take this long, and a second more per so many bytes: one that hangs must
	// not hold up the stream.
	putTimeout        = time.Minute
	putBytesPerSecond = 1 << 20
)

// deliverer brings one cut after the other into the bucket.
type deliverer struct {
	w     *Worker
	state *state
}

func (d *deliverer) run(ctx context.Context, cuts <-chan *cut) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-cuts:
			if !ok {
				return nil
			}
			err := d.deliver(ctx, c)
			c.release()
			if err != nil {
				return err
			}
		}
	}
}

// deliver is one cut, from its intent to its end.
func (d *deliverer) deliver(ctx context.Context, c *cut) error {
	if c.last != 0 {
		if !c.oldest.IsZero() {
			d.w.delivering.Store(c.oldest.UnixMilli())
			defer d.w.delivering.Store(0)
		}
		failpoint.At(failpoint.Collected)
		if err := d.put(ctx, c); err != nil {
			return err
		}
		failpoint.At(failpoint.PutAll)
		if err := d.state.commit(ctx, c.last); err != nil {
			return err
		}
		failpoint.At(failpoint.Committed)
		d.w.delivered(c)
		// Trimming only frees space, and the next one covers this one too.
		if err := d.w.log.Trim(ctx, c.last); err != nil && ctx.Err() == nil {
			d.w.trimFailures.Failed(err)
		} else if err == nil {
			d.w.trimFailures.Worked()
			failpoint.At(failpoint.Trimmed)
		}
	}
	d.w.flushes.fulfilled(c.flushes)
	return nil
}

// put decides the cut, if it is not decided, and puts its objects.
func (d *deliverer) put(ctx context.Context, c *cut) error {
	in, anew := d.plan(c)
	if len(in.Objects) == 0 {
		return nil
	}
	if anew {
		if err := d.state.decide(ctx, in); err != nil {
			return err
		}
		failpoint.At(failpoint.Decided)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelPuts)
	for _, t := range in.Objects {
		group.Go(func() error { return d.putObject(ctx, c, t) })
	}
	return group.Wait()
}

// plan is the cut's intent, and whether it has to be written: it is not when the standing
// one names every object already.
func (d *deliverer) plan(c *cut) (in *intent, anew bool) {
	in = &intent{First: c.first, Last: c.last, Decided: d.w.now().UTC(), Conversion: c.dest.Conversion}
	if standing := d.state.doc.Intent; standing != nil {
		in.Decided, in.Objects = standing.Decided, standing.Objects[:len(standing.Objects):len(standing.Objects)]
	}
	for _, o := range c.order {
		if _, ok := c.targets[o.part]; !ok {
			in.Objects = append(in.Objects, c.target(o, d.w.cfg.Shard))
			anew = true
		}
	}
	return in, anew
}

// target is where a new object goes.
func (c *cut) target(o *object, shard int) target {
	t := target{Part: o.part, Bucket: c.dest.Bucket, Compression: o.compression}
	prefix, dest := c.failed, c.dest
	switch o.kind {
	case kindData:
		prefix = c.good
	case kindSource:
		prefix, t.Bucket = c.source, c.dest.Backup.Bucket
		dest.FileExtension = "" // a backup has none of its own
	}
	t.Key = o.name(dest, shard, c.first, c.last, prefix)
	return t
}

// putObject puts one object of the intent until it works. One that has no records now is
// put empty: see document.
func (d *deliverer) putObject(ctx context.Context, c *cut, t target) error {
	o := c.objects[t.Part]
	if o == nil {
		var err error
		if o, err = c.mem.object("", t.Part, t.Compression, c.convert, false); err != nil {
			return err
		}
		defer c.mem.release(o)
		if err := o.close(); err != nil {
			return err
		}
	}
	_, encoding := objectkey.Extension(t.Compression, "")
	meta := record.Meta{ContentType: objectkey.ContentType, ContentEncoding: encoding}
	return c.mem.body(o, func(body io.ReadSeeker, size int64) error {
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

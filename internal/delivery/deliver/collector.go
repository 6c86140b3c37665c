package deliver

import (
	"context"
	"fmt"
)

// collector adds the results to the open flush in order, and closes the flush when it is due.
type collector struct {
	w    *Worker
	pipe *pipe
	// pending, when not nil, is the pending flush to finish: everything up to callEnd goes into it.
	pending *pendingFlush

	open     *flush
	midFrame bool // the last call ended within a frame: no flush can end here
}

func (c *collector) run(ctx context.Context) (err error) {
	defer close(c.pipe.flushes)
	defer func() {
		if c.open != nil {
			c.open.release()
		}
	}()
	if c.pending != nil {
		if err := c.begin(c.pending.First); err != nil {
			return err
		}
	}
	for {
		var next *call
		select {
		case <-ctx.Done():
			return ctx.Err()
		case next = <-c.pipe.order:
		}
		switch next.kind {
		case callRecords, callCorrupt:
			err = c.collect(ctx, next)
		case callTick:
			err = c.flushIfDue(ctx)
		case callFlush:
			err = c.flushNow(ctx, next.requests)
		case callEnd:
			if c.pending != nil {
				c.open.last = c.pending.Last
			}
			return c.send(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// collect waits for the results of a call and adds them to the flush.
func (c *collector) collect(ctx context.Context, next *call) error {
	if !next.oldest.IsZero() {
		c.w.collecting.CompareAndSwap(0, next.oldest.UnixMilli())
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-next.done:
	}
	for _, s := range next.spans {
		if err := c.begin(s.seq); err != nil {
			return err
		}
		for i := s.first; i < s.first+s.n; i++ {
			if err := c.open.add(next, i, s.arrived); err != nil {
				return fmt.Errorf("collect frame %d: %w", s.seq, err)
			}
		}
		if c.midFrame = !s.ends; c.midFrame {
			continue
		}
		c.open.frameEnds(s)
		if err := c.flushIfDue(ctx); err != nil {
			return err
		}
	}
	return give(ctx, c.pipe.free, next)
}

// begin opens a flush unless one is open.
func (c *collector) begin(seq uint64) error {
	if c.open != nil {
		return nil
	}
	dest := c.w.cfg.Destination()
	if c.pending != nil {
		dest.Conversion = c.pending.Conversion
	}
	f, err := newFlush(dest, &c.w.memory, seq, c.w.now())
	if err != nil {
		return fmt.Errorf("open flush of stream %s: invalid destination: %w", c.w.stream, err)
	}
	if c.pending != nil {
		f.targets = map[string]target{}
		for _, t := range c.pending.Objects {
			f.targets[t.Part] = t
		}
	}
	c.open = f
	return nil
}

// flushIfDue closes the flush if its size, its age or a new destination requires it.
func (c *collector) flushIfDue(ctx context.Context) error {
	if c.open == nil || c.midFrame || c.pending != nil {
		return nil
	}
	now := c.w.now()
	if c.open.full() || c.open.aged(now) || c.w.destination(now).Version > c.open.dest.Version {
		return c.send(ctx)
	}
	return nil
}

// flushNow closes the flush regardless of size and age. If none is open, it sends an empty one, so
// that the requests are completed after the flushes being delivered.
func (c *collector) flushNow(ctx context.Context, requests []*flushRequest) error {
	if c.open == nil {
		c.open = &flush{mem: &c.w.memory}
	}
	c.open.requests = requests
	return c.send(ctx)
}

// send passes the flush to the deliverer, and blocks while the bucket is unavailable.
func (c *collector) send(ctx context.Context) error {
	if c.open == nil {
		return nil
	}
	if err := c.open.close(); err != nil {
		return fmt.Errorf("close objects: %w", err)
	}
	if err := give(ctx, c.pipe.flushes, c.open); err != nil {
		return err
	}
	c.open = nil
	c.w.collecting.Store(0)
	return nil
}

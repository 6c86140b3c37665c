package deliver

import (
	"context"
	"fmt"
)

// collector puts the results into the open cut, in order, and decides when it is full.
type collector struct {
	w    *Worker
	pipe *pipe
	// standing, when not nil, makes one cut of everything up to callEnd: that intent's.
	standing *intent

	open     *cut
	midFrame bool // the last call ended within a frame: no cut can end here
}

func (c *collector) run(ctx context.Context) (err error) {
	defer close(c.pipe.cuts)
	defer func() {
		if c.open != nil {
			c.open.release()
		}
	}()
	if c.standing != nil {
		if err := c.begin(c.standing.First); err != nil {
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
			err = c.cutIfDue(ctx)
		case callFlush:
			err = c.flush(ctx, next.flushes)
		case callEnd:
			c.open.last = c.standing.Last
			return c.send(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// collect waits for the results of a call and takes them into the cut.
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
		c.open.last = s.seq
		c.open.count.Batches++
		if err := c.cutIfDue(ctx); err != nil {
			return err
		}
	}
	return give(ctx, c.pipe.free, next)
}

// begin makes sure that a cut is open.
func (c *collector) begin(seq uint64) error {
	if c.open != nil {
		return nil
	}
	dest := c.w.cfg.Destination()
	if c.standing != nil {
		dest.Conversion = c.standing.Conversion
	}
	cut, err := newCut(dest, &c.w.memory, seq, c.w.now())
	if err != nil {
		return fmt.Errorf("the destination of %s cannot be used: %w", c.w.stream, err)
	}
	if c.standing != nil {
		cut.targets = map[string]target{}
		for _, t := range c.standing.Objects {
			cut.targets[t.Part] = t
		}
	}
	c.open = cut
	return nil
}

// cutIfDue closes the cut if its size, its age or a new destination asks for it.
func (c *collector) cutIfDue(ctx context.Context) error {
	if c.open == nil || c.midFrame || c.standing != nil {
		return nil
	}
	now := c.w.now()
	if c.open.full() || c.open.aged(now) || c.w.destination(now).Version > c.open.dest.Version {
		return c.send(ctx)
	}
	return nil
}

// flush closes the cut whatever it holds. Without one, an empty one takes the word behind
// those that are being delivered.
func (c *collector) flush(ctx context.Context, wishes []*flush) error {
	if c.open == nil {
		c.open = &cut{mem: &c.w.memory}
	}
	c.open.flushes = wishes
	return c.send(ctx)
}

// send hands the cut to the deliverer, which may be busy for as long as the bucket is away.
func (c *collector) send(ctx context.Context) error {
	if c.open == nil {
		return nil
	}
	if err := c.open.close(); err != nil {
		return fmt.Errorf("close objects: %w", err)
	}
	if err := give(ctx, c.pipe.cuts, c.open); err != nil {
		return err
	}
	c.open = nil
	c.w.collecting.Store(0)
	return nil
}

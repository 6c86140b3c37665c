package console

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxCached bounds the results that are kept.
const maxCached = 512

// cache keeps results for moments: so that ten people who open the same page cost what one does.
type cache struct {
	now func() time.Time

	mu  sync.Mutex // guards all
	all map[string]*cached
}

// cached is a result, or one that is being computed.
type cached struct {
	done  chan struct{} // closed once value and err are set
	value any
	err   error
	until time.Time // guarded by cache.mu; zero while it is computed
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, all: map[string]*cached{}}
}

// get returns the kept result or computes it; those who ask meanwhile wait for it. An error is not kept. Where the one who
// computes goes away, the next one starts again.
func (c *cache) get(ctx context.Context, key string, keep time.Duration, compute func(context.Context) (any, error)) (any, error) {
	for {
		c.mu.Lock()
		e, ok := c.all[key]
		if ok && !e.until.IsZero() && !c.now().Before(e.until) {
			ok = false
		}
		if !ok {
			e = &cached{done: make(chan struct{})}
			c.makeRoomLocked()
			c.all[key] = e
			c.mu.Unlock()
			return c.fill(ctx, key, e, keep, compute)
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-e.done:
		}
		if e.err == nil || !errors.Is(e.err, context.Canceled) {
			return e.value, e.err
		}
	}
}

func (c *cache) fill(ctx context.Context, key string, e *cached, keep time.Duration, compute func(context.Context) (any, error)) (any, error) {
	e.err = errors.New("computing it ended in a panic")
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.err != nil {
			delete(c.all, key)
		}
		e.until = c.now().Add(keep)
		close(e.done)
	}()
	e.value, e.err = compute(ctx)
	return e.value, e.err
}

// makeRoomLocked forgets what is old, and if that is not enough, everything that is done.
func (c *cache) makeRoomLocked() {
	if len(c.all) < maxCached {
		return
	}
	now := c.now()
	for _, all := range []bool{false, true} {
		for key, e := range c.all {
			if !e.until.IsZero() && (all || now.After(e.until)) {
				delete(c.all, key)
			}
		}
		if len(c.all) < maxCached {
			return
		}
	}
}

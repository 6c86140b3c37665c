package console

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxCached bounds the number of cached results.
const maxCached = 512

// cache keeps results for a short time, so that ten users of the same page cost as much as one.
type cache struct {
	now func() time.Time

	mu  sync.Mutex // guards all
	all map[string]*cached
}

// cached is a result or one that is being computed.
type cached struct {
	done  chan struct{} // closed once value and err are set
	value any
	err   error
	until time.Time // guarded by cache.mu; zero while it is computed
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, all: map[string]*cached{}}
}

// get returns the cached result or computes it; concurrent callers wait for it. Errors are not cached. If the computing
// caller is canceled, a waiting one computes again.
func (c *cache) get(ctx context.Context, key string, keep time.Duration, compute func(context.Context) (any, error)) (any, error) {
	for {
		c.mu.Lock()
		e, ok := c.all[key]
		if ok && !e.until.IsZero() && !c.now().Before(e.until) {
			ok = false
		}
		if !ok {
			e = &cached{done: make(chan struct{})}
			c.evictLocked()
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
	e.err = errors.New("computation panicked")
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

// evictLocked removes expired results and, if that is not enough, all that are not being computed.
func (c *cache) evictLocked() {
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

package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagelog/stagelog/internal/durable/lease"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

// client is a store that can be cut off from the network.
type client struct {
	*recordtest.Store
	away atomic.Bool
}

var errAway = errors.New("no route to host")

func (c *client) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if c.away.Load() {
		return nil, 0, errAway
	}
	return c.Store.Get(ctx, key)
}

func (c *client) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	if c.away.Load() {
		return 0, errAway
	}
	return c.Store.Put(ctx, key, value, rev)
}

func newLease(c *client, owner string) *lease.Lease {
	return &lease.Lease{Store: c, Key: "k", Owner: owner, What: "test", Log: slog.New(slog.DiscardHandler)}
}

// Only one process holds the lease at a time, and each waiting process gets it.
func TestOneHolderAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recordtest.Store{}
		var all sync.WaitGroup
		var mu sync.Mutex
		holding, held := 0, 0
		for i := range 5 {
			all.Go(func() {
				err := newLease(&client{Store: s}, fmt.Sprint(i)).Hold(t.Context(), func(context.Context) error {
					mu.Lock()
					holding, held = holding+1, held+1
					if holding > 1 {
						t.Errorf("%d processes hold the lease, want 1", holding)
					}
					mu.Unlock()
					time.Sleep(20 * time.Second) // in the bubble's time: longer than the lease's expiry
					mu.Lock()
					holding--
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if held != 5 {
			t.Errorf("%d of 5 processes held the lease", held)
		}
	})
}

// A holder without network gives up the lease before another process takes it over.
func TestCutOffHolderStopsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &recordtest.Store{}
		first := &client{Store: s}
		held, release, err := newLease(first, "first").Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first.away.Store(true)
		began := time.Now()
		lost := make(chan time.Duration, 1)
		context.AfterFunc(held, func() { lost <- time.Since(began) })
		if _, _, err := newLease(&client{Store: s}, "second").Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if after := <-lost; !errors.Is(context.Cause(held), lease.ErrLost) || after >= took {
			t.Errorf("lost after %v (%v), taken over after %v", after, context.Cause(held), took)
		}
		release()
	})
}

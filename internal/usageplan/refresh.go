package usageplan

import (
	"context"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/durable/retry"
)

// Run refreshes until ctx ends: on a timer, after Poke, and for unknown keys up to once every
// UnknownEvery. It returns nil when ctx ends; failures are logged, counted and retried.
func (x *Index) Run(ctx context.Context) error {
	poked := false
	for {
		again, _ := x.refresh(ctx, poked) // full and forUnknown log failures
		poked = false
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(again)):
		case <-x.wake:
		case <-x.poke:
			poked = true
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// Refresh does what is due, as far as ctx allows. After an error the index keeps its last snapshot.
// Refresh is for functions, which cannot run between two calls.
//
// Before the first complete snapshot there is no fallback. While another process holds the lease and
// lists, Refresh waits for it, for half of the time until ctx's deadline; the other half is for
// looking up single keys.
func (x *Index) Refresh(ctx context.Context) error {
	deadline, bounded := ctx.Deadline()
	half := time.Now().Add(time.Until(deadline) / 2)
	for {
		unknown := x.Pending()
		again, err := x.refresh(ctx, false)
		resolved := unknown > 0 && x.Pending() == 0
		if err != nil || x.Ready() || resolved || !bounded || again.After(half) {
			return err
		}
		if err := retry.Sleep(ctx, time.Until(again)); err != nil {
			return err
		}
	}
}

// refresh does what is due and returns the time of the next refresh.
func (x *Index) refresh(ctx context.Context, poked bool) (again time.Time, err error) {
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return time.Now().Add(x.cfg.Every), ctx.Err()
	}
	x.poked = x.poked || poked
	if now := time.Now(); !now.Before(x.nextFull) || x.poked && !now.Before(x.nextPoked) {
		err = x.full(ctx)
	}
	if x.Pending() > 0 && !time.Now().Before(x.nextSingle) && ctx.Err() == nil {
		if unknownErr := x.forUnknown(ctx); err == nil {
			err = unknownErr
		}
	}
	again = x.nextFull
	if x.poked && x.nextPoked.Before(again) {
		again = x.nextPoked
	}
	if x.Pending() > 0 && x.nextSingle.Before(again) {
		again = x.nextSingle
	}
	return again, err
}

// full updates the whole snapshot, through the store if there is one.
func (x *Index) full(ctx context.Context) error {
	began := time.Now()
	next, err := x.load(ctx)
	took := time.Since(began)
	if err != nil {
		x.failures.Add(1)
		x.listings.Failed(err)
		series, _ := x.listings.Series()
		waits := retry.Policy{First: min(time.Second, x.cfg.Every), Max: x.cfg.Every}
		x.nextFull = time.Now().Add(waits.Wait(int(series.Tries)))
		x.nextPoked = x.nextFull
		return err
	}
	x.listings.Worked()
	x.poked = false
	x.nextPoked = time.Now().Add((loadShare - 1) * took)
	if x.nextFull = next; next.Before(x.nextPoked) {
		x.nextFull = x.nextPoked
	}
	x.settle()
	return nil
}

// load adopts a newer snapshot and returns when the next one is due.
func (x *Index) load(ctx context.Context) (next time.Time, err error) {
	if x.cfg.Store != nil {
		return x.loadShared(ctx)
	}
	if err := x.list(ctx); err != nil {
		return next, err
	}
	return time.Now().Add(jitter(x.cfg.Every)), nil
}

// list reads a complete listing from the source.
func (x *Index) list(ctx context.Context) error {
	began := time.Now()
	l, err := x.cfg.Source.List(ctx)
	if err != nil {
		return fmt.Errorf("list usage plans and keys: %w", err)
	}
	x.publish(NewSnapshot(began, l, x.snap.Load()))
	x.refreshes.Add(1)
	return nil
}

// forUnknown looks up the unknown keys: one by one if the source supports it, otherwise by listing everything.
func (x *Index) forUnknown(ctx context.Context) error {
	defer func() { x.nextSingle = time.Now().Add(x.cfg.UnknownEvery) }()
	single, ok := x.cfg.Source.(KeySource)
	if !ok {
		x.poked = true // regardless of the snapshot's age
		return x.full(ctx)
	}
	var plans []Plan
	var keys []Key
	var err error
	for _, id := range x.some(maxLookups) {
		k, of, found, lookupErr := single.LookupKey(ctx, id)
		if lookupErr != nil {
			x.failures.Add(1)
			err = fmt.Errorf("look up key: %w", lookupErr)
			x.single.Failed(err)
			break
		}
		x.single.Worked()
		x.lookups.Add(1)
		x.answered(id)
		if found {
			keys, plans = append(keys, k), append(plans, of...)
		}
	}
	if len(keys) > 0 {
		x.publish(x.snap.Load().With(plans, keys))
	}
	return err
}

// some returns up to n pending keys.
func (x *Index) some(n int) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	ids := make([]string, 0, min(n, len(x.pending)))
	for id := range x.pending {
		if len(ids) == n {
			break
		}
		ids = append(ids, id)
	}
	return ids
}

// answered records that a key was looked up, so that it is not looked up again for a while.
func (x *Index) answered(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.pending, id)
	now := time.Now()
	if len(x.asked) >= maxAsked {
		for other, until := range x.asked {
			if len(x.asked) > maxAsked/2 || now.After(until) {
				delete(x.asked, other)
			}
		}
	}
	x.asked[id] = now.Add(askAgain)
}

// settle removes the keys of a new snapshot from the pending ones; without a KeySource, all.
func (x *Index) settle() {
	s := x.snap.Load()
	if s == nil {
		return
	}
	_, single := x.cfg.Source.(KeySource)
	for _, id := range x.some(maxPending) {
		if _, has := s.keys[id]; has || !single {
			x.answered(id)
		}
	}
}

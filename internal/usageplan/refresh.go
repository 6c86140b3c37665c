package usageplan

import (
	"context"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/durable/retry"
)

// Run refreshes until ctx ends: on a timer, when poked, and for unknown keys at most every
// UnknownEvery. It returns nil when ctx ends; failures are logged, counted and tried again.
func (d *Directory) Run(ctx context.Context) error {
	poked := false
	for {
		again, _ := d.refresh(ctx, poked) // full and forUnknown log what failed
		timer := time.NewTimer(time.Until(again))
		poked = false
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-d.wake:
		case <-d.poke:
			poked = true
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// Refresh does what is due, as far as ctx allows, and returns what went wrong: the answers are then
// those of before. It is for a function that has no time of its own between two calls.
//
// Before the first whole snapshot there is nothing to fall back on. While another process holds the
// lease and reads it, Refresh waits for that, for half of the time until ctx's deadline; the other
// half is for looking up single keys.
func (d *Directory) Refresh(ctx context.Context) error {
	deadline, bounded := ctx.Deadline()
	half := time.Now().Add(time.Until(deadline) / 2)
	for {
		unknown := d.Pending()
		again, err := d.refresh(ctx, false)
		resolved := unknown > 0 && d.Pending() == 0
		if err != nil || d.Ready() || resolved || !bounded || again.After(half) {
			return err
		}
		timer := time.NewTimer(time.Until(again))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// refresh does what is due and returns when to come again.
func (d *Directory) refresh(ctx context.Context, poked bool) (again time.Time, err error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return time.Now().Add(d.cfg.Every), ctx.Err()
	}
	d.poked = d.poked || poked
	if now := time.Now(); !now.Before(d.nextFull) || d.poked && !now.Before(d.nextPoked) {
		err = d.full(ctx)
	}
	if d.Pending() > 0 && !time.Now().Before(d.nextSingle) && ctx.Err() == nil {
		if unknownErr := d.forUnknown(ctx); err == nil {
			err = unknownErr
		}
	}
	again = d.nextFull
	if d.poked && d.nextPoked.Before(again) {
		again = d.nextPoked
	}
	if d.Pending() > 0 && d.nextSingle.Before(again) {
		again = d.nextSingle
	}
	return again, err
}

// full brings the whole snapshot up to date, by way of the store where there is one.
func (d *Directory) full(ctx context.Context) error {
	began := time.Now()
	next, err := d.load(ctx)
	took := time.Since(began)
	if err != nil {
		d.failures.Add(1)
		d.listings.Failed(err)
		series, _ := d.listings.Series()
		waits := retry.Policy{First: min(time.Second, d.cfg.Every), Max: d.cfg.Every}
		d.nextFull = time.Now().Add(waits.Wait(int(series.Tries)))
		d.nextPoked = d.nextFull
		return err
	}
	d.listings.Worked()
	d.poked = false
	d.nextPoked = time.Now().Add((loadShare - 1) * took)
	if d.nextFull = next; next.Before(d.nextPoked) {
		d.nextFull = d.nextPoked
	}
	d.settle()
	return nil
}

// load takes over a newer snapshot and returns when the next one is due.
func (d *Directory) load(ctx context.Context) (next time.Time, err error) {
	if d.cfg.Store != nil {
		return d.loadShared(ctx)
	}
	if err := d.list(ctx); err != nil {
		return next, err
	}
	return time.Now().Add(jitter(d.cfg.Every)), nil
}

// list asks the source for everything.
func (d *Directory) list(ctx context.Context) error {
	began := time.Now()
	l, err := d.cfg.Source.List(ctx)
	if err != nil {
		return fmt.Errorf("list usage plans and keys: %w", err)
	}
	d.publish(NewSnapshot(began, l, d.snap.Load()))
	d.refreshes.Add(1)
	return nil
}

// forUnknown asks for the keys that were not known: each by itself where the source can, else by
// listing everything.
func (d *Directory) forUnknown(ctx context.Context) error {
	defer func() { d.nextSingle = time.Now().Add(d.cfg.UnknownEvery) }()
	single, ok := d.cfg.Source.(KeySource)
	if !ok {
		d.poked = true // the age of the snapshot is no excuse
		return d.full(ctx)
	}
	var plans []Plan
	var keys []Key
	var err error
	for _, id := range d.some(d.cfg.MaxLookups) {
		k, of, found, lookupErr := single.LookupKey(ctx, id)
		if lookupErr != nil {
			d.failures.Add(1)
			err = fmt.Errorf("look up a key: %w", lookupErr)
			d.single.Failed(err)
			break
		}
		d.single.Worked()
		d.lookups.Add(1)
		d.answered(id)
		if found {
			keys, plans = append(keys, k), append(plans, of...)
		}
	}
	if len(keys) > 0 {
		d.publish(d.snap.Load().With(plans, keys))
	}
	return err
}

// some returns up to n of the keys that wait.
func (d *Directory) some(n int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make([]string, 0, min(n, len(d.pending)))
	for id := range d.pending {
		if len(ids) == n {
			break
		}
		ids = append(ids, id)
	}
	return ids
}

// answered takes down that the source was asked for a key: whatever it said stands for a while.
func (d *Directory) answered(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, id)
	now := time.Now()
	if len(d.asked) >= maxAsked {
		for other, until := range d.asked {
			if len(d.asked) > maxAsked/2 || now.After(until) {
				delete(d.asked, other)
			}
		}
	}
	d.asked[id] = now.Add(d.cfg.AskAgain)
}

// settle ends the wait of the keys that a new snapshot has, and without a KeySource of all.
func (d *Directory) settle() {
	s := d.snap.Load()
	if s == nil {
		return
	}
	_, single := d.cfg.Source.(KeySource)
	for _, id := range d.some(maxPending) {
		if _, has := s.keys[id]; has || !single {
			d.answered(id)
		}
	}
}

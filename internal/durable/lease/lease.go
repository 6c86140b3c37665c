// Package lease has one of several processes do something at a time, by a document that all
// of them see.
//
// Nobody compares clocks: a waiting one takes a lease over once it has seen no renewal for
// six seconds by its own clock, and a holder that could not renew for four stops by its own,
// before anybody may have taken over. A process that stands still for longer than that may
// all the same go on beside the next holder for a moment: what must never be done twice needs
// a fence of its own, such as the revision of what is written.
package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/record"
)

// Times of a lease.
const (
	expires = 6 * time.Second
	grace   = 4 * time.Second
	renew   = time.Second
	poll    = 500 * time.Millisecond
)

// ErrLost means that another process may have the lease.
var ErrLost = errors.New("the lease is lost")

// Lease is one process's wish for, or hold of, a lease. It is used by one goroutine at a time.
type Lease struct {
	Store record.Store
	Key   string
	Owner string // tells processes apart
	What  string // is done under it, for the log: "delivery of a shard"
	Log   *slog.Logger

	rev uint64
}

// document is what stands in the store. Each write has a revision of its own, which is what
// others see of a renewal.
type document struct {
	Owner string `json:"owner"` // "" is nobody's
}

// Hold waits for the lease, runs fn with a context that ends when the lease is lost, and gives
// the lease back. It returns ErrLost, and what it wraps, when it was lost.
func (l *Lease) Hold(ctx context.Context, fn func(context.Context) error) error {
	held, giveBack, err := l.Take(ctx)
	if err != nil {
		return err
	}
	err = fn(held)
	cause := context.Cause(held)
	giveBack()
	if errors.Is(cause, ErrLost) {
		return cause
	}
	return err
}

// Take waits for the lease. held ends when it is lost, with ErrLost as its cause, or once it
// is given back, so that the next one may begin at once.
func (l *Lease) Take(ctx context.Context) (held context.Context, giveBack func(), err error) {
	if err := l.wait(ctx); err != nil {
		return nil, nil, err
	}
	held, lost := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lost(l.keep(held))
	}()
	return held, func() {
		mine := !errors.Is(context.Cause(held), ErrLost)
		lost(nil)
		<-ended
		if mine {
			l.release(context.WithoutCancel(ctx))
		}
	}, nil
}

// wait returns when the lease was free, or its holder has not renewed it for long enough.
func (l *Lease) wait(ctx context.Context) error {
	var seen uint64
	var since time.Time
	told := false
	for {
		value, rev, err := l.Store.Get(ctx, l.Key)
		var doc document
		switch {
		case errors.Is(err, record.ErrNotFound):
			rev = 0
		case err == nil:
			err = json.Unmarshal(value, &doc)
		}
		free := errors.Is(err, record.ErrNotFound) || err == nil && doc.Owner == ""
		if now := time.Now(); err == nil && rev != seen {
			seen, since = rev, now
		} else if err == nil && now.Sub(since) >= expires {
			free = true
			l.Log.Warn("the process that had the lease is gone; this one takes over", "lease", l.What, "silent for", now.Sub(since).Round(time.Millisecond))
		}
		if free {
			if l.rev, err = l.write(ctx, l.Owner, rev); err == nil {
				return nil
			}
		}
		if !told && err == nil {
			told = true
			l.Log.Info("another process has the lease; this one stands by", "lease", l.What)
		}
		if err := retry.Sleep(ctx, poll); err != nil {
			return err
		}
	}
}

// keep writes the lease again and again, and returns when it is lost.
func (l *Lease) keep(ctx context.Context) error {
	last := time.Now()
	for {
		if err := retry.Sleep(ctx, renew); err != nil {
			return err
		}
		try, cancel := context.WithTimeout(ctx, grace-time.Since(last))
		rev, err := l.write(try, l.Owner, l.rev)
		cancel()
		switch {
		case err == nil:
			l.rev, last = rev, time.Now()
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, record.ErrConflict):
			// A renewal whose answer was lost stands there with this owner.
			if value, rev, err := l.Store.Get(ctx, l.Key); err == nil && string(value) == string(encode(l.Owner)) {
				l.rev, last = rev, time.Now()
				continue
			}
			return fmt.Errorf("%w: another process has it", ErrLost)
		case time.Since(last) >= grace-renew:
			return fmt.Errorf("%w: it could not be renewed: %w", ErrLost, err)
		}
	}
}

// release lets the next one begin at once. It need not work.
func (l *Lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renew)
	defer cancel()
	if _, err := l.write(ctx, "", l.rev); err != nil {
		l.Log.Debug("the lease could not be given back", "lease", l.What, "error", err)
	}
}

func (l *Lease) write(ctx context.Context, owner string, rev uint64) (uint64, error) {
	return l.Store.Put(ctx, l.Key, encode(owner), rev)
}

func encode(owner string) []byte {
	value, err := json.Marshal(document{owner})
	if err != nil {
		panic("BUG: a lease cannot be written: " + err.Error())
	}
	return value
}

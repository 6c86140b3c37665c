// Package lease lets one of several processes at a time do something, by means of a document in a
// shared store.
//
// No clocks are compared: a waiting process takes over the lease if it has seen no renewal for six
// seconds by its own clock, and a holder that could not renew for four seconds by its own clock
// stops before that. A process that is suspended for longer may still continue beside the next
// holder for a moment, so anything that must not be done twice needs its own fence, such as the
// revision of the written document.
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

// ErrLost means that another process may hold the lease.
var ErrLost = errors.New("lease lost")

// Lease is a lease that a process holds or waits for. It is used by one goroutine at a time.
type Lease struct {
	Store record.Store
	Key   string
	Owner string // identifies the process
	What  string // purpose of the lease, for the log: "delivery"
	Log   *slog.Logger

	rev uint64
}

// document is the stored document. Each write has a new revision, by which other processes notice a
// renewal.
type document struct {
	Owner string `json:"owner"` // "" means free
}

// Hold waits for the lease, runs fn with a context that ends when the lease is lost, and releases
// the lease. If it was lost, Hold returns an error that wraps ErrLost.
func (l *Lease) Hold(ctx context.Context, fn func(context.Context) error) error {
	held, release, err := l.Take(ctx)
	if err != nil {
		return err
	}
	err = fn(held)
	cause := context.Cause(held)
	release()
	if errors.Is(cause, ErrLost) {
		return cause
	}
	return err
}

// Take waits for the lease. held ends when the lease is lost, with ErrLost as its cause, or when
// release is called, which lets the next process start immediately.
func (l *Lease) Take(ctx context.Context) (held context.Context, release func(), err error) {
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

// wait returns when the lease was free, or its holder has not renewed it in time, and it is now held.
func (l *Lease) wait(ctx context.Context) error {
	var seen uint64
	var since time.Time
	logged := false
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
			l.Log.Warn("lease expired; taking it over", "lease", l.What, "since_renewal", now.Sub(since).Round(time.Millisecond))
		}
		if free {
			if l.rev, err = l.write(ctx, l.Owner, rev); err == nil {
				return nil
			}
		}
		if !logged && err == nil {
			logged = true
			l.Log.Info("lease is held by another process; standing by", "lease", l.What)
		}
		if err := retry.Sleep(ctx, poll); err != nil {
			return err
		}
	}
}

// keep renews the lease until it is lost or ctx ends.
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
			// A renewal whose response was lost is stored with this owner.
			if value, rev, err := l.Store.Get(ctx, l.Key); err == nil && string(value) == string(encode(l.Owner)) {
				l.rev, last = rev, time.Now()
				continue
			}
			return fmt.Errorf("%w: another process holds it", ErrLost)
		case time.Since(last) >= grace-renew:
			return fmt.Errorf("%w: renewal failed: %w", ErrLost, err)
		}
	}
}

// release frees the lease, so that the next process can start immediately. It is best-effort.
func (l *Lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renew)
	defer cancel()
	if _, err := l.write(ctx, "", l.rev); err != nil {
		l.Log.Debug("lease release failed", "lease", l.What, "error", err)
	}
}

func (l *Lease) write(ctx context.Context, owner string, rev uint64) (uint64, error) {
	return l.Store.Put(ctx, l.Key, encode(owner), rev)
}

func encode(owner string) []byte {
	value, err := json.Marshal(document{owner})
	if err != nil {
		panic("BUG: encode lease:  " + err.Error())
	}
	return value
}

package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// Times of a lease. Nobody compares clocks: a waiting worker takes a lease over once it has
// seen no renewal for leaseTime by its own clock, and a holder that could not renew for
// leaseGrace stops by its own, before anybody may have taken over.
const (
	leaseTime  = 6 * time.Second
	leaseGrace = 4 * time.Second
	leaseRenew = time.Second
	leasePoll  = 500 * time.Millisecond
)

// lease is which of several workers, in as many processes, delivers a shard. It keeps them
// from working against each other; that no two deliver the same records is the document's
// revision alone.
type lease struct {
	store Store
	key   string
	owner string
	log   *slog.Logger
	rev   uint64
}

// leaseDocument is what stands in the store. Each write has a revision of its own, which is
// what others see of a renewal.
type leaseDocument struct {
	Owner string `json:"owner"` // "" is nobody's
}

// leaseKey is the key of the shard's lease.
func leaseKey(stream string, shard int) string { return fmt.Sprintf("%s/%d/lease", stream, shard) }

// hold waits for the lease, runs fn with a context that ends when the lease is lost, and gives
// the lease back.
func (l *lease) hold(ctx context.Context, fn func(context.Context) error) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	held, lost := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		lost(l.renew(held))
	}()
	err := fn(held)
	cause := context.Cause(held)
	lost(nil)
	<-renewed
	if errors.Is(cause, errLeaseLost) {
		return errLeaseLost
	}
	l.giveBack(context.WithoutCancel(ctx))
	return err
}

var errLeaseLost = errors.New("the lease on the shard is lost")

// take waits until the lease is free, or its holder has not renewed it for long enough.
func (l *lease) take(ctx context.Context) error {
	var seen uint64
	var since time.Time
	told := false
	for {
		value, rev, err := l.store.Get(ctx, l.key)
		var doc leaseDocument
		switch {
		case errors.Is(err, record.ErrNotFound):
			rev = 0
		case err == nil:
			err = json.Unmarshal(value, &doc)
		}
		free := errors.Is(err, record.ErrNotFound) || err == nil && doc.Owner == ""
		if now := time.Now(); err == nil && rev != seen {
			seen, since = rev, now
		} else if err == nil && now.Sub(since) >= leaseTime {
			free = true
			l.log.Warn("the worker that delivered this shard is gone; this one takes over", "silent for", now.Sub(since).Round(time.Millisecond))
		}
		if free {
			if l.rev, err = l.write(ctx, l.owner, rev); err == nil {
				return nil
			}
		}
		if !told && err == nil {
			told = true
			l.log.Info("another worker delivers this shard; this one stands by")
		}
		if err := sleep(ctx, leasePoll); err != nil {
			return err
		}
	}
}

// renew writes the lease again and again, and returns when it is lost.
func (l *lease) renew(ctx context.Context) error {
	last := time.Now()
	for {
		if err := sleep(ctx, leaseRenew); err != nil {
			return err
		}
		try, cancel := context.WithTimeout(ctx, leaseGrace-time.Since(last))
		rev, err := l.write(try, l.owner, l.rev)
		cancel()
		switch {
		case err == nil:
			l.rev, last = rev, time.Now()
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, record.ErrConflict):
			// A renewal whose answer was lost stands there with this owner.
			if value, rev, err := l.store.Get(ctx, l.key); err == nil && string(value) == string(l.encode(l.owner)) {
				l.rev, last = rev, time.Now()
				continue
			}
			return fmt.Errorf("%w: another worker has it", errLeaseLost)
		case time.Since(last) >= leaseGrace-leaseRenew:
			return fmt.Errorf("%w: it could not be renewed: %w", errLeaseLost, err)
		}
	}
}

// giveBack lets the next worker begin at once. It need not work.
func (l *lease) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	if _, err := l.write(ctx, "", l.rev); err != nil {
		l.log.Debug("the lease could not be given back", "error", err)
	}
}

func (l *lease) write(ctx context.Context, owner string, rev uint64) (uint64, error) {
	return l.store.Put(ctx, l.key, l.encode(owner), rev)
}

func (l *lease) encode(owner string) []byte {
	value, err := json.Marshal(leaseDocument{owner})
	if err != nil {
		panic("BUG: a lease cannot be written: " + err.Error())
	}
	return value
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

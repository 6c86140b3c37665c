// Package retry repeats calls that may fail, with a random wait between two tries that grows with each failure.
//
// It is our own, and not github.com/cenkalti/backoff/v5 (MIT, kept up, 490 lines): that one drops the last error
// when the context ends, begins waits that outlive the context's deadline, and makes a call that must not be
// repeated wrap its error. Half of the callers here need only the length of the next wait.
package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Policy describes when to try again. First and Max are required.
type Policy struct {
	First time.Duration // the longest wait after the first failure; it doubles with each one
	Max   time.Duration // of a wait, unless the error asks for a longer one

	Tries int           // the most calls; 0 for no limit
	Limit time.Duration // no try begins later than this after the first one; 0 for no limit

	Again  func(error) bool                    // reports whether the call may succeed later; nil for always
	Failed func(err error, wait time.Duration) // called before each wait; may be nil
}

// Wait returns how long to wait after n failures in a row, n from 1: a random time between half of the longest
// one and the whole, so that many clients do not return at the same moment.
func (p Policy) Wait(n int) time.Duration {
	longest := p.First
	for ; n > 1 && longest < p.Max; n-- {
		longest *= 2
	}
	longest = min(longest, p.Max)
	return longest/2 + rand.N(longest/2+1)
}

// Do calls fn until it succeeds, fails in a way that is not worth another try, or a limit is reached, and returns
// its last error. An error with a method RetryAfter() time.Duration lengthens the wait to that time, and a tenth
// more at random. Do does not begin a wait that ctx's deadline would end. When ctx ends during a wait, the error
// wraps ctx.Err() as well.
func (p Policy) Do(ctx context.Context, fn func() error) error {
	began := time.Now()
	for n := 1; ; n++ {
		err := fn()
		if err == nil || p.Again != nil && !p.Again(err) || p.Tries > 0 && n >= p.Tries {
			return err
		}
		wait := p.Wait(n)
		var asks interface{ RetryAfter() time.Duration }
		if errors.As(err, &asks) && asks.RetryAfter() > 0 {
			wait = max(wait, asks.RetryAfter()+rand.N(asks.RetryAfter()/10+1))
		}
		if p.Limit > 0 && time.Since(began)+wait > p.Limit {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return err
		}
		if p.Failed != nil {
			p.Failed(err, wait)
		}
		if ended := Sleep(ctx, wait); ended != nil {
			return fmt.Errorf("%w (last try: %w)", ended, err)
		}
	}
}

// Sleep waits for d. When ctx ends before, it returns ctx.Err() at once: the cause of a context that a signal
// ended is not context.Canceled.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

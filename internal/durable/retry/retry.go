// Package retry repeats calls that may fail, with random waits between attempts that grow with each failure.
//
// It is not github.com/cenkalti/backoff/v5 (MIT, maintained, 490 lines), because that drops the last error when the
// context ends, starts waits that outlive the context's deadline, and requires wrapping errors that must not be
// retried. Half of the callers here need only the length of the next wait.
package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Policy describes when to retry. First and Max are required.
type Policy struct {
	First time.Duration // maximum wait after the first failure; doubles with each failure
	Max   time.Duration // maximum wait, unless the error asks for a longer one

	Tries int           // maximum number of calls; 0 means no limit
	Limit time.Duration // no attempt starts later than this after the first; 0 means no limit

	Again  func(error) bool                    // reports whether to retry after an error; nil means always
	Failed func(err error, wait time.Duration) // called before each wait; may be nil
}

// Wait returns how long to wait after n consecutive failures, n >= 1: a random time between half of the maximum
// and the maximum, so that many clients do not retry at the same moment.
func (p Policy) Wait(n int) time.Duration {
	longest := p.First
	for ; n > 1 && longest < p.Max; n-- {
		longest *= 2
	}
	longest = min(longest, p.Max)
	return longest/2 + rand.N(longest/2+1)
}

// Do calls fn until it succeeds, fails with an error that is not retried, or reaches a limit, and returns its last
// error. An error with a method RetryAfter() time.Duration extends the wait to that time plus up to 10 percent at
// random. Do does not start a wait that would exceed ctx's deadline. If ctx ends during a wait, the error also
// wraps ctx.Err().
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
			return fmt.Errorf("%w (last attempt: %w)", ended, err)
		}
	}
}

// Sleep waits for d. If ctx ends first, it immediately returns ctx.Err(), not the cause: that of a context ended by
// a signal is not context.Canceled.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

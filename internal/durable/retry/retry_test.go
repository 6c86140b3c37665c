package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagelog/stagelog/internal/durable/retry"
)

var (
	errBusy = errors.New("busy")
	errGone = errors.New("gone")
)

type later time.Duration

func (l later) Error() string             { return "later" }
func (l later) RetryAfter() time.Duration { return time.Duration(l) }

func TestWaitGrowsUpToMax(t *testing.T) {
	p := retry.Policy{First: time.Second, Max: 10 * time.Second}
	for n, longest := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 1000: 10 * time.Second} {
		for range 100 {
			if got := p.Wait(n); got < longest/2 || got > longest {
				t.Fatalf("Wait(%d) = %v, want between %v and %v", n, got, longest/2, longest)
			}
		}
	}
}

func TestDo(t *testing.T) {
	base := retry.Policy{First: time.Second, Max: 4 * time.Second}
	with := func(change func(*retry.Policy)) retry.Policy {
		p := base
		change(&p)
		return p
	}
	for _, c := range []struct {
		name     string
		policy   retry.Policy
		failures []error // then success
		calls    int
		want     error
		least    time.Duration
		most     time.Duration
	}{
		{"immediate success", base, nil, 1, nil, 0, 0},
		{"success after failures", base, []error{errBusy, errBusy, errBusy}, 4, nil, 3500 * time.Millisecond, 7 * time.Second},
		{"limit of attempts", with(func(p *retry.Policy) { p.Tries = 2 }), []error{errBusy, errBusy, errBusy}, 2, errBusy, 500 * time.Millisecond, time.Second},
		{"limit of time", with(func(p *retry.Policy) { p.Limit = 100 * time.Millisecond }), []error{errBusy}, 1, errBusy, 0, 0},
		{"error not retried", with(func(p *retry.Policy) { p.Again = func(err error) bool { return err != errGone } }), []error{errBusy, errGone}, 2, errGone, 500 * time.Millisecond, time.Second},
		{"error asks for a longer wait", base, []error{later(30 * time.Second)}, 2, nil, 30 * time.Second, 33 * time.Second},
		{"error asks for a shorter wait", base, []error{later(time.Millisecond)}, 2, nil, 500 * time.Millisecond, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, waits := 0, 0
				c.policy.Failed = func(error, time.Duration) { waits++ }
				began := time.Now()
				err := c.policy.Do(t.Context(), func() error {
					calls++
					if calls <= len(c.failures) {
						return c.failures[calls-1]
					}
					return nil
				})
				if took := time.Since(began); err != c.want || calls != c.calls || took < c.least || took > c.most {
					t.Errorf("Do = %v after %d calls and %v; want %v after %d calls and %v to %v", err, calls, took, c.want, c.calls, c.least, c.most)
				}
				if waits != c.calls-1 {
					t.Errorf("Failed was called %d times, want %d", waits, c.calls-1)
				}
			})
		})
	}
}

func TestDoStopsWhenContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		err := retry.Policy{First: time.Second, Max: time.Second}.Do(ctx, func() error { return errBusy })
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errBusy) || time.Since(began) != time.Minute {
			t.Errorf("Do = %v after %v, want both errors after a minute", err, time.Since(began))
		}
	})
}

func TestDoSkipsWaitBeyondDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := retry.Policy{First: time.Minute, Max: time.Minute}.Do(ctx, func() error { return errBusy })
		if err != errBusy || time.Since(began) != 0 {
			t.Errorf("Do = %v after %v, want the call's error immediately", err, time.Since(began))
		}
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := retry.Sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("Sleep = %v after %v, want an hour", err, time.Since(began))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		if err := retry.Sleep(ctx, time.Hour); err != context.Canceled {
			t.Errorf("Sleep with an ended context = %v, want context.Canceled", err)
		}
	})
}

package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// Bounds of the wait between two tries of what must work in the end.
const (
	firstWait = 100 * time.Millisecond
	maxWait   = 30 * time.Second
)

// backoff waits before try number n+1, n from 1: a random part of a time that doubles, so
// that many workers do not come back together.
func backoff(ctx context.Context, n int) error {
	most := maxWait
	if n < 10 {
		most = min(maxWait, firstWait<<(n-1))
	}
	timer := time.NewTimer(most/2 + rand.N(most/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// trouble tells the log when something begins to fail and when it works again, and not
// each time in between.
type trouble struct {
	what string
	log  *slog.Logger

	told  atomic.Pointer[told] // set before tries are
	tries atomic.Int64         // that failed since it worked
}

// told is what was told of a trouble.
type told struct {
	text string
	at   time.Time
}

// failed notes a failed try.
func (t *trouble) failed(err error) {
	t.told.Store(&told{err.Error(), time.Now()})
	if t.tries.Add(1) == 1 {
		t.log.Warn(t.what+" is failing", "error", err)
	}
}

// worked notes a try that did not fail.
func (t *trouble) worked() {
	if t.tries.Load() == 0 {
		return
	}
	if n := t.tries.Swap(0); n > 0 {
		t.log.Info(fmt.Sprintf("%s recovered after %d tries", t.what, n))
	}
}

// untilDone calls fn until it works, ctx ends, or another worker has taken over. fn must
// return soon after its context ends.
func (t *trouble) untilDone(ctx context.Context, fn func() error) error {
	for n := 1; ; n++ {
		err := fn()
		switch {
		case err == nil:
			t.worked()
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, record.ErrConflict):
			return err
		}
		t.failed(err)
		if err := backoff(ctx, n); err != nil {
			return err
		}
	}
}

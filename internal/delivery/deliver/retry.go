package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/record"
)

// waits is the backoff of operations that are retried until they succeed.
var waits = retry.Policy{First: 100 * time.Millisecond, Max: 30 * time.Second}

// untilDone calls fn until it succeeds, ctx ends, or another worker has taken over. fn must
// return soon after its context ends.
func untilDone(ctx context.Context, failures *failurelog.Log, fn func() error) error {
	policy := waits
	policy.Again = func(err error) bool { return ctx.Err() == nil && !errors.Is(err, record.ErrConflict) }
	policy.Failed = func(err error, _ time.Duration) { failures.Failed(err) }
	err := policy.Do(ctx, fn)
	switch {
	case err == nil:
		failures.Worked()
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

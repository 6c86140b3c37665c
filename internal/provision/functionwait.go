package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

const (
	functionPoll = time.Second     // Lambda's own waiters' interval
	functionWait = 5 * time.Minute // their limit
)

// untilReady repeats a call while Lambda does not know a new role yet, or still carries out an
// earlier change.
func untilReady(ctx context.Context, progress func(string), call func() error) error {
	return repeatWhile(ctx, func(err error) bool { return awserr.RoleNotReady(err) || awserr.Conflict(err) }, progress, call)
}

// ready waits until what was asked for is done, and says why it was not.
func (r *function) ready(ctx context.Context, progress func(string)) error {
	c, err := r.settled(ctx, progress)
	switch {
	case err != nil:
		return err
	case c.State == types.StateFailed:
		return fmt.Errorf("its making failed: %s (%s); mend the cause and run `stagelog deploy` again", aws.ToString(c.StateReason), c.StateReasonCode)
	case c.LastUpdateStatus == types.LastUpdateStatusFailed:
		return fmt.Errorf("its update failed, and what it was before still runs: %s (%s); mend the cause and run `stagelog deploy` again", aws.ToString(c.LastUpdateStatusReason), c.LastUpdateStatusReasonCode)
	}
	return nil
}

// settled waits until Lambda does nothing with the function any more.
func (r *function) settled(ctx context.Context, progress func(string)) (*types.FunctionConfiguration, error) {
	for left := functionWait; ; left -= functionPoll {
		now, err := r.get(ctx)
		if err != nil {
			return nil, err
		}
		if now == nil {
			return nil, fmt.Errorf("it was deleted meanwhile: %w", ErrChanged)
		}
		c := now.Configuration
		switch {
		case c.State != types.StatePending && c.LastUpdateStatus != types.LastUpdateStatusInProgress:
			return c, nil
		case left <= 0:
			return nil, fmt.Errorf("it is still %s after %s, and its last update %s", c.State, functionWait, c.LastUpdateStatus)
		}
		progress("waiting until it is Active")
		if err := retry.Sleep(ctx, functionPoll); err != nil {
			return nil, err
		}
	}
}

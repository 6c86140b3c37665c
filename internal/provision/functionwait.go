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

// untilReady repeats a call while a new role is not usable yet or an earlier change is in progress.
func untilReady(ctx context.Context, progress func(string), call func() error) error {
	return repeatWhile(ctx, func(err error) bool { return awserr.RoleNotReady(err) || awserr.Conflict(err) }, progress, call)
}

// ready waits until a change is finished and returns its failure, if any.
func (r *function) ready(ctx context.Context, progress func(string)) error {
	c, err := r.settled(ctx, progress)
	switch {
	case err != nil:
		return err
	case c.State == types.StateFailed:
		return fmt.Errorf("creation failed: %s (%s); fix the cause and run `stagelog deploy` again", aws.ToString(c.StateReason), c.StateReasonCode)
	case c.LastUpdateStatus == types.LastUpdateStatusFailed:
		return fmt.Errorf("update failed and the earlier version still runs: %s (%s); fix the cause and run `stagelog deploy` again", aws.ToString(c.LastUpdateStatusReason), c.LastUpdateStatusReasonCode)
	}
	return nil
}

// settled waits until no change of the function is in progress.
func (r *function) settled(ctx context.Context, progress func(string)) (*types.FunctionConfiguration, error) {
	for left := functionWait; ; left -= functionPoll {
		now, err := r.get(ctx)
		if err != nil {
			return nil, err
		}
		if now == nil {
			return nil, errDeletedByOther
		}
		c := now.Configuration
		switch {
		case c.State != types.StatePending && c.LastUpdateStatus != types.LastUpdateStatusInProgress:
			return c, nil
		case left <= 0:
			return nil, fmt.Errorf("timed out after %s: state %s, last update %s", functionWait, c.State, c.LastUpdateStatus)
		}
		progress("waiting until it is Active")
		if err := retry.Sleep(ctx, functionPoll); err != nil {
			return nil, err
		}
	}
}

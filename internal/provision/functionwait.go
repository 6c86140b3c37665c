package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

var (
	functionPoll     = time.Second     // Lambda's own waiters' interval
	functionWait     = 5 * time.Minute // their limit
	functionRoleWait = roleWait
)

// untilReady repeats a call while Lambda does not know a new role yet, or still carries out an
// earlier change.
func (r *function) untilReady(ctx context.Context, progress func(string), call func() error) error {
	for waited, next := time.Duration(0), functionPoll; ; waited, next = waited+next, min(2*next, 8*functionPoll) {
		err := call()
		busy := (*types.ResourceConflictException)(nil)
		switch {
		case roleNotKnown(err):
			progress("waiting until Lambda may use the new role")
		case errors.As(err, &busy) && !strings.Contains(busy.ErrorMessage(), "already exist"):
			progress("waiting until Lambda has carried out an earlier change")
		default:
			return err
		}
		if waited >= functionRoleWait {
			return err
		}
		if err := pause(ctx, next); err != nil {
			return err
		}
	}
}

// roleNotKnown knows the answers that a new role causes, the second one from the key that
// encrypts the variables. Only their words tell them from other invalid parameters.
func roleNotKnown(err error) bool {
	invalid := (*types.InvalidParameterValueException)(nil)
	return errors.As(err, &invalid) &&
		(strings.Contains(invalid.ErrorMessage(), "cannot be assumed by Lambda") || strings.Contains(invalid.ErrorMessage(), "ARN does not refer to a valid principal"))
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
		if err := pause(ctx, functionPoll); err != nil {
			return nil, err
		}
	}
}

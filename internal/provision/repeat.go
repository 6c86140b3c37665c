package provision

import (
	"context"
	"time"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

// settleTime limits the wait for a change to take effect: IAM and S3 need seconds, rarely a minute.
const settleTime = 2 * time.Minute

// repeatWhile retries a call for up to settleTime while it fails with a temporary error.
func repeatWhile(ctx context.Context, temporary func(error) bool, progress func(string), call func() error) error {
	return retry.Policy{
		First: time.Second, Max: 8 * time.Second, Limit: settleTime, Again: temporary,
		Failed: func(err error, _ time.Duration) {
			if awserr.RoleNotReady(err) {
				progress("waiting until the new role can be used")
			} else {
				progress("waiting until an earlier change is finished")
			}
		},
	}.Do(ctx, call)
}

// notSettled reports whether an earlier change is in progress or a new resource is not visible everywhere yet.
func notSettled(err error) bool { return awserr.Conflict(err) || awserr.NotFound(err) }

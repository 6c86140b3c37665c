package provision

import (
	"context"
	"time"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

// settleTime is how long a change is waited for: IAM's and S3's are everywhere within seconds, seldom a minute.
const settleTime = 2 * time.Minute

// repeatWhile repeats a call while it fails with an error that passes, for settleTime at most.
func repeatWhile(ctx context.Context, passes func(error) bool, progress func(string), call func() error) error {
	return retry.Policy{
		First: time.Second, Max: 8 * time.Second, Limit: settleTime, Again: passes,
		Failed: func(err error, _ time.Duration) {
			if awserr.RoleNotReady(err) {
				progress("waiting until the new role can be used")
			} else {
				progress("waiting until AWS has carried out an earlier change of it")
			}
		},
	}.Do(ctx, call)
}

// notSettled reports whether an earlier change of the thing goes on, or what was just made is not known everywhere yet.
func notSettled(err error) bool { return awserr.Conflict(err) || awserr.NotFound(err) }

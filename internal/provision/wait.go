package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

// wait is a class of errors of AWS that end by themselves: a repeated call succeeds.
type wait struct {
	is    func(error) bool
	until string   // what ends it
	calls []string // the calls that are repeated: "Glue CreateTable", or "S3" for all that deploy makes
}

const (
	// settleTime limits the repetition of a call: IAM and S3 need seconds for a change, rarely a minute. Terraform's
	// AWS provider repeats such calls for two minutes too (propagationTimeout).
	settleTime = 2 * time.Minute
	// unchangedTime limits it if the role that the call names was not changed in this run: only an interrupted run,
	// or someone else, may have changed it shortly before.
	unchangedTime = 20 * time.Second
)

// waits lists what deploy and destroy wait for; repeat uses it for every call. awserr names the sources of codes and messages.
// Reads may not return a new resource at once either: untilFound, function.settled and Stream.create wait for that.
var waits = []wait{
	// IAM's user guide, "Troubleshoot IAM": changes are not visible everywhere at once.
	{awserr.RoleNotReady, "the role can be used", []string{
		"Firehose CreateDeliveryStream", "Firehose UpdateDestination",
		"Lambda CreateFunction", "Lambda UpdateFunctionCode", "Lambda UpdateFunctionConfiguration",
	}},
	// The API references of these services. Firehose is not among them: its conflict means that the caller must read the
	// destination again.
	{awserr.Conflict, "an earlier change is finished", []string{"S3", "IAM", "CloudWatch Logs", "Lambda", "Glue", "API Gateway"}},
	// S3's user guide, "Amazon S3 data consistency model": buckets are eventually consistent. IAM's as above. The others are
	// observed: Terraform's provider repeats the same calls.
	{awserr.NotFound, "the new resource is visible everywhere", []string{
		"S3", "IAM PutRolePolicy", "CloudWatch Logs PutRetentionPolicy", "CloudWatch Logs CreateLogStream", "Glue CreateTable",
	}},
}

// waitFor returns the element of waits for the error of a call, or nil if a repetition does not help.
func waitFor(err error) *wait {
	op, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return nil
	}
	i := slices.IndexFunc(waits, func(w wait) bool {
		return w.is(err) && slices.ContainsFunc(w.calls, func(c string) bool { return c == op.ServiceID || c == op.ServiceID+" "+op.OperationName })
	})
	if i < 0 {
		return nil
	}
	return &waits[i]
}

// repeat makes a call, and repeats it for up to settleTime while its error is in waits.
func repeat(ctx context.Context, progress func(string), call func() error) error {
	return repeatWithRole(ctx, nil, progress, call)
}

// repeatWithRole repeats a call that makes a service use a role; nil means one that deploy does not manage.
func repeatWithRole(ctx context.Context, used *role, progress func(string), call func() error) error {
	began := time.Now()
	return retry.Policy{
		First: time.Second, Max: 8 * time.Second, Limit: settleTime,
		Again: func(err error) bool {
			w := waitFor(err)
			return w != nil && (!awserr.RoleNotReady(err) || used.changed() || time.Since(began) < unchangedTime)
		},
		Failed: func(err error, _ time.Duration) {
			text := "waiting until " + waitFor(err).until
			if awserr.RoleNotReady(err) {
				text = used.waiting()
			}
			progress(text)
		},
	}.Do(ctx, call)
}

// foundPoll is the pause between the reads of a new resource.
const foundPoll = time.Second

// untilFound reads a new resource until it is found, for up to settleTime.
func untilFound(ctx context.Context, r Resource, progress func(string)) (State, error) {
	for left := settleTime; ; left -= foundPoll {
		found, err := r.Read(ctx)
		if err != nil || found.Exists || left <= 0 {
			return found, err
		}
		progress(waitingVisible(r))
		if err := retry.Sleep(ctx, foundPoll); err != nil {
			return State{}, err
		}
	}
}

func waitingVisible(r Resource) string {
	return "waiting until the new " + r.Kind() + " is visible everywhere"
}

// changed reports whether this run created or changed the role.
func (r *role) changed() bool { return r != nil && (r.created || r.updated) }

// waiting returns the progress text while a service cannot use the role.
func (r *role) waiting() string {
	switch {
	case r == nil:
		return fmt.Sprintf("waiting up to %s in case a change of its role has not taken effect yet", unchangedTime)
	case r.created:
		return "waiting until the new role " + r.Name() + " can be used"
	case r.updated:
		return "waiting until the change of role " + r.Name() + " has taken effect"
	}
	return fmt.Sprintf("waiting up to %s in case an earlier change of role %s has not taken effect yet", unchangedTime, r.Name())
}

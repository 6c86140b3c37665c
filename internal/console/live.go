package console

import "context"

// Live is the log lines of this moment.
type Live interface {
	// Subscribe calls fn with each enriched line from now on, one after the other, and returns once ctx has ended. A line
	// is a JSON object, valid during the call only. fn does not wait for anything.
	Subscribe(ctx context.Context, fn func(line []byte))
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/usageplan"
)

const (
	// warmUpFor limits loading the usage plan index, within Lambda's ten seconds for a start.
	warmUpFor = 8 * time.Second
	// refreshFor limits a refresh while the index has data: a stale answer is better than a late one.
	refreshFor = 5 * time.Second
	// reserve is the part of an invocation's time that is kept for the enrichment.
	reserve = 500 * time.Millisecond
)

// errNotReady fails the batch, so that Firehose retries it and finally writes the records to the error output. Enriching them
// would permanently leave them without a customer.
var errNotReady = errors.New("usage plans and API keys are not loaded yet, so the keys of some records cannot be looked up")

// index is the part of usageplan.Index used here.
type index interface {
	Refresh(ctx context.Context) error
	Ready() bool
	Pending() int
	Snapshot() *usageplan.Snapshot
}

// enricher handles Firehose's events. Nothing runs between two invocations of a Lambda function, so it refreshes the index
// during invocations, with a time limit.
type enricher struct {
	dir     index
	records *enrich.Enricher
	handler *function.Handler
	log     *slog.Logger
	name    string // of the function in Lambda, for its metrics; "" elsewhere
}

// warmUp loads the index before the first event. After a failure the first invocation retries.
func (e *enricher) warmUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmUpFor)
	defer cancel()
	e.refresh(ctx)
}

// refresh refreshes the index if due. The index logs the first failure and the recovery.
func (e *enricher) refresh(ctx context.Context) {
	if err := e.dir.Refresh(ctx); err != nil {
		e.log.Debug("index refresh failed", "error", err)
	}
}

// Invoke returns the reply to one event. If it finds unknown keys, it looks them up and enriches the batch again, so that
// a new key's records get their customer.
func (e *enricher) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	e.refresh(ctx)
	out := make([]byte, 0, len(event)+len(event)/3)
	before := e.dir.Snapshot()
	unknown := e.records.Unknown()
	defer func() {
		for reason, n := range e.handler.Failures() {
			failed := []slog.Attr{slog.String("reason", reason), slog.Int("records", n)}
			if e.name != "" {
				failed = append(failed, function.FailedRecords(e.name, n, time.Now())...)
			}
			e.log.LogAttrs(ctx, slog.LevelWarn, "records failed", failed...)
		}
	}()
	out, err := e.handler.Append(out, event)
	if err != nil {
		return nil, err
	}
	if e.dir.Pending() > 0 {
		e.refresh(ctx)
		if e.dir.Snapshot() != before {
			unknown = e.records.Unknown()
			e.handler.Failures() // each record is counted again
			if out, err = e.handler.Append(out[:0], event); err != nil {
				return nil, err
			}
		}
	}
	if !e.dir.Ready() && e.records.Unknown() != unknown {
		return nil, errNotReady
	}
	return out, nil
}

// bound limits the time for refreshes: to most of the invocation's time while the index is empty, to a short time later.
func (e *enricher) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		spare := time.Until(deadline) - reserve
		if e.dir.Ready() {
			spare = min(spare/2, refreshFor)
		}
		return context.WithTimeout(ctx, spare)
	}
	return context.WithTimeout(ctx, refreshFor)
}

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
	// warmUpFor bounds the loading of the usage plan index in Lambda's ten seconds for a start.
	warmUpFor = 8 * time.Second
	// refreshFor bounds a refresh while there is an answer to fall back on: stale is better than late.
	refreshFor = 5 * time.Second
	// reserve is kept of an invocation's time for the work itself.
	reserve = 500 * time.Millisecond
)

// errNotReady fails the batch, so that Firehose retries, and after its retries keeps the records in the error output. An answer
// would leave them without a customer for good.
var errNotReady = errors.New("usage plans and keys could not be read yet, and records have keys that are not known")

// index is the part of usageplan.Index that the enricher uses.
type index interface {
	Refresh(ctx context.Context) error
	Ready() bool
	Pending() int
	Snapshot() *usageplan.Snapshot
}

// enricher answers Firehose's events. Nothing runs between two invocations of a Lambda function, so the index is
// refreshed inside of them, bounded.
type enricher struct {
	dir     index
	records *enrich.Enricher
	handler *function.Handler
	log     *slog.Logger
}

// warmUp loads the index before the first event. A failure is not final: the first invocation retries.
func (e *enricher) warmUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmUpFor)
	defer cancel()
	e.refresh(ctx)
}

// refresh refreshes what is due. The index logs the first failure and the recovery.
func (e *enricher) refresh(ctx context.Context) {
	if err := e.dir.Refresh(ctx); err != nil {
		e.log.Debug("refresh", "error", err)
	}
}

// Invoke answers one event. Keys that turn out to be unknown are looked up, and then the batch is enriched once more: a
// customer whose key is a minute old must not be lost for lack of a second pass.
func (e *enricher) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	e.refresh(ctx)
	out := make([]byte, 0, len(event)+len(event)/3)
	before := e.dir.Snapshot()
	unknown := e.records.Stats().Unknown
	out, err := e.handler.Append(out, event)
	if err != nil {
		return nil, err
	}
	if e.dir.Pending() > 0 {
		e.refresh(ctx)
		if e.dir.Snapshot() != before {
			unknown = e.records.Stats().Unknown
			if out, err = e.handler.Append(out[:0], event); err != nil {
				return nil, err
			}
		}
	}
	if !e.dir.Ready() && e.records.Stats().Unknown != unknown {
		return nil, errNotReady
	}
	return out, nil
}

// bound limits the time of refreshes: to all that the invocation can spare while the index is empty, to little later.
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

package deliver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/record"
)

// pipe connects the goroutines of one run of a worker:
//
//	reader ─► work ─► transformers, several at once
//	       └► order ───────────────► collector ─► flushes ─► deliverer
//
// The collector receives the calls in the reader's order and waits for the results of each, so
// calls of the function may overlap while the order of records is kept.
type pipe struct {
	work    chan *call
	order   chan *call
	free    chan *call
	flushes chan *flush
}

func newPipe(shard int) *pipe {
	calls := inFlight + 2 // one is gathered, one is collected
	p := &pipe{
		work:    make(chan *call, calls),
		order:   make(chan *call, calls),
		free:    make(chan *call, calls),
		flushes: make(chan *flush),
	}
	for range calls {
		p.free <- &call{shard: shard, done: make(chan struct{}, 1)}
	}
	return p
}

// take waits for a free call and returns it.
func (p *pipe) take(ctx context.Context) (*call, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case c := <-p.free:
		c.reset()
		return c, nil
	}
}

func give[T any](ctx context.Context, ch chan<- T, v T) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case ch <- v:
		return nil
	}
}

// pump delivers the frames starting at sequence from. If until is 0, it runs until ctx ends;
// otherwise it stops after until, with one flush that finishes the pending one in st.
func (w *Worker) pump(ctx context.Context, st *state, from, until uint64) error {
	group, ctx := errgroup.WithContext(ctx)
	pending := st.doc.Pending // read here, before the deliverer owns st
	p := newPipe(w.cfg.Shard)
	w.requests.again()
	group.Go(func() error { return (&reader{w: w, pipe: p, until: until}).run(ctx, from) })
	for range inFlight {
		group.Go(func() error { return w.transform(ctx, p) })
	}
	group.Go(func() error { return (&collector{w: w, pipe: p, pending: pending}).run(ctx) })
	group.Go(func() error { return (&deliverer{w: w, state: st}).run(ctx, p.flushes) })
	return group.Wait()
}

// transform invokes the function for each call of p.work.
func (w *Worker) transform(ctx context.Context, p *pipe) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-p.work:
			if !ok {
				return nil
			}
			if err := w.attempt(ctx, c); err != nil {
				return err
			}
			c.done <- struct{}{}
		}
	}
}

// attempt calls the function until it succeeds or the retries are used up. It returns an error
// only if ctx ends.
func (w *Worker) attempt(ctx context.Context, c *call) error {
	c.attempts = 0
	policy := waits
	policy.Tries = c.retries + 1
	policy.Again = func(err error) bool { return ctx.Err() == nil && retryable(err) }
	err := policy.Do(ctx, func() error {
		c.attempts++
		results, err := w.invoke(ctx, c)
		c.ended = w.now()
		switch {
		case err == nil:
			w.functionFailures.Worked()
			c.results = complete(results, len(c.records))
		case ctx.Err() == nil:
			w.cfg.Metrics.callFailures.WithLabelValues(w.stream).Inc()
			w.functionFailures.Failed(err)
		}
		return err
	})
	if err != nil && ctx.Err() == nil && (c.attempts > c.retries || !retryable(err)) {
		c.fail(err)
		return nil
	}
	return err
}

func retryable(err error) bool {
	var failed *record.CallError
	return !errors.As(err, &failed) || failed.Retryable
}

// invoke calls the function once. A panic counts as a failed call: one record that makes the
// function panic must not stop the others.
func (w *Worker) invoke(ctx context.Context, c *call) (results []record.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The panic value can contain a record, so only its type is logged.
			w.logger.Error("function panicked", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fmt.Errorf("function panicked: %T", p)
		}
	}()
	return w.fn.Transform(ctx, record.Call{
		StreamARN: c.streamARN, FunctionARN: c.functionARN,
		ID: c.id, Arrived: c.arrived, Scratch: &c.scratch,
	}, c.batch(), c.results[:0])
}

// complete returns results with exactly one result per record: missing ones fail.
func complete(results []record.Result, n int) []record.Result {
	for len(results) < n {
		results = append(results, record.Result{Status: record.Failed, Code: record.CodeMissingRecord, Message: record.MessageMissingRecord})
	}
	return results[:n]
}

// fail sets the result of every record of the call to err.
func (c *call) fail(err error) {
	r := record.Result{Status: record.Failed, Code: record.CodeFunctionError, Message: record.MessageFunctionError}
	var callErr *record.CallError
	if errors.As(err, &callErr) {
		r.Code, r.Message = callErr.Code, callErr.Message
	}
	c.results = append(c.results[:0], slices.Repeat([]record.Result{r}, len(c.records))...)
}

// pass completes the call without a function: records are delivered unchanged.
func (c *call) pass(now time.Time) {
	c.results, c.attempts, c.ended = c.results[:0], 1, now
	for _, rec := range c.records {
		r := record.Result{Data: rec}
		if c.kind == callCorrupt {
			r = record.Result{Status: record.Failed, Code: record.CodeCorruptFrame, Message: record.MessageCorruptFrame}
		}
		c.results = append(c.results, r)
	}
	c.done <- struct{}{}
}

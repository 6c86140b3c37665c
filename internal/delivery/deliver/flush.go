package deliver

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// flush is a wish that everything that is in the log now be delivered.
type flush struct {
	last  uint64 // everything up to here
	taken bool   // it is in the pipeline; guarded by flushes.mu
	done  chan struct{}
}

// flushes is the wishes that are not fulfilled.
type flushes struct {
	mu  sync.Mutex // guards all
	all []*flush
}

// take gives the wishes that are due and not taken yet.
func (s *flushes) take(due func(*flush) bool) []*flush {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken []*flush
	for _, f := range s.all {
		if !f.taken && due(f) {
			f.taken = true
			taken = append(taken, f)
		}
	}
	return taken
}

// anew makes wishes that were lost with a pipeline due again.
func (s *flushes) anew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		f.taken = false
	}
}

func (s *flushes) add(f *flush) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, f)
}

func (s *flushes) remove(f *flush) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o *flush) bool { return o == f })
}

func (s *flushes) fulfilled(done []*flush) {
	for _, f := range done {
		s.remove(f)
		close(f.done)
	}
}

// errStopped: nobody delivers any more.
var errStopped = errors.New("flush: the worker has stopped")

// Flush closes the open cut now and returns once everything that was appended to the log
// before the call is delivered. It waits for Run to begin, as long as delivery fails, and
// at most until ctx ends. A worker that stands by for another has nothing to flush.
func (w *Worker) Flush(ctx context.Context) error {
	if w.standby.Load() {
		return nil
	}
	var last uint64
	if err := untilDone(ctx, w.logFailures, func() (err error) {
		last, err = w.log.Last(ctx)
		return err
	}); err != nil {
		return err
	}
	f := &flush{last: last, done: make(chan struct{})}
	w.flushes.add(f)
	defer w.flushes.remove(f)
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stopped:
		select {
		case <-f.done:
			return nil
		default:
			return errStopped
		}
	}
}

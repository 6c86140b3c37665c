package deliver

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// flushRequest asks to deliver everything that is in the log now.
type flushRequest struct {
	last  uint64 // everything up to here
	taken bool   // the reader has passed it on; guarded by requests.mu
	done  chan struct{}
}

// requests holds the flush requests that are not fulfilled.
type requests struct {
	mu  sync.Mutex // guards all
	all []*flushRequest
}

// take returns the requests that are due and not taken yet.
func (s *requests) take(due func(*flushRequest) bool) []*flushRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken []*flushRequest
	for _, f := range s.all {
		if !f.taken && due(f) {
			f.taken = true
			taken = append(taken, f)
		}
	}
	return taken
}

// again makes requests due again that were lost with the goroutines of a run.
func (s *requests) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		f.taken = false
	}
}

func (s *requests) add(f *flushRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, f)
}

func (s *requests) remove(f *flushRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o *flushRequest) bool { return o == f })
}

func (s *requests) fulfilled(done []*flushRequest) {
	for _, f := range done {
		s.remove(f)
		close(f.done)
	}
}

// errStopped is the error of a Flush that no worker will fulfill.
var errStopped = errors.New("flush: the worker has stopped")

// Flush closes the open flush now and returns once everything that was appended to the log
// before the call is delivered. It waits for Run to begin, as long as delivery fails, and
// at most until ctx ends. A worker on standby has nothing to flush.
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
	f := &flushRequest{last: last, done: make(chan struct{})}
	w.requests.add(f)
	defer w.requests.remove(f)
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

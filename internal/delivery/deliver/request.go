package deliver

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// flushRequest asks for delivery of everything in the log up to last.
type flushRequest struct {
	last  uint64 // sequence up to which to deliver
	taken bool   // passed on by the reader; guarded by requests.mu
	done  chan struct{}
}

// requests holds the unfulfilled flush requests.
type requests struct {
	mu  sync.Mutex // guards all
	all []*flushRequest
}

// take returns the requests that are due and not yet taken.
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

// again releases taken requests that were lost when the goroutines of a run ended.
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

// errStopped is returned by Flush if no worker will fulfill the request.
var errStopped = errors.New("flush: the worker has stopped")

// Flush closes the open flush now and returns once everything that was appended to the log
// before the call is delivered. It waits until Run starts and while delivery fails, but not
// beyond ctx. On a standby worker it returns immediately.
func (w *Worker) Flush(ctx context.Context) error {
	if w.standby.Load() {
		return nil
	}
	var last uint64
	if err := untilDone(ctx, w.logFailures, func() (err error) {
		_, last, err = w.log.Range(ctx)
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

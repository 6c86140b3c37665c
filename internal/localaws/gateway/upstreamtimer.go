package gateway

import (
	"context"
	"io"
	"sync"
	"time"
)

// upstreamTimer limits how long an upstream may take until its response headers. It is paused
// while the gateway waits for the client's body: API Gateway reads the whole body before it calls
// the upstream.
type upstreamTimer struct {
	timer   *time.Timer
	timeout time.Duration
	cancel  context.CancelCauseFunc // called when the time is over

	mu   sync.Mutex // guards over, and the timer against a restart after it
	over bool
}

func newUpstreamTimer() *upstreamTimer {
	t := &upstreamTimer{}
	t.timer = time.AfterFunc(MaxTimeout, t.expire)
	t.timer.Stop()
	return t
}

func (t *upstreamTimer) start(timeout time.Duration, cancel context.CancelCauseFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timeout, t.cancel, t.over = timeout, cancel, false
	t.timer.Reset(timeout)
}

func (t *upstreamTimer) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.cancel(errTimeout)
	}
}

// end stops the timer and returns false if it had expired. After that t must not be started
// again: expire may still run.
func (t *upstreamTimer) end() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.timer.Stop()
}

func (t *upstreamTimer) pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.timer.Stop()
	}
}

func (t *upstreamTimer) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.timer.Reset(t.timeout)
	}
}

// clientBody is the request's body, which pauses the timer during reads. The transport may still
// read it when the request has ended, so it holds nothing that is reused.
type clientBody struct {
	io.ReadCloser
	timer *upstreamTimer
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.timer.pause()
	n, err := b.ReadCloser.Read(p)
	b.timer.resume()
	return n, err
}

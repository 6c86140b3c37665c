package gateway

import (
	"context"
	"io"
	"sync"
	"time"
)

// upstreamTimer limits the time until the upstream's response headers. It is paused while the gateway waits
// for the client's body: API Gateway reads the whole body before it calls the upstream.
type upstreamTimer struct {
	timer   *time.Timer
	timeout time.Duration
	cancel  context.CancelCauseFunc // called on expiry

	mu   sync.Mutex // guards over, and prevents a restart of timer after it
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

// end stops the timer and returns false if it had expired. Then t must not be started again, because expire
// may still run.
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

// clientBody is the body of a request. It pauses the timer during reads. The transport may still read it
// after the request has ended, so it refers to nothing that is reused.
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

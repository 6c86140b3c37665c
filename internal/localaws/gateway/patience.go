package gateway

import (
	"context"
	"io"
	"sync"
	"time"
)

// patience is the time that an upstream has. It runs while the gateway waits for the upstream,
// and stands still while it waits for the client's body: API Gateway has the whole body before
// it calls the upstream. It ends with the upstream's headers.
type patience struct {
	timer   *time.Timer
	timeout time.Duration
	stop    context.CancelCauseFunc

	mu   sync.Mutex // guards over, and the timer against a restart after it
	over bool
}

func newPatience() *patience {
	p := &patience{}
	p.timer = time.AfterFunc(MaxTimeout, p.expire)
	p.timer.Stop()
	return p
}

func (p *patience) begin(timeout time.Duration, stop context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timeout, p.stop, p.over = timeout, stop, false
	p.timer.Reset(timeout)
}

func (p *patience) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.stop(errTimeout)
	}
}

// end answers false when the time had run out. After that p must not begin again: expire may
// still be on its way.
func (p *patience) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	return p.timer.Stop()
}

func (p *patience) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.timer.Stop()
	}
}

func (p *patience) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.timer.Reset(p.timeout)
	}
}

// clientBody is the client's body on its way to the upstream. The transport may still read it
// when the request has ended, so it holds nothing that is used again.
type clientBody struct {
	io.ReadCloser
	patience *patience
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.patience.hold()
	n, err := b.ReadCloser.Read(p)
	b.patience.goOn()
	return n, err
}

package ingest

import "sync"

// gate admits requests to a stream until it is closed.
type gate struct {
	mu     sync.Mutex // guards inside, closed, empty
	inside int
	closed bool
	empty  chan struct{} // set while close waits; closed when inside is 0
}

// enter reports whether the caller was admitted. If so, the caller must call leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// close stops admitting requests and returns once all have left. It may be repeated, but not in
// parallel.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	if g.inside == 0 {
		g.mu.Unlock()
		return
	}
	empty := make(chan struct{})
	g.empty = empty
	g.mu.Unlock()
	<-empty
}

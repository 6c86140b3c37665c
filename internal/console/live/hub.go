// Package live distributes enriched log lines to subscribers. It stores nothing: without
// subscribers a line costs one atomic read, and a subscriber that is too slow misses lines.
package live

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
)

// waiting bounds the lines that wait for one subscriber.
const waiting = 1024

// Hub distributes lines. The zero value is ready for use and safe for parallel use.
type Hub struct {
	active atomic.Int32 // subscribers

	mu          sync.Mutex // guards subscribers
	subscribers map[chan []byte]struct{}
}

// Active reports whether there is a subscriber. Without one, callers need not collect lines.
func (h *Hub) Active() bool { return h.active.Load() > 0 }

// Publish sends lines, each ended by a newline, to all subscribers. It neither blocks nor keeps the slice.
func (h *Hub) Publish(lines []byte) {
	if !h.Active() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if len(line) == 0 {
			continue
		}
		kept := bytes.Clone(line)
		for lines := range h.subscribers {
			select {
			case lines <- kept:
			default: // it is too slow
			}
		}
	}
}

// Subscribe calls fn with each new line until ctx ends. fn may keep the line but must not change it.
func (h *Hub) Subscribe(ctx context.Context, fn func(line []byte)) {
	lines := make(chan []byte, waiting)
	h.mu.Lock()
	if h.subscribers == nil {
		h.subscribers = map[chan []byte]struct{}{}
	}
	h.subscribers[lines] = struct{}{}
	h.mu.Unlock()
	h.active.Add(1)
	defer func() {
		h.active.Add(-1)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subscribers, lines)
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-lines:
			fn(line)
		}
	}
}

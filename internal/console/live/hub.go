// Package live shows enriched log lines to whoever looks, as they pass. It keeps nothing: a line
// that nobody looks at costs one atomic read, and one that comes faster than somebody reads
// is left out for them, and counted.
package live

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
)

// waiting is how many lines wait for one subscriber.
const waiting = 1024

// Hub passes lines on. The zero value is ready for use, also in parallel.
type Hub struct {
	active atomic.Int32 // subscribers

	mu          sync.Mutex // guards subscribers
	subscribers map[*subscriber]struct{}
}

type subscriber struct {
	lines  chan []byte
	missed atomic.Int64
}

// Active says whether anybody looks, so that others need not gather lines.
func (h *Hub) Active() bool { return h.active.Load() > 0 }

// Publish passes on lines, each ended by a newline. It does not wait, and keeps nothing of them.
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
		for s := range h.subscribers {
			select {
			case s.lines <- kept:
			default:
				s.missed.Add(1)
			}
		}
	}
}

// Subscribe calls fn with each line from now on, until ctx ends. missed is how many came too
// fast since the last call. The line may be kept, and must not be changed.
func (h *Hub) Subscribe(ctx context.Context, fn func(line []byte, missed int64)) {
	s := &subscriber{lines: make(chan []byte, waiting)}
	h.mu.Lock()
	if h.subscribers == nil {
		h.subscribers = map[*subscriber]struct{}{}
	}
	h.subscribers[s] = struct{}{}
	h.mu.Unlock()
	h.active.Add(1)
	defer func() {
		h.active.Add(-1)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subscribers, s)
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-s.lines:
			fn(line, s.missed.Swap(0))
		}
	}
}

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Live hands out the requests of this moment.
type Live interface {
	// Subscribe calls fn with each enriched request from now on, one after the other, and returns once ctx has ended. fn
	// does not wait for anything.
	Subscribe(ctx context.Context, fn func(lake.Request))
}

const (
	// liveEvery is how often lines are sent, together: a browser draws no quicker anyway.
	liveEvery = 200 * time.Millisecond
	// liveLines is how many lines are sent at a time. A person cannot read the others; they are counted.
	liveLines = 50
	// liveWaiting is how many lines may wait to be looked at.
	liveWaiting = 2048
	// liveReaders bounds the tails that are open.
	liveReaders = 64
	// liveBeat is how often a tail without lines says that it is there, so that nothing between closes it.
	liveBeat = 15 * time.Second
	// liveWrite is how long a browser may take to accept what is sent.
	liveWrite = 30 * time.Second
	// liveLongest ends a tail; the browser opens it again, and must still be signed in.
	liveLongest = time.Hour
)

// livePage serves the page of the live tail; its lines come over liveStream.
func (c *Console) livePage(w http.ResponseWriter, r *http.Request) {
	v, ok := c.view(w, r, "/live")
	if !ok {
		return
	}
	f := c.newFrame(r, "Live tail", "/live", &v)
	f.Spans = nil
	c.render(w, "top", f)
	c.render(w, "live", livePage{v.URL("/live/stream"), v.ZoneName()})
	c.render(w, "bottom", f)
}

// livePage is what the page of the live tail shows.
type livePage struct{ Stream, Zone string }

// batch is what one event of the stream holds.
type batch struct {
	Lines []line `json:"lines"`
	// Skipped is how many lines that the filters may let pass were not sent, because there were too many.
	Skipped int64 `json:"skipped"`
}

// liveStream sends lines as server-sent events until the browser goes away.
func (c *Console) liveStream(w http.ResponseWriter, r *http.Request) {
	v, ok := c.view(w, r, "/live")
	if !ok {
		return
	}
	if c.readers.Add(1) > liveReaders {
		c.readers.Add(-1)
		http.Error(w, fmt.Sprintf("There are %d live tails open; close one.", liveReaders), http.StatusServiceUnavailable)
		return
	}
	defer c.readers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	ctx, cancel := context.WithTimeout(r.Context(), liveLongest)
	defer cancel()
	lines := make(chan lake.Request, liveWaiting)
	var missed atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		c.cfg.Live.Subscribe(ctx, func(r lake.Request) {
			if len(lines) == cap(lines) { // this is the one sender
				missed.Add(1)
				return
			}
			lines <- r
		})
	})
	c.send(ctx, w, v, lines, &missed)
}

// send gathers lines and writes them, until ctx ends or the browser is gone.
func (c *Console) send(ctx context.Context, w http.ResponseWriter, v view, lines <-chan lake.Request, missed *atomic.Int64) {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	b := batch{Lines: []line{}} // JSON of nil is null
	last := time.Now()
	write := func(event string) bool {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(liveWrite)) //nolint:errcheck // a writer without deadlines
		_, err := fmt.Fprint(w, event)
		flush(w)
		last = time.Now()
		return err == nil
	}
	if !write("retry: 2000\n: listening\n\n") {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-lines:
			switch {
			case !v.filter.Match(r, v.zone):
			case len(b.Lines) < liveLines:
				b.Lines = append(b.Lines, v.line(r, c.cfg.Now()))
			default:
				b.Skipped++
			}
			continue
		case <-tick.C:
		}
		b.Skipped += missed.Swap(0)
		switch {
		case len(b.Lines) > 0 || b.Skipped > 0:
			text, err := json.Marshal(b) // escapes newlines, which would end an event
			if err != nil {
				panic("BUG: lines that JSON cannot hold: " + err.Error())
			}
			if !write("data: " + string(text) + "\n\n") {
				return
			}
			b = batch{Lines: []line{}}
		case time.Since(last) > liveBeat:
			if !write(": still here\n\n") {
				return
			}
		}
	}
}

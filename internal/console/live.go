package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

const (
	// liveEvery is the interval at which lines are sent in one event.
	liveEvery = 200 * time.Millisecond
	// liveLines bounds the lines in one event. More could not be read; they are only counted.
	liveLines = 50
	// liveWaiting bounds the lines that wait to be filtered.
	liveWaiting = 2048
	// liveReaders bounds the open live tails.
	liveReaders = 64
	// liveBeat is the interval of keep-alive messages on a tail without lines, so that proxies do not close it.
	liveBeat = 15 * time.Second
	// liveWrite is the write timeout.
	liveWrite = 30 * time.Second
	// liveLongest bounds the duration of a tail. The browser then reconnects and must still be signed in.
	liveLongest = time.Hour
)

// livePage serves the page of the live tail, which reads its lines from liveStream.
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

// livePage is the data of the page of the live tail.
type livePage struct{ Stream, Zone string }

// batch is the data of one event.
type batch struct {
	Lines []line `json:"lines"`
	// Skipped counts lines that were not sent because there were too many. The filters might exclude some of them.
	Skipped int64 `json:"skipped"`
}

// liveStream sends lines as server-sent events until the browser disconnects.
func (c *Console) liveStream(w http.ResponseWriter, r *http.Request) {
	v, ok := c.view(w, r, "/live")
	if !ok {
		return
	}
	if c.readers.Add(1) > liveReaders {
		c.readers.Add(-1)
		http.Error(w, fmt.Sprintf("Too many live tails: %d are open. Close one.", liveReaders), http.StatusServiceUnavailable)
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
		c.cfg.Live(ctx, func(r lake.Request) {
			if len(lines) == cap(lines) { // fn is the only sender
				missed.Add(1)
				return
			}
			lines <- r
		})
	})
	c.send(ctx, w, v, lines, &missed)
}

// send filters lines and writes them as events until ctx ends or the browser disconnects.
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
				panic("BUG: encode lines: " + err.Error())
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

// line is a request in the live tail.
type line struct {
	Time     string   `json:"time"`
	Status   int64    `json:"status"` // 0 if missing
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Route    string   `json:"route"`
	Customer string   `json:"customer"`
	Key      string   `json:"key"`
	Plan     string   `json:"plan"`
	API      string   `json:"api"`
	Stage    string   `json:"stage"`
	Latency  *float64 `json:"latency"` // milliseconds; nil if missing
	IP       string   `json:"ip"`
	Error    string   `json:"error"`
}

// line returns a request for the live tail. Its time is now if the request has none.
func (v view) line(r lake.Request, now time.Time) line {
	at := r.Time
	if at.IsZero() {
		at = now
	}
	l := line{
		Time: at.In(v.zone).Format("15:04:05.000"), Method: r.Method, Path: r.Path, Route: r.Route, Customer: r.Customer, Key: r.KeyID,
		Plan: r.UsagePlan, API: r.API, Stage: r.Stage, IP: r.IP, Error: r.ErrorMsg,
	}
	if n, err := strconv.ParseInt(r.Status, 10, 64); err == nil && n >= 100 && n <= 599 {
		l.Status = n
	}
	if ms, err := strconv.ParseFloat(r.Latency, 64); err == nil && !math.IsNaN(ms) && !math.IsInf(ms, 0) {
		l.Latency = &ms
	}
	return l
}

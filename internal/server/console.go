package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/console"
	"github.com/stagelog/stagelog/internal/lake"
)

// consolePage is the console over this chain's own bucket, its stages' live lines and its
// delivery.
func (c *Chain) consolePage() http.Handler {
	return console.New(console.Config{
		DB: c.lake.DB, Live: liveLines{c}, Delivery: deliveries{c}, Password: c.cfg.ConsolePassword,
		Title: c.cfg.Pipeline.Name, Logger: c.log.With("room", "console"),
	})
}

// closedPage is there instead of the console where everybody could come, and no password is set.
func closedPage(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "The console shows who calls your API, and this address is not of this machine alone.\n"+
		"Give it a password (--console-password-file), or have it listen on 127.0.0.1.", http.StatusForbidden)
}

// onLoopback says whether nobody but this machine reaches a listener.
func onLoopback(ln net.Listener) bool {
	host, _, err := net.SplitHostPort(ln.Addr().String())
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// liveLines gives the console requests as they are enriched.
type liveLines struct{ chain *Chain }

// Subscribe implements console.Live.
func (l liveLines) Subscribe(ctx context.Context, fn func(lake.Request)) {
	mapping, err := l.chain.mapping()
	if err != nil {
		l.chain.log.Error("reading live lines failed", "error", err)
		return
	}
	l.chain.live.Subscribe(ctx, func(line []byte, _ int64) {
		if r, ok := mapping.Read(line); ok {
			fn(r)
		}
	})
}

// LinesPath is where the address of the console serves enriched lines as they pass, on
// loopback alone.
const LinesPath = "/lines"

// serveLines serves enriched lines as they pass, one JSON object each, until the client goes.
func (c *Chain) serveLines(w http.ResponseWriter, r *http.Request) {
	if host, _, err := net.SplitHostPort(r.Host); err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
		http.Error(w, "ask for this at 127.0.0.1", http.StatusMisdirectedRequest) // a web page may have a name that points here
		return
	}
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	flusher.Flush()
	c.live.Subscribe(ctx, func(line []byte, _ int64) {
		if _, err := w.Write(append(line[:len(line):len(line)], '\n')); err != nil {
			cancel()
			return
		}
		flusher.Flush()
	})
}

// deliveries is how delivery goes.
type deliveries struct{ chain *Chain }

// Deliveries implements console.Delivery.
func (d deliveries) Deliveries(ctx context.Context) (console.Deliveries, error) {
	c := d.chain
	stats := c.index.Stats()
	all := console.Deliveries{Directory: &console.Directory{Keys: stats.Keys, Plans: stats.Plans, Remembered: stats.Gone, Pending: stats.Pending, Age: stats.Age}}
	for _, s := range c.streams.Streams() {
		to := s.Destination
		shown := console.Stream{Name: s.Name, Destination: "s3://" + to.Bucket() + "/" + to.Prefix}
		for shard, w := range c.delivery.of(s.Name) {
			log, err := c.buffer.Log(ctx, s.Name, shard)
			if err != nil {
				return all, err
			}
			waiting, err := log.Stats(ctx)
			if err != nil {
				return all, err
			}
			state := w.State()
			if waiting.Last > state.Delivered { // the log keeps its last frame, delivered or not
				shown.Backlog.Bytes += waiting.Bytes
			}
			shown.Backlog.Age = max(shown.Backlog.Age, state.Age)
			shown.Objects += state.Counts.Objects
			shown.Records += state.Counts.Out
			shown.Bytes += state.Counts.BytesOut
			shown.ErrorRecords += state.Counts.Failed
			if state.Last.After(shown.LastDelivered) {
				shown.LastDelivered = state.Last
			}
			for _, t := range state.Failures {
				shown.Failures = append(shown.Failures, console.Failure{Code: t.What + " is failing", Message: t.Error, Count: t.Tries, Last: t.Last})
			}
		}
		if shown.ErrorRecords > 0 {
			shown.Failures = append(shown.Failures, console.Failure{
				Code: "error output", Message: "Records that could not be enriched are below " + to.ErrorOutputPrefix, Count: shown.ErrorRecords,
				Last: shown.LastDelivered, Replay: "stagelog replay --into " + to.Prefix + "replayed/",
			})
		}
		all.Streams = append(all.Streams, shown)
	}
	return all, nil
}

// ownLake is the lake of the console: made when somebody first looks, and filled while somebody does.
type ownLake struct {
	chain *Chain

	mu      sync.Mutex // guards what follows
	lake    *lake.Lake
	filling chan struct{} // closed when the filling under way ends; nil is none
	filled  time.Time     // when the last one began
	closed  bool
}

const (
	// fillEvery is how old what the console shows may be.
	fillEvery = 5 * time.Second
	// fillPatience is how long a page waits for what is new; it is there on the next one.
	fillPatience = 2 * time.Second
)

// DB is the lake, with what is new in the bucket taken in as far as that is quick.
func (o *ownLake) DB(ctx context.Context) (*sql.DB, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, errors.New("stagelog is starting or stopping")
	}
	if o.lake == nil {
		l, err := lake.Open(ctx, filepath.Join(o.chain.cfg.Dir, "lake", "console.duckdb"), lake.Options{MemoryMiB: 512})
		if err != nil {
			return nil, err
		}
		o.lake = l
	}
	if o.filling == nil && time.Since(o.filled) > fillEvery {
		o.filled, o.filling = time.Now(), make(chan struct{})
		go o.fill(o.chain.serving, o.lake, o.filling)
	}
	if filling := o.filling; filling != nil {
		o.mu.Unlock()
		select {
		case <-filling:
		case <-time.After(fillPatience):
		case <-ctx.Done():
		}
		o.mu.Lock()
	}
	return o.lake.DB(), nil
}

func (o *ownLake) fill(ctx context.Context, l *lake.Lake, done chan struct{}) {
	err := o.chain.fillLake(ctx, l)
	if err != nil && ctx.Err() == nil {
		o.chain.log.Warn("the console cannot take in what is new in the bucket", "error", err)
	}
	o.mu.Lock()
	o.filling = nil
	o.mu.Unlock()
	close(done)
}

// close waits for a filling under way, whose context has ended, and closes the lake.
func (o *ownLake) close() error {
	o.mu.Lock()
	o.closed = true
	filling := o.filling
	o.mu.Unlock()
	if filling != nil {
		<-filling
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lake == nil {
		return nil
	}
	return o.lake.Close()
}

// fillLake takes in what is new of the pipeline's bucket.
func (c *Chain) fillLake(ctx context.Context, l *lake.Lake) error {
	p := c.cfg.Pipeline
	if p.Bucket == "" {
		return nil
	}
	mapping, err := c.mapping()
	if err != nil {
		return err
	}
	_, err = l.Import(ctx, c.objects.Bucket(p.Bucket), lake.ImportOptions{Prefix: p.Deliver.Logs(), Except: []string{p.Deliver.ErrorOutput(), "stagelog/"}, Mapping: mapping, Parallel: 2})
	return err
}

// mapping is which field of the pipeline's lines is what.
func (c *Chain) mapping() (lake.Mapping, error) {
	p := c.cfg.Pipeline
	if p.Format == "" {
		return lake.Mapping{}, nil
	}
	format, err := accesslog.Parse(p.Format)
	if err != nil {
		return lake.Mapping{}, fmt.Errorf("the pipeline's format: %w", err)
	}
	return lake.MappingOf(format, p.Names.UsagePlan, p.Names.Customer, p.Names.UsagePlanID), nil
}

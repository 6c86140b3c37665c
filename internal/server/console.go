package server

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/stagelog/stagelog/internal/console"
	"github.com/stagelog/stagelog/internal/lake"
)

// consolePage is the console over this server's own bucket, its stages' live lines and its
// delivery.
func (c *Server) consolePage() http.Handler {
	return console.New(console.Config{
		DB: c.lake.DB, Live: liveLines{c}, Delivery: deliveries{c}, Password: c.cfg.ConsolePassword,
		Title: c.cfg.Pipeline.Name, Logger: c.log.With("component", "console"),
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
type liveLines struct{ server *Server }

// Subscribe implements console.Live.
func (l liveLines) Subscribe(ctx context.Context, fn func(lake.Request)) {
	opts, err := lake.OptionsOf(l.server.cfg.Pipeline)
	if err != nil {
		l.server.log.Error("reading live lines failed", "error", err)
		return
	}
	l.server.live.Subscribe(ctx, func(line []byte, _ int64) {
		if r, ok := opts.Mapping.Read(line); ok {
			fn(r)
		}
	})
}

// LinesPath is where the address of the console serves enriched lines as they pass, on
// loopback alone.
const LinesPath = "/lines"

// serveLines serves enriched lines as they pass, one JSON object each, until the client goes.
func (c *Server) serveLines(w http.ResponseWriter, r *http.Request) {
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
type deliveries struct{ server *Server }

// Deliveries implements console.Delivery.
func (d deliveries) Deliveries(ctx context.Context) (console.Deliveries, error) {
	c := d.server
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

const (
	// fillEvery is how old what the console shows may be.
	fillEvery = 5 * time.Second
	// fillWait is how long a page waits for what is new; the next one has it.
	fillWait = 2 * time.Second
)

// newLake returns the console's lake over the pipeline's own bucket.
func (c *Server) newLake() *lake.Filler {
	return lake.NewFiller(lake.FillerConfig{
		Open: func(ctx context.Context) (*lake.Lake, error) {
			return lake.Open(ctx, filepath.Join(c.cfg.Dir, "lake", "console.duckdb"), lake.Options{MemoryMiB: 512})
		},
		Fill:  c.fillLake,
		Every: fillEvery, Wait: fillWait,
		Failed: func(err error) { c.log.Warn("import for the console failed", "error", err) },
	})
}

// fillLake imports what is new in the pipeline's bucket.
func (c *Server) fillLake(ctx context.Context, l *lake.Lake) error {
	p := c.cfg.Pipeline
	if p.Bucket == "" {
		return nil
	}
	opts, err := lake.OptionsOf(p)
	if err != nil {
		return err
	}
	opts.Parallel = 2
	_, err = l.Import(ctx, c.objects.Bucket(p.Bucket), opts)
	return err
}

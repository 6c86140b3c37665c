package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/stagelog/stagelog/internal/console"
	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/coverage"
	"github.com/stagelog/stagelog/internal/lake/lend"
	"github.com/stagelog/stagelog/internal/provision"
)

// consolePage returns the console for this server's bucket, live lines and delivery.
func (c *Server) consolePage() http.Handler {
	return console.New(console.Config{
		Lake: c.lake.Lake, Failed: c.lake.Report, Live: c.liveLines, Delivery: c.deliveries, Acknowledge: c.delivery.faults.Acknowledge, Password: c.cfg.ConsolePassword,
		Title: c.cfg.Pipeline.Name, Hosts: c.cfg.ConsoleHosts, Logger: c.log, Notices: c.health.problems,
	})
}

// closedPage replaces the console if it is reachable from other machines and has no password.
func closedPage(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "The console shows who calls your API, and this address can be reached from other machines.\n"+
		"Set a password with --console-password-file, or listen on 127.0.0.1.", http.StatusForbidden)
}

// onLoopback reports whether a listener is reachable from this machine only.
func onLoopback(ln net.Listener) bool {
	host, _, err := net.SplitHostPort(ln.Addr().String())
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// liveLines streams requests to the console as they are enriched.
func (c *Server) liveLines(ctx context.Context, fn func(lake.Request)) {
	opts := lake.OptionsOf(c.cfg.Pipeline)
	c.live.Subscribe(ctx, func(line []byte) {
		if r, ok := opts.Mapping.Read(line); ok {
			fn(r)
		}
	})
}

// LinesPath is the path on the console's address that streams enriched lines, on loopback only.
const LinesPath = "/lines"

// serveLines streams enriched lines, one JSON object each, until the client disconnects.
func (c *Server) serveLines(w http.ResponseWriter, r *http.Request) {
	response := http.NewResponseController(w)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	if response.Flush() != nil {
		return // the client has disconnected
	}
	c.live.Subscribe(ctx, func(line []byte) {
		_, err := w.Write(append(line[:len(line):len(line)], '\n'))
		if err != nil || response.Flush() != nil {
			cancel()
		}
	})
}

// deliveries returns the state of delivery for the console.
func (c *Server) deliveries(ctx context.Context) (console.Deliveries, error) {
	stats := c.index.Stats()
	all := console.Deliveries{Index: &console.PlanIndex{Keys: stats.Keys, Plans: stats.Plans, Remembered: stats.Gone, Pending: stats.Pending, Age: stats.Age}}
	for _, f := range c.delivery.faults.Open() {
		all.Faults = append(all.Faults, console.Fault{Found: f.Found, Text: f.String()})
	}
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
			if waiting.Last > state.Delivered { // the log always keeps its last frame
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
	// fillEvery limits the age of the console's data.
	fillEvery = 5 * time.Second
	// fillWait is how long a page waits for an import; a slower one appears on the next page.
	fillWait = 2 * time.Second
)

// openLake returns the lake over the pipeline's own bucket, and what lends it to commands.
func (c *Server) openLake() (*lake.Filler, *lend.Lender) {
	endpoint := lake.Local
	if c.cfg.S3Endpoint != "" {
		endpoint = c.cfg.S3Endpoint
	}
	path := filepath.Join(c.cfg.Dir, "lake", lake.FileName(c.cfg.Pipeline.Bucket, "", endpoint))
	rebuilt := func(aside string) {
		c.log.Warn("the lake was damaged and is rebuilt from the bucket", "damaged", aside)
	}
	imports := imports{log: c.log, whole: failurelog.New(c.log, slog.LevelWarn, "the import for the console"), skipped: map[string]*failurelog.Log{}}
	filler := &lake.Filler{
		Open: func(ctx context.Context) (*lake.Lake, error) {
			if err := adoptLake(path); err != nil {
				return nil, err
			}
			return lake.Open(ctx, path, lake.Options{MemoryMiB: 512, Rebuilt: rebuilt, Wait: fillWait})
		},
		SetAside: func() error {
			aside, err := lake.SetAside(path)
			if err == nil {
				rebuilt(aside)
			}
			return err
		},
		Fill: func(ctx context.Context, l *lake.Lake) error {
			sum, err := c.fillLake(ctx, l, lake.OptionsOf(c.cfg.Pipeline))
			imports.done(sum, err)
			return err
		},
		Every: fillEvery, Wait: fillWait,
		Failed: func(err error) { imports.whole.Failed(err) },
	}
	return filler, &lend.Lender{
		Path: path, Filler: filler,
		Import: func(ctx context.Context, l *lake.Lake, asked lend.Import, progress func(lake.Summary)) (lake.Summary, error) {
			sum, err := c.fillLake(ctx, l, asked.Of(lake.OptionsOf(c.cfg.Pipeline), progress))
			return sum, provision.Explain(err)
		},
		Customers: func(context.Context) (coverage.History, error) { return coverage.Known{Index: c.index}, nil },
	}
}

// adoptLake gives the console's lake of earlier versions, in which commands had a lake of their own, the path of the common one. If that
// exists, adoptLake removes the old one.
func adoptLake(path string) error {
	old := filepath.Join(filepath.Dir(path), "console.duckdb")
	_, err := os.Stat(path)
	for _, end := range []string{"", ".wal"} {
		do := os.Remove
		if err != nil {
			do = func(name string) error { return os.Rename(name, path+end) }
		}
		if err := do(old + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// fillLake imports the new objects of the pipeline's bucket.
func (c *Server) fillLake(ctx context.Context, l *lake.Lake, opts lake.ImportOptions) (lake.Summary, error) {
	if c.cfg.Pipeline.Bucket == "" {
		return lake.Summary{}, nil
	}
	opts.Parallel = 2
	return l.Import(ctx, c.objects.Bucket(c.cfg.Pipeline.Bucket), opts)
}

// lend lends the lake to commands until ctx ends. Without it, they cannot read the lake while a page of the console has it open.
func (c *Server) lend(ctx context.Context) error {
	if c.cfg.Pipeline.Bucket == "" {
		return nil
	}
	socket, err := c.lender.Listen(ctx)
	if err != nil {
		c.log.Warn("commands that read the logs have to wait until this process ends, once its console was opened", "error", err)
		return nil
	}
	c.lender.Serve(ctx, socket)
	return nil
}

// imports logs the imports for the console.
type imports struct {
	log     *slog.Logger
	whole   *failurelog.Log            // imports that failed
	skipped map[string]*failurelog.Log // by key; every import tries these objects again
}

// done logs what one import could not read. An object that several imports skip is logged once.
func (i *imports) done(sum lake.Summary, err error) {
	if sum.Earlier > 0 {
		i.log.Warn("the log format or field names in stagelog.yaml have changed; objects imported before keep their values; to read all in the new format, delete the lake while this process is stopped", "objects", sum.Earlier)
	}
	now := map[string]bool{}
	for _, p := range sum.Problems {
		if !p.Skipped {
			i.log.Warn("object not imported completely", "object", p.Key, "error", p.Reason)
			continue
		}
		now[p.Key] = true
		if i.skipped[p.Key] == nil {
			i.skipped[p.Key] = failurelog.New(i.log, slog.LevelWarn, "the import of an object")
		}
		i.skipped[p.Key].Failed(errors.New(p.Reason), "object", p.Key, "skipped", sum.Skipped)
	}
	if err != nil {
		return
	}
	i.whole.Worked()
	if len(now) < sum.Skipped {
		return // Problems does not list all, so an object that is missing there may be skipped again
	}
	for key, failures := range i.skipped {
		if !now[key] {
			failures.Worked("object", key)
			delete(i.skipped, key)
		}
	}
}

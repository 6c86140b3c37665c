package gateway

import (
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record"
)

// API Gateway's limits for a REST API.
const (
	// MaxTimeout is the longest that an upstream may take to answer.
	MaxTimeout = 29 * time.Second
	// MaxBodyBytes is the largest request body.
	MaxBodyBytes = 10 << 20
)

// Sink takes access log lines. Log is called once per request, by many goroutines at once, and
// must not wait: the client's next request on the connection waits for it. The line is valid
// only during the call. It ends in a newline only if the stage's format does.
type Sink interface {
	Log(stream string, line []byte)
}

// Config configures how stages are served. The zero value is what API Gateway does.
type Config struct {
	Account      string           // $context.accountId, default 000000000000
	Timeout      time.Duration    // for integrations that set none; default and at most MaxTimeout
	MaxBodyBytes int64            // default MaxBodyBytes
	Clock        func() time.Time // what throttling, quotas and log lines go by; default time.Now
	Logger       *slog.Logger     // default: nothing is logged
	Metrics      *Metrics         // default: counted, but registered nowhere
	// Transport talks to the upstreams. The default keeps connections open, and takes nothing
	// from the environment: no proxy.
	Transport http.RoundTripper
}

// Gateway serves API stages. It is safe for concurrent use.
type Gateway struct {
	cfg       Config
	runtime   apigateway.Runtime
	sink      Sink
	log       *slog.Logger
	proxyLog  *log.Logger // ReverseProxy's own complaints: they are in the log line already
	transport http.RoundTripper
	compileMu sync.Mutex // held by who replaces stages
	stages    atomic.Pointer[map[record.StageRef]*stage]
	buckets   *buckets
	exchanges sync.Pool // *exchange
	copies    copyBuffers

	requests, lines, unlogged, unrouted atomic.Int64
}

// New returns a Gateway over the runtime view. It starts nothing.
func New(cfg Config, runtime apigateway.Runtime, sink Sink) (*Gateway, error) {
	if cfg.Account == "" {
		cfg.Account = "000000000000"
	}
	if cfg.Timeout <= 0 || cfg.Timeout > MaxTimeout {
		cfg.Timeout = MaxTimeout
	}
	if cfg.MaxBodyBytes <= 0 {
		cfg.MaxBodyBytes = MaxBodyBytes
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	g := &Gateway{
		cfg: cfg, runtime: runtime, sink: sink, log: cfg.Logger,
		proxyLog: log.New(io.Discard, "", 0), transport: cfg.Transport, buckets: newBuckets(),
	}
	g.stages.Store(&map[record.StageRef]*stage{})
	g.exchanges.New = func() any { return newExchange(g) }
	return g, nil
}

// Stats counts since the start. Requests = Lines + Unlogged once no request is under way.
type Stats struct {
	Requests int64 // that reached a known stage
	Lines    int64 // handed to the Sink
	Unlogged int64 // of stages without an access log, or with one that is no delivery stream
	Unrouted int64 // that named no known API and stage: refused, and logged nowhere
}

// Stats returns the counts so far.
func (g *Gateway) Stats() Stats {
	return Stats{Requests: g.requests.Load(), Lines: g.lines.Load(), Unlogged: g.unlogged.Load(), Unrouted: g.unrouted.Load()}
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := g.cfg.Clock()
	at, ok := locate(r)
	var st *stage
	if ok {
		st, ok = g.stage(at.ref)
	}
	if !ok {
		g.unrouted.Add(1)
		g.cfg.Metrics.unrouted.Inc()
		refuseUnrouted(w, r)
		return
	}
	g.requests.Add(1)
	x := g.exchanges.Get().(*exchange)
	x.begin(w, r, st, at, start)
	defer x.end()
	x.serve()
}

// stage is the compiled form of a stage as it is now.
func (g *Gateway) stage(ref record.StageRef) (*stage, bool) {
	view, ok := g.runtime.Route(ref.API, ref.Stage)
	st := (*g.stages.Load())[ref]
	if ok && st != nil && st.view == view {
		return st, true
	}
	if !ok && st == nil {
		return nil, false
	}
	st = g.recompile(ref)
	return st, st != nil
}

// recompile brings the compiled form of a stage up to its view. It returns nil for a stage
// that is gone.
func (g *Gateway) recompile(ref record.StageRef) *stage {
	g.compileMu.Lock()
	defer g.compileMu.Unlock()
	next := maps.Clone(*g.stages.Load())
	view, ok := g.runtime.Route(ref.API, ref.Stage)
	if !ok {
		delete(next, ref)
		g.stages.Store(&next)
		return nil
	}
	if st := next[ref]; st != nil && st.view == view {
		return st
	}
	st := g.compile(view)
	next[ref] = st
	g.stages.Store(&next)
	return st
}

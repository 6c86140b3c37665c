// Package gateway serves the stages of REST APIs as API Gateway does: it finds the resource, checks the API
// key and the usage plan, forwards the request to the upstream, and writes one access log line.
//
// A Gateway is an http.Handler over the runtime view of the control API. A stage is served at
// /{api}/{stage}/..., and at /{stage}/... for the Host {api}.execute-api.*. Bodies are streamed in both
// directions; upgrades are supported.
//
// Each request to a known stage produces exactly one line, even if it is refused, too large (API Gateway
// does not log a 413), fails upstream or is canceled by the client. The line goes to a Sink. Logger is the
// Sink that sends lines to a delivery stream in batches and never delays a request.
package gateway

import (
	"cmp"
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
	// MaxTimeout is the longest timeout of an upstream.
	MaxTimeout = 29 * time.Second
	// MaxBodyBytes is the largest request body.
	MaxBodyBytes = 10 << 20
)

// Sink receives access log lines. Log is called once per request, concurrently, and must not block: the
// client's next request on the connection waits for it. The line is valid only during the call. It ends
// with a newline only if the stage's format does.
type Sink interface {
	Log(stream string, line []byte)
}

// Config configures a Gateway. The zero value behaves like API Gateway.
type Config struct {
	Account      string           // $context.accountId, default 000000000000
	Timeout      time.Duration    // of integrations without one; default and maximum MaxTimeout
	MaxBodyBytes int64            // default MaxBodyBytes
	Clock        func() time.Time // for throttling, quotas and log lines; default time.Now
	Logger       *slog.Logger     // default: nothing is logged
	Metrics      *Metrics         // default: not registered
	// Transport connects to the upstreams. The default keeps connections open and ignores the
	// environment: it uses no proxy.
	Transport http.RoundTripper
}

// Gateway serves API stages. It is safe for concurrent use.
type Gateway struct {
	cfg       Config
	runtime   apigateway.Runtime
	sink      Sink
	log       *slog.Logger
	proxyLog  *log.Logger // discards ReverseProxy's messages: the log line has the error
	transport http.RoundTripper
	compileMu sync.Mutex // held while stages are replaced
	stages    atomic.Pointer[map[record.StageRef]*stage]
	buckets   *buckets
	exchanges sync.Pool // *exchange
	copies    copyBuffers

	requests, lines, unlogged, unrouted atomic.Int64
}

// New returns a Gateway over the runtime view. It starts no goroutine.
func New(cfg Config, runtime apigateway.Runtime, sink Sink) (*Gateway, error) {
	cfg.Account = cmp.Or(cfg.Account, "000000000000")
	if cfg.Timeout <= 0 || cfg.Timeout > MaxTimeout {
		cfg.Timeout = MaxTimeout
	}
	if cfg.MaxBodyBytes <= 0 {
		cfg.MaxBodyBytes = MaxBodyBytes
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
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

// Stats holds counts since the start. Requests = Lines + Unlogged while no request is in progress.
type Stats struct {
	Requests int64 // to a known stage
	Lines    int64 // passed to the Sink
	Unlogged int64 // to stages without an access log to a delivery stream
	Unrouted int64 // to an unknown API or stage: refused and not logged
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
		refuseUnrouted(w)
		return
	}
	g.requests.Add(1)
	x := g.exchanges.Get().(*exchange)
	x.begin(w, r, st, at, start)
	defer x.end()
	x.serve()
}

// stage returns the compiled form of the current stage.
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

// recompile updates the compiled form of a stage to its view. It returns nil for a stage that no longer
// exists.
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

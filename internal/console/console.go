// Package console serves the web pages over the lake, live requests and delivery.
//
// Pages are rendered on the server. A page's frame is flushed at once; its panels are computed in parallel and written in page
// order, each as soon as it and those above it are ready. The range and the filters of a page are in its URL. JavaScript is
// optional, except for the live tail.
//
// Log contents are hostile: callers of an API choose paths, user agents and more. Values reach a page through html/template
// or, in the live tail, through textContent, and the lake as bound parameters.
package console

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// Config configures a Console.
type Config struct {
	// Lake returns the lake. It is called for each page; nil, nil means that there is no lake yet. The SQL page needs a lake in
	// a file that is open for writing.
	Lake func(context.Context) (*lake.Lake, error)
	// Failed is called with each error of reading a lake that Lake returned. nil ignores them.
	Failed func(*sql.DB, error)

	// Live calls fn with each new enriched request, one at a time, and returns when ctx ends. fn does not block. nil hides the
	// live tail.
	Live func(ctx context.Context, fn func(lake.Request))
	// Delivery returns the current delivery status. It must be fast. nil hides the page on delivery.
	Delivery func(context.Context) (Deliveries, error)

	// Acknowledge hides the faults of the storage that Deliveries has, once an operator has seen them.
	Acknowledge func(context.Context) error

	// Notices returns the problems that every page shows, in red. It must be fast. nil shows none.
	Notices func(context.Context) []string

	// Password protects every page unless it is "". Without a password the caller must listen on loopback only.
	Password string
	// Hosts lists accepted host names, without port, besides those of loopback and the address that a client connected to.
	// Other names are refused, which protects against DNS rebinding.
	Hosts []string

	Title   string           // shown beside the product's name; may be ""
	FillCmd string           // command that fills the lake; by default "stagelog up"
	Now     func() time.Time // by default time.Now
	Logger  *slog.Logger     // by default none
}

// Console serves the pages. It is safe for parallel use and starts no goroutine that outlives a request.
type Console struct {
	cfg    Config
	log    *slog.Logger
	assets assets
	cache  *cache
	serve  http.Handler

	readers    atomic.Int64  // open live tails
	sqlTimeout time.Duration // of a statement
	statements chan struct{} // has a value for each statement that waits, runs, or sends its result
}

// New returns a Console. A live tail stays open until its request's context ends, so the caller's http.Server needs a
// BaseContext that ends before Shutdown, which would otherwise wait.
func New(cfg Config) *Console {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Failed == nil {
		cfg.Failed = func(*sql.DB, error) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.FillCmd == "" {
		cfg.FillCmd = "stagelog up"
	}
	c := &Console{cfg: cfg, log: cfg.Logger.With("component", "console"), assets: newAssets(), cache: newCache(cfg.Now), sqlTimeout: sqlTimeout, statements: make(chan struct{}, sqlAtOnce)}
	pages := c.routes()
	if cfg.Password != "" {
		auth := newAuth(cfg.Password, cfg.Now)
		auth.page = c.loginPage
		pages = auth.guard(pages)
	}
	c.serve = Guard(cfg.Hosts, pages)
	return c
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.serve.ServeHTTP(w, r) }

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", c.assets.serve)
	mux.HandleFunc("/", c.notFound)
	mux.HandleFunc("GET /{$}", c.overview)
	mux.HandleFunc("GET /customers", c.list("customers"))
	mux.HandleFunc("GET /plans", c.list("plans"))
	mux.HandleFunc("GET /apis", c.list("apis"))
	mux.HandleFunc("GET /routes", c.list("routes"))
	mux.HandleFunc("GET /customer", c.one("customers", "routes", "apis", "plans", "statuses", "causes"))
	mux.HandleFunc("GET /api", c.one("apis", "stages", "routes", "customers", "statuses", "causes"))
	mux.HandleFunc("GET /route", c.one("routes", "customers", "apis", "stages", "statuses", "causes"))
	mux.HandleFunc("GET /requests", c.requests)
	mux.HandleFunc("GET /request", c.request)
	if c.cfg.Live != nil {
		mux.HandleFunc("GET /live", c.livePage)
		mux.HandleFunc("GET /live/stream", c.liveStream)
	}
	if c.cfg.Delivery != nil {
		mux.HandleFunc("GET /delivery", c.delivery)
		mux.HandleFunc("POST /delivery/acknowledge", c.acknowledge)
	}
	mux.HandleFunc("GET /sql", c.sqlPage)
	mux.HandleFunc("POST /sql", c.sqlPage)
	mux.HandleFunc("POST /sql.csv", c.sqlCSV)
	mux.HandleFunc("POST /theme", c.setTheme)
	return mux
}

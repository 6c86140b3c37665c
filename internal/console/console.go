package console

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// Config of a Console.
type Config struct {
	// DB gives the lake. It is asked for each page, so that a lake may come later; nil, nil is: there is none yet.
	// The console only reads, except that people write SQL. The caller therefore opens the lake read-only where nothing
	// else in the process writes it, and always sets enable_external_access=false, without which the SQL page refuses to
	// run anything.
	DB func(context.Context) (*sql.DB, error)

	Live     Live     // nil hides the live tail
	Delivery Delivery // nil hides the page on delivery

	// Password protects every page when not "". The caller must not listen beyond loopback without one.
	Password string
	// Hosts are names beside loopback's that people may reach the console under, without port. Others are refused:
	// that is what keeps a web page with a name that points to this machine (DNS rebinding) out.
	Hosts []string

	Title   string           // beside the product's name; by default "" is nothing
	FillCmd string           // the command that fills a lake; by default "stagelog up"
	Now     func() time.Time // by default time.Now
	Logger  *slog.Logger     // by default none
}

// Console serves the pages. It is safe for parallel use and starts nothing that outlives a request.
type Console struct {
	cfg    Config
	log    *slog.Logger
	assets assets
	cache  *cache
	serve  http.Handler

	readers     atomic.Int64  // live tails that are open
	sqlPatience time.Duration // how long a statement may run
}

// New makes a Console. A live tail stays open until its request's context ends: the caller's http.Server needs a
// BaseContext that ends before Shutdown, which would otherwise wait for it.
func New(cfg Config) *Console {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.FillCmd == "" {
		cfg.FillCmd = "stagelog up"
	}
	c := &Console{cfg: cfg, log: cfg.Logger.With("component", "console"), assets: newAssets(), cache: newCache(cfg.Now), sqlPatience: sqlPatience}
	pages := c.routes()
	if cfg.Password != "" {
		door := newDoor(cfg.Password, cfg.Now)
		door.page = c.loginPage
		pages = door.guard(pages)
	}
	c.serve = guard(cfg.Hosts, pages)
	return c
}

// ServeHTTP is for net/http.
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
	}
	mux.HandleFunc("GET /sql", c.sqlPage)
	mux.HandleFunc("POST /sql", c.sqlPage)
	mux.HandleFunc("POST /sql.csv", c.sqlCSV)
	mux.HandleFunc("POST /theme", c.setTheme)
	return mux
}

package console

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
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
}

// New makes a Console.
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
	c := &Console{cfg: cfg, log: cfg.Logger.With("room", "console"), assets: newAssets(), cache: newCache(cfg.Now)}
	c.serve = guard(cfg.Hosts, c.routes())
	return c
}

// ServeHTTP is for net/http.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.serve.ServeHTTP(w, r) }

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", c.assets.serve)
	mux.HandleFunc("GET /{$}", c.overview)
	return mux
}

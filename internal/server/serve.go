package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/console"
	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// serve serves handler on ln until ctx ends, then allows pending requests a few seconds to finish.
func serve(ctx context.Context, group *errgroup.Group, ln net.Listener, handler http.Handler, log *slog.Logger) {
	var idle unused
	server := &http.Server{
		Handler: wire.LimitSlowClients(handler), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ConnState: idle.note, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	group.Go(func() error {
		accepting := retrying{ln, failurelog.New(log, slog.LevelError, "accepting connections")}
		if err := server.Serve(accepting); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		const grace = 5 * time.Second
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		idle.close()
		if err := server.Shutdown(end); err != nil {
			return server.Close()
		}
		return nil
	})
}

// awsHandler returns the AWS endpoint: one address for all services, selected by the service in the
// request's signature.
func (c *Server) awsHandler() http.Handler {
	p := c.cfg.Pipeline
	services := map[string]http.Handler{
		"firehose":   ownerOnly("firehose", p.Account, wire.JSON11, c.streams),
		"apigateway": c.controlHandler(),
		"lambda":     ownerOnly("lambda", p.Account, wire.RESTJSON, c.functions),
		"iam":        ownerOnly("iam", p.Account, wire.Query, c.roles),
		"logs":       ownerOnly("logs", p.Account, wire.JSON11, c.logGroups),
		"glue":       ownerOnly("glue", p.Account, wire.JSON11, c.catalog),
		"sts":        wire.STS(),
	}
	if c.s3 != nil {
		services["s3"] = c.s3.Handler()
	}
	return wire.NewMux(wire.Config{
		Verifier: wire.NewVerifier(keyring{c.accounts}, time.Now),
		Region:   p.Region, Account: p.Account,
	}, services)
}

// consoleHandler returns the handler of the console's address: health from the beginning, the rest once the parts
// are open.
func (c *Server) consoleHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", alive)
	mux.Handle("GET /readyz", &c.health)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if pages := c.pages.Load(); pages != nil {
			(*pages).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "stagelog is "+*c.phase.Load(), http.StatusServiceUnavailable)
	})
	return mux
}

// alive serves /healthz. It always succeeds: a restart would not fix the reasons why the server is not ready.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprintln(w, "ok")
}

// consolePages returns the handler for metrics and the console.
func (c *Server) consolePages(ctx context.Context) http.Handler {
	c.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &indexMetrics{c.index}, &c.health)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", console.Guard(c.cfg.ConsoleHosts, promhttp.HandlerFor(c.registry, promhttp.HandlerOpts{})))
	if !onLoopback(c.at.console) && c.cfg.ConsolePassword == "" {
		mux.HandleFunc("/", closedPage)
		return mux
	}
	mux.Handle("/", untilStop(ctx, c.consolePage()))
	if onLoopback(c.at.console) && c.cfg.ConsolePassword == "" {
		mux.Handle("GET "+LinesPath, console.Guard(c.cfg.ConsoleHosts, untilStop(ctx, http.HandlerFunc(c.serveLines))))
	}
	return mux
}

// untilStop cancels requests when stop ends: live lines would never end otherwise.
func untilStop(stop context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
}

// unused tracks a server's connections that never carried a request; browsers and connection pools
// open some in advance. http.Server.Shutdown waits five seconds for each of them, so closing
// them first makes shutdown immediate.
type unused struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

// note implements http.Server.ConnState.
func (u *unused) note(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state != http.StateNew {
		delete(u.conns, conn)
		return
	}
	if u.conns == nil {
		u.conns = map[net.Conn]struct{}{}
	}
	u.conns[conn] = struct{}{}
}

// close closes the unused connections.
func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.conns {
		_ = conn.Close() // nothing was sent
	}
}

// ownerOnly rejects the readers' accounts: only the bucket's policy grants them access, and this
// service has no resource policies here. Otherwise a reader of the bucket could also put records
// or run functions on this machine.
func ownerOnly(service, account string, p wire.Protocol, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := wire.IdentityFrom(r.Context())
		if ok && id.Account == account {
			next.ServeHTTP(w, r)
			return
		}
		e := &wire.Error{Code: "AccessDeniedException", Message: fmt.Sprintf("User: %s is not authorized to perform: %s:%s", id.ARN, service, operation(r))}
		switch p {
		case wire.RESTJSON:
			e.Status = http.StatusForbidden
		case wire.Query:
			e.Code, e.Status = "AccessDenied", http.StatusForbidden
		}
		wire.WriteError(w, p, e)
	})
}

// operation returns the operation of the request's target or of its form, or its method.
func operation(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" && len(target) < 100 {
		return strings.TrimPrefix(path.Ext(target), ".")
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if form, err := wire.QueryForm(r); err == nil && len(form.Get("Action")) < 100 {
			return form.Get("Action")
		}
	}
	return r.Method
}

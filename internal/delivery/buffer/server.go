package buffer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/durable/retry"
)

const (
	startTimeout = 30 * time.Second // reading a large buffer takes a while

	// embeddedMaxPayload limits one value of a Store. Frames are limited by record.MaxFrameBytes,
	// which fits every cluster.
	embeddedMaxPayload = 8 << 20

	// The server's own limits must never be reached, because Config.MaxBytes is the quota.
	embeddedMaxStore  = 1 << 60
	embeddedMaxMemory = 64 << 20

	restartPause = time.Second // between two restarts
)

// errRestarted ends the requests in progress when the embedded server is replaced.
var errRestarted = errors.New("disk write failed; the buffer is restarting")

// embedded is the NATS server in this process. After a failed write the server rejects all further
// writes until it is restarted. So that a full disk does not need an operator, watch replaces the
// server with a new one on the same files, and the client reconnects.
type embedded struct {
	opts   server.Options
	logger *slog.Logger
	failed chan struct{} // receives a value when the server logs an error

	endWatch context.CancelFunc
	watcher  sync.WaitGroup

	mu        sync.Mutex // guards now, replacing, requests, next
	now       *server.Server
	replacing bool // now is shut down
	requests  map[uint64]context.CancelCauseFunc
	next      uint64 // key of requests
}

// startServer starts the server and its watch.
func startServer(dir string, logger *slog.Logger) (*embedded, error) {
	e := &embedded{logger: logger, failed: make(chan struct{}, 1), requests: map[uint64]context.CancelCauseFunc{}, opts: server.Options{
		ServerName:         "stagelog",
		DontListen:         true,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           dir,
		SyncAlways:         true,
		JetStreamMaxStore:  embeddedMaxStore,
		JetStreamMaxMemory: embeddedMaxMemory,
		MaxPayload:         embeddedMaxPayload,
	}}
	if err := e.start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background()) // until stop
	e.endWatch = cancel
	e.watcher.Go(func() { e.watch(ctx) })
	return e, nil
}

func (e *embedded) start() error {
	opts := e.opts // the server fills in defaults
	s, err := server.NewServer(&opts)
	if err != nil {
		return fmt.Errorf("create the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(natsLogger{e.logger, e.failed}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) || !s.JetStreamEnabled() {
		shutdown(s)
		return fmt.Errorf("start the embedded NATS server: JetStream is not ready after %s; see the log", startTimeout)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now, e.replacing = s, false
	return nil
}

func (e *embedded) stop() {
	e.endWatch()
	e.watcher.Wait()
	e.endRequests()
	shutdown(e.current())
}

// track registers a request; its cancel is called with errRestarted when the server is replaced.
// The caller calls done when the request ends.
func (e *embedded) track(cancel context.CancelCauseFunc) (done func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.replacing {
		cancel(errRestarted)
		return func() {}
	}
	e.next++
	id := e.next
	e.requests[id] = cancel
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.requests, id)
	}
}

// endRequests cancels all requests, and new ones until the server runs again.
func (e *embedded) endRequests() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replacing = true
	for id, cancel := range e.requests {
		cancel(errRestarted)
		delete(e.requests, id)
	}
}

func shutdown(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func (e *embedded) current() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// InProcessConn connects the client to the running server.
func (e *embedded) InProcessConn() (net.Conn, error) {
	return e.current().InProcessConn()
}

// healthy returns the reason why the server cannot be used, or nil. It repeats a failed check, because
// Healthz reports a failure if one of its steps takes more than a millisecond, as on a busy machine.
func (e *embedded) healthy() error {
	s := e.current()
	h := s.Healthz(nil)
	for tries := 0; h.Error != "" && tries < 5 && s.ReadyForConnections(time.Second); tries++ {
		h = s.Healthz(nil)
	}
	if h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// watch checks the server's health whenever it logs an error, which happens shortly before its
// health changes. It returns when ctx ends.
func (e *embedded) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.failed:
		}
		for _, after := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
			if retry.Sleep(ctx, after) != nil {
				return
			}
			if err := e.healthy(); err != nil {
				e.logger.Error("buffer write failed; restarting the embedded server", "error", err)
				e.replace(ctx)
				break
			}
		}
	}
}

// replace shuts the server down and starts a new one. It retries until ctx ends.
func (e *embedded) replace(ctx context.Context) {
	e.endRequests()
	shutdown(e.current())
	starts := failurelog.New(e.logger, slog.LevelError, "restart of the buffer's server")
	policy := retry.Policy{First: restartPause, Max: restartPause, Failed: func(err error, _ time.Duration) { starts.Failed(err) }}
	if policy.Do(ctx, e.start) == nil {
		starts.Worked()
		e.logger.Info("restarted the buffer's server")
	}
}

// natsLogger passes the server's log to slog, with notices at debug level.
type natsLogger struct {
	*slog.Logger
	failed chan<- struct{}
}

// Noticef logs a notice at debug level.
func (t natsLogger) Noticef(format string, v ...any) { t.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf logs a warning.
func (t natsLogger) Warnf(format string, v ...any) { t.Warn("nats: " + fmt.Sprintf(format, v...)) }

// Errorf logs an error and triggers watch's health check.
func (t natsLogger) Errorf(format string, v ...any) {
	t.Error("nats: " + fmt.Sprintf(format, v...))
	select {
	case t.failed <- struct{}{}:
	default: // a check is due already
	}
}

// Fatalf logs an error.
func (t natsLogger) Fatalf(format string, v ...any) { t.Errorf(format, v...) }

// Debugf discards the message.
func (t natsLogger) Debugf(string, ...any) {}

// Tracef discards the message, which would contain stored data.
func (t natsLogger) Tracef(string, ...any) {}

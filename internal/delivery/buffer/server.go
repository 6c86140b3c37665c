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
	startTimeout = 30 * time.Second // a large buffer takes a while to read

	// embeddedMaxPayload bounds one value of a Store; a frame is bounded by
	// record.MaxFrameBytes, so that it fits any cluster.
	embeddedMaxPayload = 8 << 20

	// The server's own limits must never be reached: Config.MaxBytes is the quota.
	embeddedMaxStore  = 1 << 60
	embeddedMaxMemory = 64 << 20

	restartPause = time.Second // between two restarts
)

// errRestarted ends the requests under way when the embedded server has to be replaced.
var errRestarted = errors.New("the disk could not be written; the buffer restarts")

// embedded is the NATS server inside this process. After a failed write the server rejects all
// others until it is restarted, so a full disk would need an operator: watch replaces the server by a
// new one on the same files, and the client reconnects by itself.
type embedded struct {
	opts   server.Options
	logger *slog.Logger
	failed chan struct{} // holds one when the server has logged a failure

	endWatch context.CancelFunc
	watcher  sync.WaitGroup

	mu        sync.Mutex // guards what follows
	now       *server.Server
	replacing bool // now is shut down
	requests  map[uint64]context.CancelCauseFunc
	next      uint64 // key of requests
}

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
		return fmt.Errorf("make the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(talk{e.logger, e.failed}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) || !s.JetStreamEnabled() {
		shutdown(s)
		return fmt.Errorf("start the embedded NATS server: JetStream is not ready after %s; see its log", startTimeout)
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

// track registers a request, whose cancel is called with errRestarted when the server is replaced.
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

// endRequests cancels all requests, and those that come until the server runs again.
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

func (e *embedded) healthy() error {
	if h := e.current().Healthz(nil); h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// watch checks the server's health whenever it has logged a failure, which it does shortly before
// its health shows it. It returns when ctx ends.
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
				e.logger.Error("the buffer cannot write; restarting its server", "error", err)
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
	starts := failurelog.New(e.logger, slog.LevelError, "restarting the buffer's server")
	policy := retry.Policy{First: restartPause, Max: restartPause, Failed: func(err error, _ time.Duration) { starts.Failed(err) }}
	if policy.Do(ctx, e.start) == nil {
		starts.Worked()
		e.logger.Info("the buffer's server runs again")
	}
}

// talk passes the server's log to slog. Its notices are of no use to our users.
type talk struct {
	*slog.Logger
	failed chan<- struct{}
}

// Noticef logs what is of use to us alone.
func (t talk) Noticef(format string, v ...any) { t.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf logs a warning.
func (t talk) Warnf(format string, v ...any) { t.Warn("nats: " + fmt.Sprintf(format, v...)) }

// Errorf logs an error and makes watch check the server's health.
func (t talk) Errorf(format string, v ...any) {
	t.Error("nats: " + fmt.Sprintf(format, v...))
	select {
	case t.failed <- struct{}{}:
	default: // a check is due already
	}
}

// Fatalf logs an error.
func (t talk) Fatalf(format string, v ...any) { t.Errorf(format, v...) }

// Debugf is switched off.
func (t talk) Debugf(string, ...any) {}

// Tracef is switched off: it would show what is stored.
func (t talk) Tracef(string, ...any) {}

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
	startTimeout = 30 * time.Second // reading a large buffer back takes a while

	// embeddedMaxPayload bounds one value of a Store; a frame is bounded by
	// record.MaxFrameBytes, so that it fits any cluster.
	embeddedMaxPayload = 8 << 20

	// The server's own limits only have to be out of the way: the quota is ours.
	embeddedMaxStore  = 1 << 60
	embeddedMaxMemory = 64 << 20

	restartPause = time.Second // between two tries to write again
)

// errRestarted ends what was under way when the embedded server had to be replaced.
var errRestarted = errors.New("the disk could not be written; the buffer starts again on what is there")

// embedded is the NATS server inside this process. After a failed write the server
// refuses all others until it is started again, so a full disk would need an operator:
// watch replaces it by a new one on the same files, and the client finds that by itself.
type embedded struct {
	opts    server.Options
	logger  *slog.Logger
	trouble chan struct{} // holds one when the server said that something went wrong

	quit    context.Context // ends with stop
	stopped context.CancelFunc
	watcher sync.WaitGroup

	mu  sync.Mutex         // guards now, era, end
	now *server.Server     // may be shut down
	era context.Context    // ends when now is replaced
	end context.CancelFunc // of era
}

func startServer(dir string, logger *slog.Logger) (*embedded, error) {
	e := &embedded{logger: logger, trouble: make(chan struct{}, 1), opts: server.Options{
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
	e.quit, e.stopped = context.WithCancel(context.Background())
	e.watcher.Go(e.watch)
	return e, nil
}

func (e *embedded) start() error {
	opts := e.opts // the server fills in defaults
	s, err := server.NewServer(&opts)
	if err != nil {
		return fmt.Errorf("make the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(talk{e.logger, e.trouble}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) || !s.JetStreamEnabled() {
		shutdown(s)
		return fmt.Errorf("start the embedded NATS server: JetStream is not ready after %s; its log says why", startTimeout)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = s
	e.era, e.end = context.WithCancel(context.Background())
	return nil
}

func (e *embedded) stop() {
	e.stopped()
	e.watcher.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end()
	shutdown(e.now)
}

func shutdown(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func (e *embedded) current() (*server.Server, context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now, e.era
}

// InProcessConn connects the client to the server of now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	s, _ := e.current()
	return s.InProcessConn()
}

func (e *embedded) healthy() error {
	s, _ := e.current()
	if h := s.Healthz(nil); h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// watch looks after the server's health whenever it said that something went wrong. The
// server says so shortly before its health shows it.
func (e *embedded) watch() {
	for {
		select {
		case <-e.quit.Done():
			return
		case <-e.trouble:
		}
		for _, after := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
			if retry.Sleep(e.quit, after) != nil {
				return
			}
			if err := e.healthy(); err != nil {
				e.logger.Error("the buffer cannot write, starting its server again", "error", err)
				e.replace()
				break
			}
		}
	}
}

// replace shuts the server down and starts a new one, for as long as it takes.
func (e *embedded) replace() {
	e.mu.Lock()
	old := e.now
	e.end()
	e.mu.Unlock()
	shutdown(old)
	starts := failurelog.New(e.logger, slog.LevelError, "starting the buffer's server again")
	policy := retry.Policy{First: restartPause, Max: restartPause, Failed: func(err error, _ time.Duration) { starts.Failed(err) }}
	if policy.Do(e.quit, e.start) == nil {
		starts.Worked()
		e.logger.Info("the buffer's server runs again")
	}
}

// talk hands the server's log to slog. Its notices are of no use to our users.
type talk struct {
	*slog.Logger
	trouble chan<- struct{}
}

// Noticef logs what is of use to us alone.
func (t talk) Noticef(format string, v ...any) { t.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf logs a warning.
func (t talk) Warnf(format string, v ...any) { t.Warn("nats: " + fmt.Sprintf(format, v...)) }

// Errorf logs an error and has the server's health looked at.
func (t talk) Errorf(format string, v ...any) {
	t.Error("nats: " + fmt.Sprintf(format, v...))
	select {
	case t.trouble <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// Fatalf logs an error.
func (t talk) Fatalf(format string, v ...any) { t.Errorf(format, v...) }

// Debugf is switched off.
func (t talk) Debugf(string, ...any) {}

// Tracef is switched off: it would show what is stored.
func (t talk) Tracef(string, ...any) {}

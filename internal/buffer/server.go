package buffer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	startTimeout = 30 * time.Second // reading a large buffer back takes a while

	// embeddedMaxPayload bounds one value of a Store; a frame is bounded by
	// record.MaxFrameBytes, so that it fits any cluster.
	embeddedMaxPayload = 8 << 20

	// The server's own limits only have to be out of the way: the quota is ours.
	embeddedMaxStore  = 1 << 60
	embeddedMaxMemory = 64 << 20
)

// embedded is the NATS server inside this process. It can be replaced by a new one on
// the same files, and the client finds that by itself.
type embedded struct {
	opts   server.Options
	logger *slog.Logger

	mu  sync.Mutex // guards now
	now *server.Server
}

func startServer(dir string, logger *slog.Logger) (*embedded, error) {
	e := &embedded{logger: logger, opts: server.Options{
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
	return e, e.start()
}

func (e *embedded) start() error {
	opts := e.opts // the server fills in defaults
	s, err := server.NewServer(&opts)
	if err != nil {
		return fmt.Errorf("make the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(quiet{e.logger}, false, false, false)
	s.Start()
	e.mu.Lock()
	e.now = s
	e.mu.Unlock()
	if !s.ReadyForConnections(startTimeout) {
		e.stop()
		return errors.New("start the embedded NATS server: it is not ready after " + startTimeout.String())
	}
	return nil
}

func (e *embedded) stop() {
	s := e.current()
	if s == nil {
		return
	}
	s.Shutdown()
	s.WaitForShutdown()
}

func (e *embedded) current() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// InProcessConn connects the client to the server of now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	return e.current().InProcessConn()
}

func (e *embedded) healthy() error {
	if h := e.current().Healthz(nil); h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// quiet hands the server's log to slog. Its notices are of no use to our users.
type quiet struct{ *slog.Logger }

func (q quiet) Noticef(format string, v ...any) { q.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (q quiet) Warnf(format string, v ...any)   { q.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (q quiet) Errorf(format string, v ...any)  { q.Error("nats: " + fmt.Sprintf(format, v...)) }
func (q quiet) Fatalf(format string, v ...any)  { q.Error("nats: " + fmt.Sprintf(format, v...)) }
func (q quiet) Debugf(string, ...any)           {}
func (q quiet) Tracef(string, ...any)           {}

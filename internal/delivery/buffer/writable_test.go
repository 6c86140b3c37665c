package buffer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

func TestWritableFailsWhenFull(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir(), MaxBytes: 16_000})
	l := openLog(t, b, "s", 0)
	if err := b.Writable(t.Context()); err != nil {
		t.Errorf("Writable() of an empty buffer = %v", err)
	}
	appendAll(t, l, string(make([]byte, 15_500)), "x")
	if err := b.Writable(t.Context()); !errors.Is(err, record.ErrFull) {
		t.Errorf("Writable() of a full buffer = %v, want ErrFull", err)
	}
	if err := l.Trim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := b.Writable(t.Context()); err != nil {
		t.Errorf("Writable() after Trim = %v", err)
	}
}

func TestWritableFailsWithoutNATS(t *testing.T) {
	nats := serve(t, server.Options{Port: server.RANDOM_PORT, JetStream: true})
	b := open(t, buffer.Config{URL: nats.ClientURL(), MaxBytes: 16_000})
	l := openLog(t, b, "s", 0)
	if err := b.Writable(t.Context()); err != nil {
		t.Errorf("Writable() of an empty log = %v", err)
	}
	appendAll(t, l, string(make([]byte, 15_500)))
	if err := b.Writable(t.Context()); !errors.Is(err, record.ErrFull) {
		t.Errorf("Writable() with a full log = %v, want ErrFull", err)
	}
	nats.Shutdown()
	nats.WaitForShutdown()
	if err := b.Writable(t.Context()); err == nil || errors.Is(err, record.ErrFull) {
		t.Errorf("Writable() without a server = %v, want an error of the connection", err)
	}
}

// A log that takes long to open does not hold up a health check.
func TestWritableDoesNotWaitForOpening(t *testing.T) {
	denied := &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.*.FRAMES_slow_0"}}
	nats := serve(t, server.Options{Port: server.RANDOM_PORT, JetStream: true, Users: []*server.User{
		{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: denied}},
	}})
	refused := make(violations, 1)
	b := open(t, buffer.Config{URL: "nats://u:p@" + nats.Addr().String(), Logger: slog.New(slog.NewTextHandler(refused, nil))})
	openLog(t, b, "s", 0)
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() { _, err := b.Log(ctx, "slow", 0); opened <- err }()
	<-refused // the request will not be answered
	if err := b.Writable(t.Context()); err != nil {
		t.Errorf("Writable() = %v", err)
	}
	if len(opened) > 0 {
		t.Error("Writable waited until the log was opened")
	}
	cancel()
	if err := <-opened; err == nil {
		t.Error("Log = nil, want the error of a request without an answer")
	}
}

// violations reports when a log line says that a request was not permitted.
type violations chan struct{}

func (v violations) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("Permissions Violation")) {
		select {
		case v <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

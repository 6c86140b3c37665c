package buffer_test

import (
	"errors"
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

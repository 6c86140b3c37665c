package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// A connection that never carried a request is closed when the server ends; Shutdown alone would
// wait for it.
func TestShutdownClosesUnusedConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	var u unused
	server := &http.Server{ConnState: func(c net.Conn, s http.ConnState) {
		u.note(c, s)
		if s == http.StateNew {
			close(accepted)
		}
	}}
	var group errgroup.Group
	group.Go(func() error { return server.Serve(ln) })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-accepted
	u.close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("reading from the unused connection: %v, want EOF", err)
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := group.Wait(); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

package wire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// pipes is a listener of connections in memory, whose deadlines follow the clock of a synctest bubble.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// withClient serves handler behind LimitSlowClients, and calls client with a connection to it.
func withClient(t *testing.T, handler http.HandlerFunc, client func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := pipes{make(chan net.Conn)}
		server := &http.Server{Handler: wire.LimitSlowClients(handler)}
		served := make(chan struct{})
		go func() { defer close(served); server.Serve(l) }() //nolint:errcheck // it ends with the listener
		ours, theirs := net.Pipe()
		l.conns <- theirs
		client(t, ours)
		ours.Close()
		close(l.conns)
		<-served
		server.Close()
	})
}

// readAll is a handler that reads the body, and responds with its length.
func readAll(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if errors.Is(err, wire.ErrSlowBody) {
		w.WriteHeader(http.StatusRequestTimeout)
		return
	}
	fmt.Fprint(w, len(body))
}

func TestSlowBodyEndsRequest(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		parts   int // sent with a pause after each
		part    int // bytes
		pause   time.Duration
		want    int
	}{
		"one byte, then nothing":        {readAll, 1, 1, time.Hour, 408},
		"a byte every ten seconds":      {readAll, 1000, 1, 10 * time.Second, 408},
		"a fast part, then nothing":     {readAll, 1, 50_000, time.Hour, 408},
		"200 bytes a second":            {readAll, 500, 200, time.Second, 408},
		"1,000 bytes a second":          {readAll, 100, 1000, time.Second, 200},
		"a pause of 29 seconds":         {readAll, 2, 50_000, 29 * time.Second, 200},
		"a handler that does not read":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, 1, 1, time.Hour, 403},
		"a handler that pauses an hour": {func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Hour); readAll(w, r) }, 2, 50_000, 0, 200},
	} {
		t.Run(name, func(t *testing.T) {
			withClient(t, c.handler, func(t *testing.T, conn net.Conn) {
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
					for range c.parts {
						if err == nil {
							_, err = conn.Write(make([]byte, c.part))
						}
						if err != nil {
							return // the server has closed the connection
						}
						time.Sleep(c.pause)
					}
				}()
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != c.want {
					t.Errorf("response: %v, %v; want %d", res, err, c.want)
				}
				conn.Close()
				<-sent
			})
		})
	}
}

// net/http cancels the context when the read fails, which a proxy may notice before the read returns.
func TestSlowBodyIsCauseOfCancellation(t *testing.T) {
	for name, c := range map[string]struct {
		leave time.Duration // when the client disconnects
		want  error
	}{
		"a slow client":                {time.Hour, wire.ErrSlowBody},
		"a client that disconnects":    {10 * time.Second, context.Canceled},
		"a client that leaves at once": {0, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			var cause chan error
			handler := func(_ http.ResponseWriter, r *http.Request) {
				read := make(chan struct{})
				go func() { defer close(read); io.Copy(io.Discard, r.Body) }() //nolint:errcheck // the context has the cause
				<-r.Context().Done()
				cause <- context.Cause(r.Context())
				<-read
			}
			withClient(t, handler, func(t *testing.T, conn net.Conn) {
				cause = make(chan error, 1) // in the bubble
				if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx"); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(c.leave, func() { conn.Close() })
				go io.Copy(io.Discard, conn) //nolint:errcheck // the response
				if got := <-cause; !errors.Is(got, c.want) {
					t.Errorf("cause %v, want %v", got, c.want)
				}
			})
		})
	}
}

// A connection that was used for a body is used again after a pause.
func TestDeadlinesEndWithTheRequest(t *testing.T) {
	withClient(t, readAll, func(t *testing.T, conn net.Conn) {
		in := bufio.NewReader(conn)
		for range 3 {
			if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "5" {
				t.Errorf("response %q, %v; want 5", body, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

func TestSlowReaderEndsResponse(t *testing.T) {
	for name, c := range map[string]struct {
		bytes int
		pause time.Duration // after each 10,000 bytes that the client reads
		ok    bool
	}{
		"10,000 bytes every 10 seconds": {1_000_000, 10 * time.Second, true},
		"10,000 bytes every 2 minutes":  {1_000_000, 2 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			handler := func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write(make([]byte, c.bytes))
				ended <- err
			}
			withClient(t, handler, func(t *testing.T, conn net.Conn) {
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				for buf := make([]byte, 10_000); len(ended) == 0; time.Sleep(c.pause) {
					if _, err := conn.Read(buf); err != nil {
						break
					}
				}
				conn.Close()
				if err := <-ended; (err == nil) != c.ok {
					t.Errorf("writing the response: %v, want success: %v", err, c.ok)
				}
			})
		})
	}
}

// A stream may pause between its parts, and before its first flush.
func TestPausingStreamIsNotLimited(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Hour)
		for range 3 {
			fmt.Fprintln(w, "event")
			w.(http.Flusher).Flush()
			time.Sleep(time.Hour)
		}
	}
	withClient(t, handler, func(t *testing.T, conn net.Conn) {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || strings.Count(string(body), "event") != 3 {
			t.Errorf("stream %q, %v; want three events", body, err)
		}
	})
}

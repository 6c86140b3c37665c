package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	// slowGrace is the longest pause of a client that sends a body, and how long it may send less than
	// slowRate in all.
	slowGrace = 30 * time.Second
	// slowRate is the minimum rate of a body in bytes per second, averaged over the time that the server
	// waited for the client. It is far below that of any network in use.
	slowRate = 240
	// writeBytes of a response must reach the client within writeWait. A response that pauses is not limited.
	writeBytes = 16 << 10
	writeWait  = time.Minute
)

// ErrSlowBody is returned by the body of a request whose client sends it too slowly.
var ErrSlowBody = errors.New("request body arrives too slowly")

// LimitSlowClients returns a handler that ends requests of clients that send or receive too slowly, so that they
// cannot hold connections and upstream requests without end. A body that is sent too slowly returns ErrSlowBody, which is
// also the cause that the request's context has then. Streams that pause, and upgraded connections, are not limited.
func LimitSlowClients(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		timed := &timedWriter{w, conn}
		if r.ContentLength != 0 {
			// It also limits how long net/http reads the rest of a body that the handler leaves unread.
			if conn.SetReadDeadline(time.Now().Add(slowGrace)) == nil {
				body := &timedBody{ReadCloser: r.Body, conn: conn, response: timed, began: time.Now()}
				ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
				// net/http cancels the context for any failed read, before Read returns.
				stop := context.AfterFunc(r.Context(), func() { cancel(body.cause()) })
				defer func() { stop(); cancel(nil) }()
				r = r.WithContext(ctx)
				r.Body = body
			}
		}
		next.ServeHTTP(timed, r)
		timed.extend() // for what net/http has buffered
	})
}

// timedBody limits how slowly a body may arrive. Only the time in Read counts, because a handler may pause too.
type timedBody struct {
	io.ReadCloser
	conn     *http.ResponseController
	response *timedWriter
	began    time.Time
	deadline atomic.Int64 // of the read in progress, in nanoseconds since began; 0: none
	bytes    int64
	waited   time.Duration
	ended    bool
}

// cause returns why the request is canceled: the client was too slow, or it has disconnected.
func (b *timedBody) cause() error {
	if at := b.deadline.Load(); at > 0 && time.Since(b.began) >= time.Duration(at) {
		return ErrSlowBody
	}
	return context.Canceled
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	if b.ended {
		return b.ReadCloser.Read(p) // net/http watches the connection, without a deadline
	}
	if b.bytes == 0 {
		b.response.extend() // net/http may write 100 Continue
	}
	begin := time.Now()
	left := min(slowGrace, slowGrace+time.Duration(b.bytes)*time.Second/slowRate-b.waited)
	b.deadline.Store(int64(begin.Sub(b.began) + left))
	_ = b.conn.SetReadDeadline(begin.Add(left)) // it worked before
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	b.waited += time.Since(begin)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrSlowBody
	case err != nil:
		b.ended = true
		b.deadline.Store(0)
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// timedWriter limits how slowly the client may receive a response.
type timedWriter struct {
	http.ResponseWriter
	conn *http.ResponseController
}

// extend allows the client another writeWait. It is called for each part, because the deadline stays set
// between writes, and between the requests of a connection.
func (w *timedWriter) extend() {
	_ = w.conn.SetWriteDeadline(time.Now().Add(writeWait)) // only fails in tests, which have no connection
}

// WriteHeader implements http.ResponseWriter.
func (w *timedWriter) WriteHeader(status int) {
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *timedWriter) Write(p []byte) (n int, err error) {
	for {
		part := p[n:min(len(p), n+writeBytes)]
		w.extend()
		wrote, err := w.ResponseWriter.Write(part)
		n += wrote
		if err != nil || n >= len(p) {
			return n, err
		}
	}
}

// FlushError implements the interface that http.ResponseController uses.
func (w *timedWriter) FlushError() error {
	w.extend()
	return w.conn.Flush()
}

// Flush implements http.Flusher.
func (w *timedWriter) Flush() { _ = w.FlushError() }

// Unwrap lets http.ResponseController take over the connection.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.w.Header() }

// WriteHeader implements http.ResponseWriter. It records the status, except of informational responses.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		x.status = status
	}
	x.w.WriteHeader(status)
}

// Write implements http.ResponseWriter and counts the bytes.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.w.Write(p)
	x.wrote(n, err)
	return n, err
}

func (x *exchange) writeString(s string) {
	n, err := io.WriteString(x.w, s)
	x.wrote(n, err)
}

func (x *exchange) wrote(n int, err error) {
	if x.r.Method != http.MethodHead {
		x.length += int64(n)
	}
	if err != nil && err != http.ErrBodyNotAllowed {
		x.clientGone = true
	}
	x.body.pending = n > 0
}

// Unwrap lets http.ResponseController flush.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// Hijack implements http.Hijacker for upgrades. The returned connection counts the bytes sent to the client.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	x.status = http.StatusSwitchingProtocols
	x.tunnel = &tunnel{Conn: conn}
	return x.tunnel, buffered, nil
}

// tunnel is the client's connection after an upgrade.
type tunnel struct {
	net.Conn
	sent atomic.Int64 // bytes towards the client
}

// Write implements net.Conn.
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.sent.Add(int64(n))
	return n, err
}

// CloseWrite forwards the upstream's end of stream if the connection supports it.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return t.Close()
}

// upstreamBody is the body of the upstream's response. It records how it ended.
type upstreamBody struct {
	io.ReadCloser
	x       *exchange
	flushes bool  // flush pending bytes before waiting for more
	pending bool  // written since the last flush
	err     error // other than io.EOF
}

// Read implements io.Reader.
func (b *upstreamBody) Read(p []byte) (int, error) {
	if b.flushes && b.pending {
		b.pending = false
		_ = http.NewResponseController(b.x.w).Flush() // the next write detects a disconnected client
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// copyBuffers is a pool of buffers for copying bodies.
type copyBuffers struct{ pool sync.Pool }

const copyBufferBytes = 32 << 10

// Get implements httputil.BufferPool.
func (c *copyBuffers) Get() []byte {
	if b, ok := c.pool.Get().(*[copyBufferBytes]byte); ok {
		return b[:]
	}
	return make([]byte, copyBufferBytes)
}

// Put implements httputil.BufferPool.
func (c *copyBuffers) Put(b []byte) { c.pool.Put((*[copyBufferBytes]byte)(b)) }

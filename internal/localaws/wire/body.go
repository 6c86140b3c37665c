package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// body is the body of a request in memory. It is valid until the handler returns; then its bytes are
// reused.
type body struct {
	bytes.Reader
	bytes  []byte
	pooled *[]byte
}

// Close does nothing: the Mux releases the bytes.
func (b *body) Close() error { return nil }

// Body returns the whole body of a request from a Mux without copying it. It is valid until the handler
// returns, and must not be changed. Body returns nil for any other request.
func Body(r *http.Request) []byte {
	if b, ok := r.Body.(*body); ok {
		return b.bytes
	}
	return nil
}

// maxPooled is the largest buffer that is kept for reuse.
const maxPooled = 8 << 20

// firstSpace is the buffer allocated before the first byte arrives.
const firstSpace = 1 << 20

// smallBody separates the pools, so that small bodies do not use the buffers of large ones.
const smallBody = 16 << 10

// buffers holds reusable buffers for bodies.
type buffers struct{ small, large sync.Pool }

func (p *buffers) get(size int64) *[]byte {
	pool := &p.large
	if size >= 0 && size <= smallBody {
		pool = &p.small
	}
	if b, ok := pool.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (p *buffers) put(b *body) {
	space := b.pooled
	b.pooled, b.bytes = nil, nil
	b.Reader.Reset(nil)
	switch {
	case cap(*space) <= smallBody:
		p.small.Put(space)
	case cap(*space) <= maxPooled:
		p.large.Put(space)
	}
}

// read reads a body of at most limit bytes. The buffer grows as bytes arrive, so a client makes it reserve
// little more than it sends.
func (p *buffers) read(r *http.Request, limit int64) (*body, *Error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	b := &body{pooled: p.get(r.ContentLength)}
	err := fill(b.pooled, r, limit)
	if err != nil {
		p.put(b)
		if errors.Is(err, errTooLarge) {
			return nil, tooLarge(limit)
		}
		return nil, &Error{Code: "RequestTimeout", Message: "The request's body is incomplete.", Status: http.StatusBadRequest}
	}
	b.bytes = *b.pooled
	b.Reader.Reset(b.bytes)
	return b, nil
}

var errTooLarge = errors.New("body too large")

func fill(p *[]byte, r *http.Request, limit int64) error {
	if n := r.ContentLength; n >= 0 {
		return fillLength(p, r.Body, int(n))
	}
	buf := bytes.NewBuffer((*p)[:0])
	n, err := buf.ReadFrom(io.LimitReader(r.Body, limit+1))
	*p = buf.Bytes()
	if err == nil && n > limit {
		return errTooLarge
	}
	return err
}

// fillLength fills *p with n bytes. The buffer doubles as bytes arrive, because the announced length is not
// verified yet.
func fillLength(p *[]byte, body io.Reader, n int) error {
	buf := (*p)[:0]
	for len(buf) < n {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(n-len(buf), max(len(buf), firstSpace)))
		}
		got, err := io.ReadFull(body, buf[len(buf):min(n, cap(buf))])
		buf = buf[:len(buf)+got]
		if err != nil {
			*p = buf
			return err
		}
	}
	*p = buf
	return nil
}

func tooLarge(limit int64) *Error {
	return &Error{Code: "RequestEntityTooLargeException", Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("The request's body is larger than %d bytes.", limit)}
}

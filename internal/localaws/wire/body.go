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

// body is a request's body, read. It may be read again from r.Body until the handler
// returns; then its bytes belong to another request.
type body struct {
	bytes.Reader
	bytes  []byte
	pooled *[]byte
}

// Close does nothing: the Mux gives the bytes back.
func (b *body) Close() error { return nil }

// Body is the whole body of a request that a Mux handed on, without a copy. It is valid
// until the handler returns and may not be changed. It is nil for any other request.
func Body(r *http.Request) []byte {
	if b, ok := r.Body.(*body); ok {
		return b.bytes
	}
	return nil
}

// maxPooled is the largest buffer that is kept for the next request.
const maxPooled = 8 << 20

// firstSpace is what a body reserves before any of it has come.
const firstSpace = 1 << 20

// Small bodies do not take, and do not grow, the buffers of large ones.
const smallBody = 16 << 10

// buffers are space for bodies, kept from one request to the next.
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

// read reads the body of at most limit bytes. The buffer grows as it comes, so that a
// client reserves little more than it sends.
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
		return nil, &Error{Code: "RequestTimeout", Message: "The request's body did not arrive whole.", Status: http.StatusBadRequest}
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

// fillLength fills *p with n bytes. What the client announces is not signed at this point:
// the space doubles as bytes come.
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
		Message: fmt.Sprintf("The request's body is over %d bytes.", limit)}
}

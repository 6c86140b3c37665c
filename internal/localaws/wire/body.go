package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
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

// maxUnverified limits the bytes of all bodies together that are being read before their signatures are verified.
// Anyone who knows an access key id can send such bodies.
const maxUnverified = 256 << 20

// buffers holds reusable buffers for bodies.
type buffers struct {
	small, large sync.Pool
	unverified   atomic.Int64 // bytes read so far of bodies that are being read
}

// reserve counts n more bytes of unverified bodies. It returns false if there are too many.
func (p *buffers) reserve(n int) bool {
	if p.unverified.Add(int64(n)) <= maxUnverified {
		return true
	}
	p.unverified.Add(int64(-n))
	return false
}

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
// little more than it sends, and all clients together at most maxUnverified.
func (p *buffers) read(r *http.Request, limit int64) (*body, *Error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	b := &body{pooled: p.get(r.ContentLength)}
	reserved := 0
	err := fill(b.pooled, r, limit, func(n int) bool {
		ok := p.reserve(n)
		if ok {
			reserved += n
		}
		return ok
	})
	p.unverified.Add(int64(-reserved))
	if err != nil {
		p.put(b)
		switch {
		case errors.Is(err, errTooLarge):
			return nil, tooLarge(limit)
		case errors.Is(err, errBusy):
			return nil, &Error{Code: "ServiceUnavailableException", Message: "Too many large requests are in progress. Retry later.", Status: http.StatusServiceUnavailable}
		case errors.Is(err, ErrSlowBody):
			return nil, &Error{Code: "RequestTimeout", Message: "The request's body arrives too slowly.", Status: http.StatusBadRequest}
		}
		return nil, &Error{Code: "RequestTimeout", Message: "The request's body is incomplete.", Status: http.StatusBadRequest}
	}
	b.bytes = *b.pooled
	b.Reader.Reset(b.bytes)
	return b, nil
}

var (
	errTooLarge = errors.New("body too large")
	errBusy     = errors.New("too many unverified bodies")
)

// fill fills *p with the body, of at most limit bytes or of the announced length. The buffer doubles as bytes
// arrive, because the announced length is not verified yet. It asks reserve before it grows past firstSpace.
func fill(p *[]byte, r *http.Request, limit int64, reserve func(n int) bool) error {
	most := int(r.ContentLength)
	if most < 0 {
		most = int(limit) + 1
	}
	buf := (*p)[:0]
	defer func() { *p = buf }()
	for allowed := firstSpace; len(buf) < most; {
		if len(buf) == allowed {
			if !reserve(allowed) {
				return errBusy
			}
			allowed *= 2
		}
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(most-len(buf), max(len(buf), firstSpace)))
		}
		got, err := r.Body.Read(buf[len(buf):min(most, cap(buf), allowed)])
		buf = buf[:len(buf)+got]
		switch {
		case err == nil || len(buf) == most:
		case err == io.EOF && r.ContentLength < 0:
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
	if int64(len(buf)) > limit {
		return errTooLarge
	}
	return nil
}

func tooLarge(limit int64) *Error {
	return &Error{Code: "RequestEntityTooLargeException", Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("The request's body is larger than %d bytes.", limit)}
}

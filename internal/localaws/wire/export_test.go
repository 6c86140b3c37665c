package wire

import "net/http"

// Verify checks the signature of a request and its body as a Mux does.
func (v *Verifier) Verify(r *http.Request, body []byte) (Identity, Scope, *Error) {
	a, err := readAuth(r)
	if err != nil {
		return Identity{}, Scope{}, err
	}
	id, secret, err := v.begin(r, &a)
	if err == nil {
		err = v.finish(r, &a, secret, body)
	}
	return id, a.scope, err
}

// FillUnverified makes a Mux behave as if bodies were being read that leave space for only free more bytes.
func FillUnverified(h http.Handler, free int64) {
	h.(*mux).buffers.unverified.Store(maxUnverified - free)
}

// FreeUnverified returns how many more bytes of unverified bodies a Mux reads.
func FreeUnverified(h http.Handler) int64 { return maxUnverified - h.(*mux).buffers.unverified.Load() }

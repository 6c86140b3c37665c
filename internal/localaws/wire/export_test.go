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

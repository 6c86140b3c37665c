package testenv

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// SDKClient returns an HTTP client for an AWS SDK client whose requests must be sent once. It sends
// each body from memory. The SDK closes its own body as soon as the response arrives. If net/http has
// not yet looked for the body's end, it then takes io.EOF for a failed write and closes the connection:
// the response is lost, and the SDK fails, or repeats a request that the server has carried out.
// A nil transport means http.DefaultTransport.
func SDKClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &http.Client{Transport: wholeBody{transport}}
}

type wholeBody struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w wholeBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return w.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return w.next.RoundTrip(r)
}

package moto

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// Tap sees each call of SDK clients by its name, like "Firehose CreateDeliveryStream", and can answer it: the call is not sent if
// the output or the error is not nil. Attempts of the same call are seen once.
type Tap func(call string) (output any, err error)

// On returns the configuration for clients with the tap.
func (f Tap) On(cfg aws.Config) aws.Config {
	see := middleware.InitializeMiddlewareFunc("tap", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		output, err := f(awsmiddleware.GetServiceID(ctx) + " " + awsmiddleware.GetOperationName(ctx))
		if output != nil || err != nil {
			return middleware.InitializeOutput{Result: output}, middleware.Metadata{}, err
		}
		return next.HandleInitialize(ctx, in)
	})
	cfg.APIOptions = append(cfg.APIOptions, func(s *middleware.Stack) error { return s.Initialize.Add(see, middleware.After) })
	return cfg
}

// outside makes requests in a goroutine outside the bubble of a test with a fake clock.
type outside struct {
	mu       sync.Mutex // held during a request
	requests chan *http.Request
	answers  chan answer
}

type answer struct {
	response *http.Response
	err      error
}

// Outside returns a transport for a test with a fake clock (testing/synctest), which would stop while a connection is open. It
// makes one request at a time. Call it before the clock is replaced.
func Outside(t testing.TB) http.RoundTripper {
	o := &outside{requests: make(chan *http.Request), answers: make(chan answer)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := range o.requests {
			response, err := http.DefaultTransport.RoundTrip(r)
			if err == nil {
				var body []byte
				body, err = io.ReadAll(response.Body)
				err = errors.Join(err, response.Body.Close())
				response.Body = io.NopCloser(bytes.NewReader(body))
			}
			o.answers <- answer{response, err}
		}
	}()
	t.Cleanup(func() { close(o.requests); <-done })
	return o
}

// RoundTrip implements http.RoundTripper.
func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	sent, err := http.NewRequestWithContext(context.Background(), r.Method, r.URL.String(), bytes.NewReader(body)) // the request's own context is in the bubble
	if err != nil {
		return nil, err
	}
	sent.Header, sent.Host = r.Header.Clone(), r.Host
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests <- sent
	a := <-o.answers
	return a.response, a.err
}

package moto

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Quota is a transport from AWS's endpoints to a Server that throttles calls to API Gateway as AWS does for an account and
// Region: 10 calls per second with a burst of 40, and GetResources 5 per 2 seconds. Another client uses a part of it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
type Quota struct {
	Others float64 // calls per second of the other client
	Next   http.RoundTripper

	to        *url.URL
	mu        sync.Mutex // guards the rest
	all       *rate.Limiter
	resources *rate.Limiter
	seen      time.Time // until when the other client's calls are counted
	throttled int
}

// Limit returns a Quota in front of the server, and a configuration for clients that use it.
func (s *Server) Limit(others float64, next http.RoundTripper) (*Quota, aws.Config) {
	to, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	q := &Quota{Others: others, Next: next, to: to, all: rate.NewLimiter(10, 40), resources: rate.NewLimiter(2.5, 5), seen: time.Now()}
	cfg := s.Config(q)
	cfg.BaseEndpoint = nil // clients pace their calls to AWS only
	return q, cfg
}

// Throttled returns the number of calls that were throttled.
func (q *Quota) Throttled() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.throttled
}

// RoundTrip implements http.RoundTripper.
func (q *Quota) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Host, "apigateway.") && !q.take(r) {
		return &http.Response{
			StatusCode: http.StatusTooManyRequests, Request: r, Header: http.Header{"X-Amzn-Errortype": {"TooManyRequestsException"}},
			Body: io.NopCloser(strings.NewReader(`{"message":"Too Many Requests"}`)),
		}, nil
	}
	sent := r.Clone(r.Context())
	sent.Host = r.URL.Host // moto finds the service and the bucket in it
	sent.URL.Scheme, sent.URL.Host = q.to.Scheme, q.to.Host
	return q.Next.RoundTrip(sent)
}

// take reports whether a call is within the quota.
func (q *Quota) take(r *http.Request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if q.Others > 0 {
		each := time.Duration(float64(time.Second) / q.Others)
		for ; !q.seen.Add(each).After(now); q.seen = q.seen.Add(each) {
			q.all.AllowN(q.seen.Add(each), 1)
		}
	}
	ok := q.all.AllowN(now, 1)
	if ok && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/resources") {
		ok = q.resources.AllowN(now, 1)
	}
	if !ok {
		q.throttled++
	}
	return ok
}

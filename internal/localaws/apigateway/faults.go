package apigateway

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// Faults simulates limits of the real control API, for tests of clients. The zero value does nothing.
type Faults struct {
	PageSize      int           // maximum number of items in a page of a list; 0: AWS's
	ThrottleEvery int           // every n-th call fails with TooManyRequestsException; 0: none
	RetryAfter    time.Duration // Retry-After of those responses, in whole seconds; default 1 s
	Delay         time.Duration // before each call
}

// Wrap returns a handler that injects the faults and calls next.
func (f Faults) Wrap(next http.Handler) http.Handler {
	if f.RetryAfter < time.Second {
		f.RetryAfter = time.Second
	}
	var calls atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if retry.Sleep(r.Context(), f.Delay) != nil {
			return
		}
		if n := calls.Add(1); f.ThrottleEvery > 0 && n%int64(f.ThrottleEvery) == 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
			wire.WriteError(w, wire.RESTJSON, &wire.Error{Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Too Many Requests"})
			return
		}
		next.ServeHTTP(w, f.paged(r))
	})
}

// paged lowers the limit of a GET request to PageSize.
func (f Faults) paged(r *http.Request) *http.Request {
	if f.PageSize <= 0 || r.Method != http.MethodGet {
		return r
	}
	query := r.URL.Query()
	n, err := strconv.Atoi(query.Get("limit"))
	switch {
	case query.Has("limit") && err != nil:
		return r // the handler rejects it
	case n <= 0:
		n = defaultPage
	}
	query.Set("limit", strconv.Itoa(min(n, f.PageSize)))
	out := r.Clone(r.Context())
	out.URL.RawQuery = query.Encode()
	return out
}

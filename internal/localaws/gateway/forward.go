package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

var errTimeout = errors.New("upstream timed out")

const (
	maxIdlePerUpstream = 1024
	dialTimeout        = 10 * time.Second
	idleTimeout        = 60 * time.Second
	// smallBody is the length up to which a response is flushed only if it does not arrive in one piece.
	// It mostly does, and flushing the header separately would be slow.
	smallBody = 2 << 10
)

// newTransport returns a Transport that ignores the environment and does not change bodies.
func newTransport() http.RoundTripper {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: maxIdlePerUpstream,
		IdleConnTimeout:     idleTimeout,
		TLSHandshakeTimeout: dialTimeout,
		DisableCompression:  true,
	}
}

// forward passes the request to the upstream. The timeout ends with the upstream's headers: unlike in API
// Gateway the response may then stream without a time limit.
func (x *exchange) forward() {
	ctx, stop := context.WithCancelCause(x.r.Context())
	x.stop = stop
	timeout := x.method.upstream.timeout
	if timeout <= 0 {
		timeout = x.g.cfg.Timeout
	}
	r := x.r.WithContext(ctx)
	if r.ContentLength != 0 {
		x.timer = newUpstreamTimer()
		r.Body = &clientBody{http.MaxBytesReader(x.w, r.Body, x.g.cfg.MaxBodyBytes), x.timer}
	} else if x.timer == nil {
		x.timer = newUpstreamTimer()
	}
	x.sent = x.g.cfg.Clock()
	x.waiting = true
	x.timer.start(timeout, stop)
	defer func() {
		if caught := recover(); caught != nil {
			x.cutShort(caught)
			panic(caught)
		}
	}()
	x.proxy.ServeHTTP(x, r)
}

// answered ends the timer and returns false if it had expired.
func (x *exchange) answered() bool {
	x.waiting = false
	return x.timer.end()
}

// cutShort records why a response was cut short. It flushes the bytes that were counted as sent before the
// connection is closed.
func (x *exchange) cutShort(caught any) {
	switch {
	case caught != http.ErrAbortHandler:
	case x.clientGone || x.body.err == nil || x.r.Context().Err() != nil:
		x.failure = cutByClient
	default:
		x.failure = cutUpstream
		_ = http.NewResponseController(x.w).Flush() // an error means that the client has disconnected
	}
}

// rewrite prepares the request to the upstream. It forwards all headers, including x-api-key, except the
// hop-by-hop ones and Expect: the body is requested once the upstream is connected.
func (x *exchange) rewrite(p *httputil.ProxyRequest) {
	up := x.method.upstream
	up.fill(p.Out.URL, x.params, p.In.URL.RawQuery)
	p.Out.Host = ""
	if m := x.method.Integration.HTTPMethod; m != "" && m != anyMethod {
		p.Out.Method = m
	}
	p.Out.Trailer = p.In.Trailer // not a copy: it is filled once the body has been read
	h := p.Out.Header
	delete(h, "Expect")
	h["X-Amzn-Apigateway-Api-Id"] = x.st.apiID
	proto, port := "http", "80"
	if p.In.TLS != nil {
		proto, port = "https", "443"
	}
	if local, ok := p.In.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, listening, err := net.SplitHostPort(local.String()); err == nil {
			port = listening
		}
	}
	source := sourceIP(p.In)
	if prior := p.In.Header["X-Forwarded-For"]; len(prior) > 0 && source != "" {
		source = strings.Join(prior, ", ") + ", " + source
	}
	forwarded := []string{source, proto, port}
	if source != "" {
		h["X-Forwarded-For"] = forwarded[0:1:1]
	}
	h["X-Forwarded-Proto"] = forwarded[1:2:2]
	h["X-Forwarded-Port"] = forwarded[2:3:3]
}

func (x *exchange) modifyResponse(res *http.Response) error {
	if !x.answered() {
		x.timer = nil
		return errTimeout
	}
	x.st.failures.Worked()
	x.headersAt = x.g.cfg.Clock()
	x.upstreamStatus = res.StatusCode
	x.identify(res.Header)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	x.body = upstreamBody{ReadCloser: res.Body, x: x}
	res.Body = &x.body
	x.proxy.FlushInterval = -1
	if res.ContentLength >= 0 && res.ContentLength <= smallBody {
		x.proxy.FlushInterval, x.body.flushes = 0, true
	}
	return nil
}

// proxyFailed writes the response if the upstream has not responded.
func (x *exchange) proxyFailed(_ http.ResponseWriter, r *http.Request, err error) {
	var long *http.MaxBytesError
	switch {
	case x.tunnel != nil:
		x.failure = cutByClient // writing the upgrade's header failed
	case errors.As(err, &long):
		x.refuse(tooLong)
	case errors.Is(err, wire.ErrSlowBody) || errors.Is(context.Cause(r.Context()), wire.ErrSlowBody):
		x.refuse(bodyTooSlow)
	case errors.Is(err, errTimeout) || errors.Is(context.Cause(r.Context()), errTimeout):
		x.st.failures.Failed(errTimeout, "resource", x.route.path)
		x.refuse(timedOut)
	case x.r.Context().Err() != nil:
		x.status, x.failure = StatusClientClosed, clientClosed
	default:
		x.st.failures.Failed(err, "resource", x.route.path)
		x.refuse(badGateway)
	}
}

// sourceIP returns the remote address of the connection, "" if it has none.
func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// upstreamTimer limits the time until the upstream's response headers. It is paused while the gateway waits
// for the client's body: API Gateway reads the whole body before it calls the upstream.
type upstreamTimer struct {
	timer   *time.Timer
	timeout time.Duration
	cancel  context.CancelCauseFunc // called on expiry

	mu   sync.Mutex // guards over, and prevents a restart of timer after it
	over bool
}

func newUpstreamTimer() *upstreamTimer {
	t := &upstreamTimer{}
	t.timer = time.AfterFunc(MaxTimeout, t.expire)
	t.timer.Stop()
	return t
}

func (t *upstreamTimer) start(timeout time.Duration, cancel context.CancelCauseFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timeout, t.cancel, t.over = timeout, cancel, false
	t.timer.Reset(timeout)
}

func (t *upstreamTimer) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.cancel(errTimeout)
	}
}

// end stops the timer and returns false if it had expired. Then t must not be started again, because expire
// may still run.
func (t *upstreamTimer) end() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.timer.Stop()
}

func (t *upstreamTimer) pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.timer.Stop()
	}
}

func (t *upstreamTimer) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.timer.Reset(t.timeout)
	}
}

// clientBody is the body of a request. It pauses the timer during reads. The transport may still read it
// after the request has ended, so it refers to nothing that is reused.
type clientBody struct {
	io.ReadCloser
	timer *upstreamTimer
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.timer.pause()
	n, err := b.ReadCloser.Read(p)
	b.timer.resume()
	return n, err
}

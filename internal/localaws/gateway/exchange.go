package gateway

import (
	"context"
	"net/http"
	"net/http/httputil"
	"runtime/debug"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// exchange is a request and its response. It is the http.ResponseWriter of the proxy, and collects the values
// of the log line. Exchanges are reused, so nothing that may outlive ServeHTTP refers to one, except the
// connection of an upgrade; then the exchange is not reused.
type exchange struct {
	g     *Gateway
	proxy httputil.ReverseProxy // its hooks are methods of this exchange

	w       http.ResponseWriter
	r       *http.Request
	st      *stage
	at      location
	start   time.Time
	latency time.Duration // set at the end
	route   *route        // nil: no resource matched
	method  *method
	params  []string // path parameters, escaped, in the order of the route

	requestID, extendedID string
	key                   apigateway.KeyView
	keyValue              string // set with key, and only if the key has a plan

	status     int // 0: no response yet
	length     int64
	tunnel     *tunnel // set once the connection is upgraded
	clientGone bool    // a write to the client failed
	failure    failure

	sent           time.Time // start of the integration call; zero: none
	headersAt      time.Time // arrival of the upstream's headers
	upstreamStatus int
	stop           context.CancelCauseFunc
	timer          *upstreamTimer
	waiting        bool // timer has started and not ended
	body           upstreamBody

	// Scratch space of the log line.
	values []string
	spans  []span
	text   []byte
	line   []byte
}

func newExchange(g *Gateway) *exchange {
	x := &exchange{g: g}
	x.proxy = httputil.ReverseProxy{
		Rewrite: x.rewrite, ModifyResponse: x.modifyResponse, ErrorHandler: x.proxyFailed,
		Transport: g.transport, ErrorLog: g.proxyLog, BufferPool: &g.copies,
	}
	return x
}

func (x *exchange) begin(w http.ResponseWriter, r *http.Request, st *stage, at location, start time.Time) {
	x.w, x.r, x.st, x.at, x.start = w, r, st, at, start
	x.requestID, x.extendedID = newIDs()
	if set := r.Header[requestIDHeader]; len(set) > 0 {
		x.requestID = chosenID(set[0])
	}
}

// end writes the log line and releases the exchange. It is deferred: after a panic of this package it
// returns 500; the panic with which net/http's proxy aborts a connection continues.
func (x *exchange) end() {
	caught := recover()
	if caught != nil && caught != http.ErrAbortHandler {
		x.g.log.Error("BUG: request handler panicked", "api", x.st.view.APIID, "stage", x.st.view.Stage, "panic", caught, "stack", string(debug.Stack()))
		if x.status == 0 {
			x.refuse(internalError)
			caught = nil
		} else {
			caught = http.ErrAbortHandler
		}
	}
	x.settle()
	x.record()
	if x.tunnel == nil {
		x.recycle()
	}
	if caught != nil {
		panic(caught)
	}
}

// settle stops the timer and sets the status of a request without a response.
func (x *exchange) settle() {
	if x.waiting && !x.answered() || x.r.ContentLength != 0 {
		x.timer = nil // expire or the client's body may still use it
	}
	if x.stop != nil {
		x.stop(nil)
	}
	if x.tunnel != nil {
		x.length = x.tunnel.sent.Load()
	}
	if x.status == 0 {
		x.status = StatusClientClosed
		x.failure = clientClosed
	}
}

func (x *exchange) recycle() {
	clear(x.params)
	clear(x.values)
	*x = exchange{
		g: x.g, proxy: x.proxy, timer: x.timer, params: x.params[:0],
		values: x.values[:0], spans: x.spans[:0], text: x.text[:0], line: x.line[:0],
	}
	x.g.exchanges.Put(x)
}

func (x *exchange) serve() {
	if f, ok := x.admit(); !ok {
		x.refuse(f)
		return
	}
	in := &x.method.Integration
	switch {
	case in.Type == apigateway.Mock:
		x.mock(in.Mock)
	case x.method.upstream == nil:
		x.refuse(misconfigured)
	default:
		x.forward()
	}
}

func (x *exchange) mock(m apigateway.MockAnswer) {
	h := x.Header()
	h.Set("Content-Type", "application/json")
	for name, value := range m.Headers {
		h.Set(name, value)
	}
	x.identify(h)
	x.WriteHeader(max(m.Status, http.StatusOK))
	if m.Body != "" {
		x.writeString(m.Body)
	}
}

// identify sets the request's ids in a response, and replaces those of the upstream.
func (x *exchange) identify(h http.Header) {
	ids := []string{x.requestID, x.extendedID}
	h[requestIDHeader] = ids[0:1:1]
	h[extendedIDHeader] = ids[1:2:2]
}

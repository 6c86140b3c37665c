package gateway

import (
	"context"
	"net/http"
	"net/http/httputil"
	"runtime/debug"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// exchange is one request and its response. It is the http.ResponseWriter that the proxy writes
// to, and keeps what the log line needs. Exchanges are reused: nothing that may outlive ServeHTTP
// holds one, except the connection of an upgrade, after which it is left to the garbage collector.
type exchange struct {
	g     *Gateway
	proxy httputil.ReverseProxy // its hooks are methods of this exchange

	w      http.ResponseWriter
	r      *http.Request
	st     *stage
	at     location
	start  time.Time
	route  *route // nil: no resource matched
	method *method
	params []string // path parameters, escaped, in the order of the route

	requestID, extendedID string
	key                   apigateway.KeyView
	keyValue              string // set with key, and only when the key counts

	status     int // 0: no response yet
	length     int64
	tunnel     *tunnel // set once the connection was upgraded
	clientGone bool    // a write to the client failed
	failure    failure

	sent           time.Time // when the integration was called; zero: it was not
	headersAt      time.Time // when the upstream's headers had come
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

// end writes the log line and releases the exchange. It is deferred: a panic of this package is
// answered with 500, the one with which net/http's proxy aborts a connection continues.
func (x *exchange) end() {
	caught := recover()
	if caught != nil && caught != http.ErrAbortHandler {
		x.g.log.Error("BUG: a request ended in a panic", "api", x.st.view.APIID, "stage", x.st.view.Stage, "panic", caught, "stack", string(debug.Stack()))
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

// settle sets the status of a request without a response.
func (x *exchange) settle() {
	if x.waiting && !x.answered() || x.r.ContentLength != 0 {
		x.timer = nil // expire or the client's body may still hold it
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

// serve answers the request.
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

// identify puts the request's ids into a response, and replaces any that the upstream sent.
func (x *exchange) identify(h http.Header) {
	ids := []string{x.requestID, x.extendedID}
	h[requestIDHeader] = ids[0:1:1]
	h[extendedIDHeader] = ids[1:2:2]
}

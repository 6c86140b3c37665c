package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

func TestUpstreamRequestHeaders(t *testing.T) {
	var got http.Header
	var host string
	b := newBench(t, Config{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, host = r.Header, r.Host }))
	b.requireKeys()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	b.do(t, "GET", "/shop/prod/x", nil, "X-Api-Key", goodKey, "X-Forwarded-For", "203.0.113.1", "X-Forwarded-For", "203.0.113.2", "X-Forwarded-Proto", "gopher",
		"X-Forwarded-Port", "1", "Connection", "X-Drop", "X-Drop", "1", "Keep-Alive", "3", "Proxy-Authorization", "Basic eA==", "Te", "trailers",
		"Accept-Encoding", "br", "X-Keep", "1", "X-Keep", "2", "User-Agent", "", "Host", "client.example")
	want := http.Header{
		"X-Api-Key": {goodKey}, "X-Forwarded-For": {"203.0.113.1, 203.0.113.2, 127.0.0.1"}, "X-Forwarded-Proto": {"http"},
		"X-Forwarded-Port": {port}, "X-Amzn-Apigateway-Api-Id": {"shop"}, "Te": {"trailers"}, "Accept-Encoding": {"br"}, "X-Keep": {"1", "2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers at the upstream (-want +got):\n%s", diff)
	}
	if host == "client.example" {
		t.Error("the client's Host reached the upstream")
	}
}

func TestClientResponseHeaders(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Requestid", "forged")
		w.Header().Set("X-Amz-Apigw-Id", "forged")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("Connection", "X-Drop")
		w.Header().Set("X-Drop", "1")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(302)
	}))
	got := b.do(t, "GET", "/shop/prod/x", nil)
	if got.StatusCode != 302 || got.Header.Get("Location") != "/elsewhere" {
		t.Errorf("the redirect did not pass: %d %q", got.StatusCode, got.Header.Get("Location"))
	}
	if len(got.Header.Values("X-Amzn-Requestid")) != 1 || got.Header.Get("X-Amzn-Requestid") == "forged" || got.Header.Get("X-Amz-Apigw-Id") == "forged" {
		t.Errorf("the upstream set the ids: %v", got.Header)
	}
	if diff := cmp.Diff([]string{"a=1", "b=2"}, got.Header.Values("Set-Cookie")); diff != "" || got.Header.Get("X-Drop") != "" {
		t.Errorf("headers: %v", got.Header)
	}
}

func TestResponsesStream(t *testing.T) {
	for _, c := range []struct{ name, length, kind string }{
		{"chunked", "", "text/plain"}, {"events", "", "text/event-stream"}, {"long, of known length", "100003", "text/plain"}, {"short, of known length", "6", "text/plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := make(chan struct{})
			size := 6
			if c.length != "" {
				fmt.Sscan(c.length, &size)
			}
			b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				if c.length != "" {
					w.Header().Set("Content-Length", c.length)
				}
				_, _ = io.WriteString(w, "one")
				_ = http.NewResponseController(w).Flush()
				<-read
				_, _ = io.WriteString(w, strings.Repeat("2", size-3))
			}))
			res, err := b.client.Get(b.url + "/shop/prod/x")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			first := make([]byte, 3)
			if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "one" {
				t.Fatalf("first part %q, %v", first, err)
			}
			close(read) // reached only because the first part came alone
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != size-3 {
				t.Errorf("rest: %d bytes, %v", len(rest), err)
			}
			if line := b.line(t, 1); line["responseLength"] != fmt.Sprint(size) {
				t.Errorf("logged %s bytes, want %d", line["responseLength"], size)
			}
		})
	}
}

func TestRequestBodiesStream(t *testing.T) {
	arrived := make(chan string)
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 3)
		_, _ = io.ReadFull(r.Body, part)
		arrived <- string(part)
		rest, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append(part, rest...))
	}))
	body, in := io.Pipe()
	go func() {
		_, _ = io.WriteString(in, "one")
		if got := <-arrived; got != "one" {
			t.Errorf("first part at the upstream: %q", got)
		}
		_, _ = io.WriteString(in, "two")
		in.Close()
	}()
	if got := b.do(t, "POST", "/shop/prod/x", body); got.body != "onetwo" {
		t.Errorf("answer %q", got.body)
	}
}

func TestUpstreamTimeoutReturns504(t *testing.T) {
	b := newBench(t, Config{Timeout: 30 * time.Millisecond}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	got := b.do(t, "GET", "/shop/prod/x", nil)
	if got.StatusCode != 504 || got.body != `{"message": "Endpoint request timed out"}` {
		t.Errorf("answer %d %q", got.StatusCode, got.body)
	}
	line := b.line(t, 1)
	if line["status"] != "504" || line["error.responseType"] != "INTEGRATION_TIMEOUT" || line["integration.status"] != "-" || line["integration.latency"] == "-" {
		t.Errorf("line %v", line)
	}
}

func TestIntegrationTimeout(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	b.setView(func(v *apigateway.StageView) {
		eachMethod(v, func(m *apigateway.Method) { m.Integration.Timeout = 30 * time.Millisecond })
	})
	if got := b.do(t, "GET", "/shop/prod/x", nil); got.StatusCode != 504 {
		t.Errorf("status %d", got.StatusCode)
	}
}

func TestTimeoutEndsWithHeaders(t *testing.T) {
	b := newBench(t, Config{Timeout: 50 * time.Millisecond}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(150 * time.Millisecond):
		}
		_, _ = io.WriteString(w, "late")
	}))
	if got := b.do(t, "GET", "/shop/prod/x", nil); got.body != "late" {
		t.Errorf("answer %d %q", got.StatusCode, got.body)
	}
}

// dial opens a connection to the server and sends text.
func (b *bench) dial(t *testing.T, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func TestUpgrade(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" {
			w.WriteHeader(400)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}))
	conn, in := b.dial(t, "GET /shop/prod/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("x-amz-apigw-id") == "" {
		t.Fatalf("upgrade: %v, %v", res, err)
	}
	for _, word := range []string{"hello", "again"} {
		if _, err := io.WriteString(conn, word); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, len(word))
		if _, err := io.ReadFull(in, back); err != nil || string(back) != word {
			t.Fatalf("echo %q, %v", back, err)
		}
	}
	conn.Close()
	line := b.line(t, 1)
	if line["status"] != "101" || line["responseLength"] != "10" || line["integration.status"] != "101" || line["extendedRequestId"] != res.Header.Get("x-amz-apigw-id") {
		t.Errorf("line %v", line)
	}
}

func TestRefusedUpgrade(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(426) }))
	if got := b.do(t, "GET", "/shop/prod/ws", nil, "Connection", "Upgrade", "Upgrade", "websocket"); got.StatusCode != 426 {
		t.Errorf("status %d", got.StatusCode)
	}
}

func TestExpectContinue(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	conn, in := b.dial(t, "PUT /shop/prod/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if status, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(status, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", status, err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "PUT /x hello" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestRefusalDoesNotReadBody(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	b.requireKeys()
	_, in := b.dial(t, "PUT /shop/prod/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if status, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(status, "HTTP/1.1 403 ") {
		t.Errorf("%q, %v", status, err)
	}
}

func TestClientDisconnectLogged(t *testing.T) {
	began := make(chan struct{}, 1)
	b := newBench(t, Config{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done() // the upstream hears of it
	}))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-began
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+"/shop/prod/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.Do(req); err == nil {
		t.Fatal("an answer")
	}
	line := b.line(t, 1)
	if line["status"] != "499" || line["error.message"] != "Client closed the connection" || line["error.responseType"] != "-" || line["responseLength"] != "0" {
		t.Errorf("line %v", line)
	}
}

func TestClientDisconnectDuringResponseLogged(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	res, err := b.client.Get(b.url + "/shop/prod/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	line := b.line(t, 1)
	if line["status"] != "200" || line["error.message"] != "Client closed the connection during the response" || line["responseLength"] == "0" || line["integration.error"] != "-" {
		t.Errorf("line %v", line)
	}
}

func TestUpstreamCrash(t *testing.T) {
	cut := func(head string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, head)
			conn.Close()
		}
	}
	t.Run("before its answer", func(t *testing.T) {
		b := newBench(t, Config{}, cut("HTTP/1.1 2"))
		if got := b.do(t, "POST", "/shop/prod/x", strings.NewReader("x")); got.StatusCode != 502 || got.body != `{"message": "Internal server error"}` {
			t.Errorf("answer %d %q", got.StatusCode, got.body)
		}
		if line := b.line(t, 1); line["status"] != "502" || line["integration.error"] != "Network error communicating with endpoint" || line["integration.status"] != "-" {
			t.Errorf("line %v", line)
		}
	})
	for name, head := range map[string]string{
		"in its body":   "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
		"in its chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, cut(head))
			res, err := b.client.Get(b.url + "/shop/prod/x")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err == nil || string(body) != "12345" {
				t.Errorf("the client read %q, %v: want 5 bytes and an error", body, err)
			}
			line := b.line(t, 1)
			if line["status"] != "200" || line["responseLength"] != "5" || line["error.message"] != "Response cut short" || line["integration.error"] == "-" {
				t.Errorf("line %v", line)
			}
		})
	}
}

func TestUpstreamConnectionsReused(t *testing.T) {
	var upstreams []string
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upstreams = append(upstreams, r.RemoteAddr)
		echo(w, r)
	}))
	var reused []bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = append(reused, i.Reused) }})
	for _, path := range []string{"/shop/prod/a", "/unknown/prod/a", "/shop/prod/b"} {
		req, err := http.NewRequestWithContext(ctx, "POST", b.url+path, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	if diff := cmp.Diff([]bool{false, true, true}, reused); diff != "" {
		t.Errorf("client's connections: %s", diff)
	}
	if len(upstreams) != 2 || upstreams[0] != upstreams[1] {
		t.Errorf("upstream's connections: %v", upstreams)
	}
}

func TestResponsesWithoutBody(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "12345")
		}
	}))
	for i, c := range []struct {
		method, path string
		status       int
		length       int64
	}{{"HEAD", "/x", 200, 5}, {"GET", "/204", 204, 0}, {"GET", "/304", 304, 0}} {
		got := b.do(t, c.method, "/shop/prod"+c.path, nil)
		if got.StatusCode != c.status || got.body != "" || c.length != 0 && got.ContentLength != c.length {
			t.Errorf("%s %s: %d %q, length %d", c.method, c.path, got.StatusCode, got.body, got.ContentLength)
		}
		if line := b.line(t, i+1); line["status"] != fmt.Sprint(c.status) || line["responseLength"] != "0" || line["error.message"] != "-" {
			t.Errorf("%s %s: line %v", c.method, c.path, line)
		}
	}
	b.requireKeys()
	got := b.do(t, "HEAD", "/shop/prod/x", nil)
	if line := b.line(t, 4); got.StatusCode != 403 || got.body != "" || line["responseLength"] != "0" {
		t.Errorf("HEAD refused: %d %q, line %v", got.StatusCode, got.body, line)
	}
}

func TestTrailersForwarded(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", r.Trailer.Get("X-From-Client"))
	}))
	req, err := http.NewRequest("POST", b.url+"/shop/prod/x", io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-From-Client": {"2"}}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(http.Header{"X-Sum": {"1"}, "X-Late": {"2"}}, res.Trailer); diff != "" {
		t.Errorf("trailers (-want +got):\n%s", diff)
	}
}

func TestEarlyHintsForwardedNotLogged(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(201)
	}))
	_, in := b.dial(t, "GET /shop/prod/x HTTP/1.1\r\nHost: x\r\n\r\n")
	if status, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(status, "HTTP/1.1 103 ") {
		t.Errorf("%q, %v", status, err)
	}
	if line := b.line(t, 1); line["status"] != "201" {
		t.Errorf("status %s", line["status"])
	}
}

func TestProxyEnvironmentIgnored(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	for _, name := range []string{"AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"} {
		t.Setenv(name, filepath.Join(t.TempDir(), "missing"))
	}
	if proxy := newTransport().(*http.Transport).Proxy; proxy != nil {
		t.Error("the transport asks for a proxy")
	}
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	if got := b.do(t, "GET", "/shop/prod/x", nil); got.StatusCode != 200 {
		t.Errorf("status %d", got.StatusCode)
	}
}

func TestMockIntegrations(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(echo))
	b.setView(func(v *apigateway.StageView) {
		eachMethod(v, func(m *apigateway.Method) {
			m.Integration = apigateway.Integration{Type: apigateway.Mock, Mock: apigateway.MockAnswer{
				Status: 202, Headers: map[string]string{"X-Mock": "1"}, Body: `{"ok":true}`,
			}}
		})
	})
	got := b.do(t, "POST", "/shop/prod/x", strings.NewReader("ignored"))
	if got.StatusCode != 202 || got.body != `{"ok":true}` || got.Header.Get("X-Mock") != "1" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answer %d %q %v", got.StatusCode, got.body, got.Header)
	}
	if line := b.line(t, 1); line["status"] != "202" || line["responseLength"] != "11" || line["integration.status"] != "-" {
		t.Errorf("line %v", line)
	}
}

func TestSlowClientDoesNotTimeOutUpstream(t *testing.T) {
	b := newBench(t, Config{Timeout: 40 * time.Millisecond}, http.HandlerFunc(echo))
	body, in := io.Pipe()
	go func() {
		_, _ = io.WriteString(in, "one")
		<-time.After(200 * time.Millisecond)
		_, _ = io.WriteString(in, "two")
		in.Close()
	}()
	if got := b.do(t, "POST", "/shop/prod/x", body); got.StatusCode != 200 || got.body != "POST /x onetwo" {
		t.Errorf("answer %d %q", got.StatusCode, got.body)
	}
}

func TestUpstreamNotReadingBodyTimesOut(t *testing.T) {
	over := make(chan struct{})
	b := newBench(t, Config{Timeout: 40 * time.Millisecond}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer close(over)
	if got := b.do(t, "POST", "/shop/prod/x", strings.NewReader(strings.Repeat("x", MaxBodyBytes))); got.StatusCode != 504 {
		t.Errorf("status %d", got.StatusCode)
	}
}

func TestLargestBodyAccepted(t *testing.T) {
	b := newBench(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	for _, body := range []io.Reader{strings.NewReader(strings.Repeat("x", MaxBodyBytes)), io.MultiReader(strings.NewReader(strings.Repeat("x", MaxBodyBytes)))} {
		if got := b.do(t, "POST", "/shop/prod/x", body); got.body != "10485760 <nil>" {
			t.Errorf("answer %d %q", got.StatusCode, got.body)
		}
	}
}

// lockedText is a log that is read while it may be written.
type lockedText struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestUpstreamFailureLoggedOnChange(t *testing.T) {
	var text lockedText
	var down atomic.Bool
	b := newBench(t, Config{Logger: slog.New(slog.NewTextHandler(&text, nil))}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		echo(w, r)
	}))
	for i := range 6 {
		down.Store(i < 3)
		b.do(t, "GET", "/shop/prod/orders/secret-id?api_key=secret", nil, "X-Api-Key", goodKey)
	}
	log := text.String()
	if strings.Count(log, "upstream call is failing") != 1 || strings.Count(log, "upstream call recovered after 3 tries") != 1 {
		t.Errorf("the log says:\n%s", log)
	}
	if strings.Contains(log, goodKey) || strings.Contains(log, "secret") {
		t.Errorf("the log holds what the client sent:\n%s", log)
	}
}

package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tail is an open live tail.
type tail struct {
	t     *testing.T
	lines *bufio.Scanner
}

func openTail(t *testing.T, c *Console, live *feed, query string) *tail {
	t.Helper()
	server := httptest.NewServer(c)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(func() { cancel(); server.Close() })
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/live/stream?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("got %d %s", res.StatusCode, got)
	}
	<-live.joined
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return &tail{t, lines}
}

// next returns the next event.
func (l *tail) next() batch {
	l.t.Helper()
	for l.lines.Scan() {
		if data, ok := strings.CutPrefix(l.lines.Text(), "data: "); ok {
			var b batch
			if err := json.Unmarshal([]byte(data), &b); err != nil {
				l.t.Fatalf("event %s: %v", data, err)
			}
			return b
		}
	}
	l.t.Fatalf("the stream ended: %v", l.lines.Err())
	return batch{}
}

func TestLiveTailSendsLines(t *testing.T) {
	live := newFeed()
	cfg := config(nil)
	cfg.Live = live.Subscribe
	l := openTail(t, New(cfg), live, "")
	live.send(`{"api_id":"shop","stage":"prod","key_id":"k1","ip":"192.0.2.1","method":"GET","uri":"/orders/7","resource_path":"/orders/{id}",` +
		`"response_status":"200","request_latency":"12","request_time_epoch":"1773500966123","usage_plan":"Gold","customer":"Acme\n\ndata: x"}`)
	ms := 12.0
	want := batch{Lines: []line{{Time: "15:09:26.123", Status: 200, Method: "GET", Path: "/orders/7", Route: "/orders/{id}", Customer: "Acme\n\ndata: x", Key: "k1",
		Plan: "Gold", API: "shop", Stage: "prod", Latency: &ms, IP: "192.0.2.1"}}}
	if diff := cmp.Diff(want, l.next()); diff != "" {
		t.Errorf("want, got:\n%s", diff)
	}
	live.send(`not JSON`)
	live.send(`[1]`)
	live.send(`null`)
	live.send(`{"response_status":"-","request_latency":"-","customer":"-","request_time":"14/Mar/2026:16:00:01 +0100","plan_id":"P","subscription_id":"S"}`)
	want = batch{Lines: []line{{Time: "15:00:01.000", Plan: "P", Customer: "S"}}}
	if diff := cmp.Diff(want, l.next()); diff != "" {
		t.Errorf("a line with few values: want, got:\n%s", diff)
	}
}

func TestLiveTailFilters(t *testing.T) {
	live := newFeed()
	cfg := config(nil)
	cfg.Live = live.Subscribe
	l := openTail(t, New(cfg), live, "customer=Acme&status=5xx&plan=-")
	for i, status := range []int{200, 404, 500, 503} {
		for _, customer := range []string{"Acme", "Globex"} {
			for _, plan := range []string{"-", "Gold"} {
				live.send(fmt.Sprintf(`{"customer":%q,"response_status":%d,"usage_plan":%q,"uri":"/%d"}`, customer, status, plan, i))
			}
		}
	}
	var got []string
	for len(got) < 2 {
		for _, line := range l.next().Lines {
			got = append(got, fmt.Sprint(line.Customer, line.Status, line.Path))
		}
	}
	if diff := cmp.Diff([]string{"Acme500/2", "Acme503/3"}, got); diff != "" {
		t.Errorf("want, got:\n%s", diff)
	}
}

// Lines beyond the limit are counted but neither kept nor waited for.
func TestLiveTailSkipsExcessLines(t *testing.T) {
	live := newFeed()
	cfg := config(nil)
	cfg.Live = live.Subscribe
	l := openTail(t, New(cfg), live, "")
	const flood = 100_000
	start := time.Now()
	for i := range flood {
		live.send(fmt.Sprintf(`{"uri":"/%d"}`, i))
	}
	t.Logf("%d lines in %v", flood, time.Since(start))
	var shown, skipped int64
	for shown+skipped < flood {
		b := l.next()
		if len(b.Lines) > liveLines {
			t.Fatalf("got %d lines in one event, want at most %d", len(b.Lines), liveLines)
		}
		shown, skipped = shown+int64(len(b.Lines)), skipped+b.Skipped
	}
	if shown+skipped != flood || shown == 0 {
		t.Errorf("got %d lines and %d skipped, want %d together", shown, skipped, flood)
	}
}

func TestLiveTailsAreLimited(t *testing.T) {
	live := newFeed()
	cfg := config(nil)
	cfg.Live = live.Subscribe
	c := New(cfg)
	c.readers.Store(liveReaders)
	if w := get(c, "/live/stream"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one tail above the limit: got %d, want 503", w.Code)
	}
	c.readers.Store(0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "http://localhost/live/stream", nil))
	}()
	<-live.joined
	cancel()
	<-done
	if got := c.readers.Load(); got != 0 {
		t.Errorf("got %d readers after the last one left", got)
	}
}

func TestPagesWithoutLakeLiveOrDelivery(t *testing.T) {
	c := New(config(nil))
	for _, path := range []string{"/", "/customers", "/requests", "/customer?key=x", "/sql", "/request?object=1&line=1"} {
		if got := text(section(t, pageAt(t, c, path), "No lake yet")); !strings.Contains(got, "stagelog up") {
			t.Errorf("GET %s without a lake: got %q, want the command that fills it", path, got)
		}
	}
	menu := text(find(pageAt(t, c, "/"), "nav", "menu")[0])
	if strings.Contains(menu, "Live") || strings.Contains(menu, "Delivery") {
		t.Errorf("the menu has pages that do not exist: %s", menu)
	}
	for _, path := range []string{"/live", "/live/stream", "/delivery"} {
		if w := get(c, path); w.Code != 404 {
			t.Errorf("GET %s: got %d, want 404", path, w.Code)
		}
	}
}

func TestDeliveryPage(t *testing.T) {
	c, _ := testConsole(t)
	got := text(find(pageAt(t, c, "/delivery"), "main", "")[0])
	for _, want := range []string{"amazon-apigateway-acme errors", "453 KiB", "oldest record 41 s", "4.21M", "1,893 objects", "19 s ago", "Lambda.FunctionError", "12 3 h 0 min ago",
		"stagelog replay --into logs/replayed/ --since 4h", "amazon-apigateway-partners idle", "10.4k", "including 61 deleted", "34 s"} {
		if !strings.Contains(strings.ReplaceAll(got, "\u00a0", " "), want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

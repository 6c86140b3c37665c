package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
)

// testConfig returns the configuration of a server with one open API before upstream.
func testConfig(t *testing.T, upstream string) Config {
	t.Helper()
	yaml := fmt.Sprintf(`name: acme
bucket: acme-logs
local:
  apis: [{id: shop, upstream: %q, stages: [prod], api_key_required: false}]
  usage_plans: [{name: Gold, stages: [shop/prod], customers: [{name: Acme, key: env:ACME_KEY}]}]
`, upstream)
	p, err := config.Parse("stagelog.yaml", []byte(yaml), func(string) string { return "0123456789-0123456789" })
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	const free = "127.0.0.1:0"
	return Config{Pipeline: p, Dir: t.TempDir(), Listen: Listen{AWS: free, Stages: free, Console: free}, Logger: slog.New(slog.DiscardHandler)}
}

// restoreDir restores the working directory, which the embedded S3 server changes.
func restoreDir(t *testing.T) {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chdir(wd); err != nil {
			t.Error(err)
		}
	})
}

// A request in progress when the script ends is answered, and its line is delivered.
func TestRunFinishesPendingRequests(t *testing.T) {
	restoreDir(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-answer
	}))
	defer upstream.Close()
	var c *Server
	asked := make(chan error, 1)
	err := Run(context.Background(), testConfig(t, upstream.URL), func(_ context.Context, server *Server) error {
		c = server
		go func() {
			res, err := http.Get(c.Endpoints().Stages + "/shop/prod/")
			if err == nil {
				err = res.Body.Close()
			}
			asked <- err
		}()
		<-arrived
		// Longer than stopping takes if it does not wait for the request.
		time.AfterFunc(2*time.Second, func() { close(answer) })
		return nil
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if err := <-asked; err != nil {
		t.Errorf("pending request: %v", err)
	}
	if got := c.Counts(); got.Requests != 1 || got.Accepted != 1 || got.Delivered != 1 {
		t.Errorf("Counts() = %+v, want 1 request, accepted and delivered", got)
	}
}

// The server gives each part a logger with its component. A part that adds the key again repeats it.
func TestLogLinesHaveOneComponent(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	var logs lockedBuffer
	cfg := testConfig(t, upstream.URL)
	cfg.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	err := Run(t.Context(), cfg, func(ctx context.Context, c *Server) error {
		log, err := c.buffer.Log(ctx, cfg.Pipeline.Stream(), 0)
		if err == nil {
			_, err = log.Append(ctx, []byte("not a frame")) // makes the delivery worker log an error
		}
		return err
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	found := false
	for line := range strings.Lines(logs.String()) {
		if n := strings.Count(line, "component="); n > 1 {
			t.Errorf("%d components in log line %s", n, line)
		}
		found = found || strings.Contains(line, "component=deliver stream="+cfg.Pipeline.Stream()+" shard=0 ")
	}
	if !found {
		t.Errorf("no line of the delivery worker with component, stream and shard in the log:\n%s", logs.String())
	}
}

// lockedBuffer is a buffer that goroutines may write to in parallel.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The control API's counters are written even after the run's context has ended.
func TestCloseWritesAfterContextEnds(t *testing.T) {
	restoreDir(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := listenFor(testConfig(t, upstream.URL))
	if err != nil {
		t.Fatalf("listenFor: %v", err)
	}
	defer c.at.close() //nolint:errcheck // no server uses it
	if err := c.open(ctx); err != nil {
		t.Fatalf("open: %v", err)
	}
	if _, err := c.control.ApplyLocal(ctx, localConfig(c.cfg.Pipeline.Local, false)); err != nil {
		t.Fatalf("ApplyLocal: %v", err)
	}
	plan := c.control.Plans()[0]
	c.control.Count(plan.ID, plan.Keys[0].ID, time.Now())
	cancel()
	if err := c.close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// newTestDelivery returns a delivery with a real buffer, without the rest of a server.
func newTestDelivery(t *testing.T) *delivery {
	t.Helper()
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: filepath.Join(t.TempDir(), "buffer")})
	if err != nil {
		t.Fatalf("buffer.Open: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("buffer.Close: %v", err)
		}
	})
	c := &Server{cfg: Config{Dir: t.TempDir()}, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry(), buffer: b}
	d, err := newDelivery(t.Context(), c)
	if err != nil {
		t.Fatalf("newDelivery: %v", err)
	}
	return d
}

const stream, document = "orders", "orders/0"

// fill appends a frame to the stream, and writes a delivery state that marks it as delivered.
func fill(t *testing.T, d *delivery) {
	t.Helper()
	log, err := d.server.buffer.Log(t.Context(), stream, 0)
	if err != nil {
		t.Fatalf("Log: %v", err)
	}
	if _, err := log.Append(t.Context(), []byte("frame")); err != nil {
		t.Fatalf("Append: %v", err)
	}
	if _, err := d.store.Put(t.Context(), document, []byte(`{"format":1,"delivered":1}`), 0); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// last returns the newest sequence of the stream's log, recreated if it was deleted.
func last(t *testing.T, d *delivery) uint64 {
	t.Helper()
	log, err := d.server.buffer.Log(t.Context(), stream, 0)
	if err != nil {
		t.Fatalf("Log: %v", err)
	}
	stats, err := log.Stats(t.Context())
	if err != nil {
		t.Fatalf("Stats: %v", err)
	}
	return stats.Last
}

// A deletion interrupted by a crash is finished when the streams are read, before workers exist.
func TestDeleteWithoutWorker(t *testing.T) {
	d := newTestDelivery(t)
	fill(t, d)
	d.deleted(stream)
	if _, _, err := d.store.Get(t.Context(), document); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Get(%q) after deletion: %v, want not found", document, err)
	}
	if n := last(t, d); n != 0 {
		t.Errorf("log of a deleted stream ends at %d, want 0", n)
	}
}

// stuck is a store that fails to delete.
type stuck struct{ record.Store }

func (stuck) Delete(context.Context, string) error { return errors.New("no answer") }

// A delivery state that outlives its log would make a new stream of that name skip records.
func TestDeleteKeepsLogWhenStateRemains(t *testing.T) {
	d := newTestDelivery(t)
	fill(t, d)
	d.store = stuck{d.store}
	d.deleted(stream)
	if n := last(t, d); n != 1 {
		t.Errorf("log ends at %d, want 1 as in its delivery state", n)
	}
}

// A stream that cannot be delivered ends the server before the disk fills up.
func TestUnstartableWorkerEndsRun(t *testing.T) {
	d := newTestDelivery(t)
	d.store = nil // deliver.New rejects it
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.changed(firehose.Stream{Name: stream, Destination: firehose.ExtendedS3Destination{}})
	go func() { ended <- d.run(ctx) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("run() = nil, want an error")
		}
	case <-time.After(10 * time.Second):
		t.Error("run() continues without the worker")
	}
}

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
)

// testConfig returns a server with one open API before upstream.
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

// stayHere undoes what the embedded S3 server does to the working directory.
func stayHere(t *testing.T) {
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

// A request that is under way when the script ends is answered, and its line delivered.
func TestRunEndsWithTheRequestsUnderWay(t *testing.T) {
	stayHere(t)
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
		// Longer than it takes everything to stop that does not wait for the request.
		time.AfterFunc(2*time.Second, func() { close(answer) })
		return nil
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if err := <-asked; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if got := c.Counts(); got.Requests != 1 || got.Accepted != 1 || got.Delivered != 1 {
		t.Errorf("Counts() = %+v, want 1 request, accepted and delivered", got)
	}
}

// What the control API counted is written also where the run's context has ended.
func TestCloseWritesAfterTheEndOfItsContext(t *testing.T) {
	stayHere(t)
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := open(ctx, testConfig(t, upstream.URL))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer c.at.close() //nolint:errcheck // nobody serves there
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

// newTestDelivery is delivery over a real buffer, without the rest of a server.
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

// fill gives the stream a frame, and a document that says that it is delivered.
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

// last is the newest sequence of the stream's log, made anew if it was deleted.
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

// A deletion that a crash cut off is finished when the streams are read, before any
// worker is there.
func TestDeletedWithoutWorker(t *testing.T) {
	d := newTestDelivery(t)
	fill(t, d)
	d.deleted(stream)
	if _, _, err := d.store.Get(t.Context(), document); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Get(%q) after deletion: %v, want not found", document, err)
	}
	if n := last(t, d); n != 0 {
		t.Errorf("the log of a deleted stream goes to %d, want none", n)
	}
}

// stuck is a store that deletes nothing.
type stuck struct{ record.Store }

func (stuck) Delete(context.Context, string) error { return errors.New("no answer") }

// A document that outlives its log would make a new stream of that name skip records.
func TestDeletedKeepsTheLogOfADocumentThatStays(t *testing.T) {
	d := newTestDelivery(t)
	fill(t, d)
	d.store = stuck{d.store}
	d.deleted(stream)
	if n := last(t, d); n != 1 {
		t.Errorf("the log goes to %d, want 1 as its document says", n)
	}
}

// A stream that can't be delivered ends the server, rather than to fill the disk.
func TestWorkerThatCannotStartEndsTheRun(t *testing.T) {
	d := newTestDelivery(t)
	d.store = nil // what deliver.New refuses
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
		t.Error("run() goes on without the worker")
	}
}

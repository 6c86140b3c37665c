package buffer_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
)

// clusterOf prepares a cluster of n NATS servers. start starts one of them.
func clusterOf(t *testing.T, n int) (urls string, start func(i int)) {
	t.Helper()
	ports := make([][2]int, n) // for clients, for the cluster
	var clients []string
	var routes []*url.URL
	for i := range ports {
		for j := range ports[i] {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			ports[i][j] = ln.Addr().(*net.TCPAddr).Port
		}
		clients = append(clients, fmt.Sprintf("nats://127.0.0.1:%d", ports[i][0]))
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i][1])})
	}
	return strings.Join(clients, ","), func(i int) {
		t.Helper()
		serve(t, server.Options{
			ServerName: fmt.Sprintf("n%d", i), Port: ports[i][0], JetStream: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i][1], PoolSize: -1}, Routes: slices.Delete(slices.Clone(routes), i, i+1),
		})
	}
}

// text is a log that may be read while it is written.
type text struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

func (x *text) logger() *slog.Logger { return slog.New(slog.NewTextHandler(x, nil)) }

// replicas returns the replicas of each stream by name.
func replicas(t *testing.T, url string) map[string]int {
	t.Helper()
	js := connect(t, url)
	all := map[string]int{}
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		all[info.Config.Name] = info.Config.Replicas
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

const oneServerOnly = "on one NATS server only"

// A cluster that is still starting is not taken for a small one, and logs and stores with one replica get three.
func TestThreeServersHoldThreeReplicas(t *testing.T) {
	url, start := clusterOf(t, 3)
	start(0)
	start(1)
	use := func(cfg buffer.Config) (logged string) {
		t.Helper()
		var log text
		cfg.URL, cfg.MaxBytes, cfg.Logger = url, 1<<20, log.logger()
		b := open(t, cfg)
		appendAll(t, openLog(t, b, "s", 0), "x")
		openStore(t, b, "definitions")
		return log.String()
	}
	want := func(what string, n int) {
		t.Helper()
		diff(t, what, map[string]int{"FRAMES_s_0": n, "KV_definitions": n}, replicas(t, url))
	}
	if logged := use(buffer.Config{Replicas: 1}); !strings.Contains(logged, oneServerOnly) {
		t.Errorf("with Replicas 1: no warning in the log:\n%s", logged)
	}
	want("with Replicas 1", 1)

	var log text
	opened := make(chan *buffer.Buffer, 1)
	go func() {
		b, err := buffer.Open(t.Context(), buffer.Config{URL: url, MaxBytes: 1 << 20, Logger: log.logger()})
		if err != nil {
			t.Error(err)
		}
		opened <- b
	}()
	for !strings.Contains(log.String(), "waiting for the NATS cluster") {
		select {
		case <-opened:
			t.Fatalf("Open did not wait for the third server:\n%s", log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	start(2)
	b := <-opened
	if b == nil {
		t.FailNow()
	}
	t.Cleanup(func() { _ = b.Close() })
	l := openLog(t, b, "s", 0)
	openStore(t, b, "definitions")
	want("by default", 3)
	appendAll(t, l, "y")
	diff(t, "frames", []string{"1:x", "2:y"}, read(t, l, 1, 2))
	if logged := log.String(); strings.Contains(logged, oneServerOnly) {
		t.Errorf("with three replicas, the log has a warning:\n%s", logged)
	}
}

func TestSingleServerWarns(t *testing.T) {
	var log text
	url := cluster(t, true)
	b := open(t, buffer.Config{URL: url, MaxBytes: 1 << 20, Logger: log.logger()})
	openStore(t, b, "definitions")
	diff(t, "replicas", map[string]int{"KV_definitions": 1}, replicas(t, url))
	if n := strings.Count(log.String(), oneServerOnly); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, log.String())
	}
}

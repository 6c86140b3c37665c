package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

// serve starts a NATS server that the test stops. It adds to the options where its files are, and that it logs nothing.
func serve(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.StoreDir, opts.NoSigs, opts.NoLog = "127.0.0.1", t.TempDir(), true, true
	s, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return s
}

// cluster starts a NATS server that listens like one of a cluster, and returns its URL.
func cluster(t *testing.T, jetStream bool) string {
	t.Helper()
	return serve(t, server.Options{Port: server.RANDOM_PORT, JetStream: jetStream, SyncAlways: true}).ClientURL()
}

// connect returns another client of the NATS server.
func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestClusterByURL(t *testing.T) {
	url := cluster(t, true)
	b := open(t, buffer.Config{URL: url, MaxBytes: 100_000})
	l := openLog(t, b, "a.b", 1)
	appendAll(t, l, "one", "two", "three")
	if err := l.Trim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	diff(t, "Read(1)", []string{"2:two", "3:three"}, read(t, openLog(t, open(t, buffer.Config{URL: url, MaxBytes: 100_000}), "a.b", 1), 1, 2))
	s := openStore(t, b, "delivery")
	rev, err := s.Put(t.Context(), "k", []byte("v"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "k", []byte("v"), rev+1); !errors.Is(err, record.ErrConflict) {
		t.Errorf("Put with a wrong revision = %v, want ErrConflict", err)
	}
	for range 12 {
		if _, err = l.Append(t.Context(), make([]byte, 10_000)); err != nil {
			break
		}
	}
	if !errors.Is(err, record.ErrFull) {
		t.Errorf("Append beyond the quota = %v, want ErrFull", err)
	}
	if err := b.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	dirWith := func(name, content string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	foreign := t.TempDir()
	if err := os.Mkdir(filepath.Join(foreign, "jetstream"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cfg  buffer.Config
		want []string
	}{
		"no directory or URL": {buffer.Config{}, []string{"neither a directory nor a NATS URL"}},
		"path is a file":      {buffer.Config{Dir: dirWith("file", "") + "/file"}, []string{"the path is a file", "choose another directory"}},
		"path below a file":   {buffer.Config{Dir: dirWith("file", "") + "/file/data"}, []string{"the path is a file", "choose another directory"}},
		"newer version":       {buffer.Config{Dir: dirWith("VERSION", "2\n")}, []string{"has version 2", "upgrade stagelog"}},
		"damaged version":     {buffer.Config{Dir: dirWith("VERSION", "")}, []string{"no valid version", "restore it"}},
		"foreign directory":   {buffer.Config{Dir: foreign}, []string{"stagelog did not create it", "choose another directory"}},
		"connection refused":  {buffer.Config{URL: "nats://ann:secret@127.0.0.1:1"}, []string{"nats://ann:xxxxx@127.0.0.1:1"}},
		"invalid URL":         {buffer.Config{URL: "nats://ann:sec ret@:x"}, []string{"invalid NATS URL"}},
		"no JetStream":        {buffer.Config{URL: cluster(t, false)}, []string{"JetStream is not enabled"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := buffer.Open(t.Context(), test.cfg)
			if err == nil {
				t.Fatalf("Open = nil, want an error; Close: %v", b.Close())
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Open = %v, want an error containing %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec ret") {
				t.Errorf("Open = %v: the error contains the password", err)
			}
		})
	}
}

func TestOpenUnwritableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "data")} {
		if _, err := buffer.Open(t.Context(), buffer.Config{Dir: d}); err == nil || !strings.Contains(err.Error(), "grant this user write permission") {
			t.Errorf("Open(%s) = %v, want advice", d, err)
		}
	}
}

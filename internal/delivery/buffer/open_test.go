package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

// cluster is a NATS server that listens, as one of a cluster does.
func cluster(t *testing.T, jetStream bool) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: jetStream, StoreDir: t.TempDir(), SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return s.ClientURL()
}

func TestClusterByURL(t *testing.T) {
	url := cluster(t, true)
	b := open(t, buffer.Config{URL: url, MaxBytes: 100_000})
	l := openLog(t, b, "a.b", 1)
	appendAll(t, l, "one", "two", "three")
	if err := l.Trim(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	diff(t, "Read(1)", []string{"2:two", "3:three"}, read(t, openLog(t, open(t, buffer.Config{URL: url, MaxBytes: 100_000}), "a.b", 1), 1, 2))
	s := openStore(t, b, "delivery")
	rev, err := s.Put(t.Context(), "k", []byte("v"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "k", []byte("v"), rev+1); !errors.Is(err, record.ErrConflict) {
		t.Errorf("Put of a wrong rev = %v, want ErrConflict", err)
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

func TestOpenSaysWhatIsWrong(t *testing.T) {
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
		"nothing given":      {buffer.Config{}, []string{"neither a directory nor a NATS URL"}},
		"a file in the way":  {buffer.Config{Dir: dirWith("file", "") + "/file"}, []string{"a file is in the way", "choose another directory"}},
		"below a file":       {buffer.Config{Dir: dirWith("file", "") + "/file/data"}, []string{"a file is in the way", "choose another directory"}},
		"a newer version":    {buffer.Config{Dir: dirWith("VERSION", "2\n")}, []string{"is of version 2", "run the newer stagelog"}},
		"a damaged version":  {buffer.Config{Dir: dirWith("VERSION", "")}, []string{"holds no version", "restore it"}},
		"somebody else's":    {buffer.Config{Dir: foreign}, []string{"not stagelog's", "choose another directory"}},
		"nobody at the URL":  {buffer.Config{URL: "nats://ann:secret@127.0.0.1:1"}, []string{"nats://ann:xxxxx@127.0.0.1:1"}},
		"a URL that is none": {buffer.Config{URL: "nats://ann:sec ret@:x"}, []string{"is not one"}},
		"no JetStream there": {buffer.Config{URL: cluster(t, false)}, []string{"has no JetStream"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := buffer.Open(t.Context(), test.cfg)
			if err == nil {
				t.Fatalf("Open = nil, want an error; Close: %v", b.Close())
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Open = %v, want it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec ret") {
				t.Errorf("Open = %v: it says the password", err)
			}
		})
	}
}

func TestDirectoryWithoutRightsSaysWhatToDo(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "data")} {
		if _, err := buffer.Open(t.Context(), buffer.Config{Dir: d}); err == nil || !strings.Contains(err.Error(), "give this user the right to write there") {
			t.Errorf("Open(%s) = %v, want what to do", d, err)
		}
	}
}

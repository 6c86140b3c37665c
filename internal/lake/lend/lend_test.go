//go:build cgo && (linux || darwin)

package lend_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/lake/coverage"
	"github.com/stagelog/stagelog/internal/lake/lend"
	"github.com/stagelog/stagelog/internal/record"
)

// readerEnv makes the test binary a process that reads the lake of that path.
const readerEnv = "STAGELOG_LEND_TEST_READER"

func TestMain(m *testing.M) {
	if path := os.Getenv(readerEnv); path != "" {
		if err := readUntilStdinEnds(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// readUntilStdinEnds asks for an import, prints the number of requests, and keeps the lake open.
func readUntilStdinEnds(path string) error {
	ctx := context.Background()
	reply, err := lend.Ask(ctx, path, lend.Request{Import: &lend.Import{Prefix: "logs/"}, Read: true}, func() {}, func(lake.Summary) {})
	if err != nil {
		return err
	}
	l, err := lake.Open(ctx, path, lake.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	var n int
	if err := l.DB().QueryRow("SELECT count(*) FROM requests").Scan(&n); err != nil {
		return err
	}
	fmt.Println(n, "requests")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, l.Close(), reply.Close())
}

// reader is a process that has the lake open.
type reader struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// startReader starts a reader that must find n requests.
func startReader(t *testing.T, path string, n int) *reader {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), readerEnv+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if want := fmt.Sprintln(n, "requests"); line != want {
		t.Fatalf("the reader prints %q (%v), want %q", line, err, want)
	}
	return &reader{cmd, stdin}
}

func (r *reader) end(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.stdin.Close(), r.cmd.Wait()); err != nil {
		t.Error(err)
	}
}

// source is a bucket in memory.
type source struct {
	mu      sync.Mutex
	objects map[string]string
}

func (s *source) Bucket() string { return "acme-logs" }

func (s *source) List(_ context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		body := s.objects[key]
		if strings.HasPrefix(key, prefix) && key > startAfter {
			if err := fn(record.Object{Key: key, Size: int64(len(body)), ETag: fmt.Sprint(len(body))}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *source) Get(_ context.Context, key string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.NopCloser(strings.NewReader(s.objects[key])), nil
}

func (s *source) put(key, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = body
}

// owner is a lake that this process has open and lends.
type owner struct {
	*lend.Lender
	bucket *source
	aside  int // how often the file was set aside
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	t.Chdir(t.TempDir()) // so that the path of the socket is short
	o := &owner{bucket: &source{objects: map[string]string{"logs/a": `{"request_id":"1","customer":"Acme"}`}}}
	path := filepath.Join("lake", "acme.duckdb")
	filler := &lake.Filler{
		Open:     func(ctx context.Context) (*lake.Lake, error) { return lake.Open(ctx, path, lake.Options{}) },
		Fill:     func(context.Context, *lake.Lake) error { return nil },
		SetAside: func() error { o.aside++; _, err := lake.SetAside(path); return err },
		Every:    time.Hour, Wait: time.Minute, Failed: func(err error) { t.Error(err) },
	}
	o.Lender = &lend.Lender{
		Path: path, Filler: filler,
		Import: func(ctx context.Context, l *lake.Lake, asked lend.Import, progress func(lake.Summary)) (lake.Summary, error) {
			return l.Import(ctx, o.bucket, asked.Of(lake.ImportOptions{}, progress))
		},
		Customers: func(context.Context) (coverage.History, error) { return nil, nil },
	}
	return o
}

// serve lends the lake until the test ends.
func (o *owner) serve(t *testing.T) {
	t.Helper()
	socket, err := o.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		o.Serve(ctx, socket)
		close(served)
	}()
	t.Cleanup(func() {
		cancel()
		<-served
		if err := o.Filler.Close(); err != nil {
			t.Error(err)
		}
	})
}

// ask sends a request and closes the reply.
func (o *owner) ask(ctx context.Context, r lend.Request) (*lend.Reply, error) {
	reply, err := lend.Ask(ctx, o.Path, r, func() {}, func(lake.Summary) {})
	if err != nil {
		return nil, err
	}
	return reply, reply.Close()
}

var all = &lend.Import{Prefix: "logs/"}

// Two processes read what they asked to import, at once, and an import waits until both have ended.
func TestReadersSeeTheirImport(t *testing.T) {
	o := newOwner(t)
	o.serve(t)
	var progress, imported []int64
	for range 2 {
		reply, err := lend.Ask(t.Context(), o.Path, lend.Request{Import: all}, func() {}, func(s lake.Summary) { progress = append(progress, s.Rows) })
		if err != nil {
			t.Fatal(err)
		}
		imported = append(imported, reply.Summary.Rows)
		if err := reply.Close(); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(imported, []int64{1, 0}) || !slices.Equal(progress, imported) {
		t.Errorf("imported %v, progress %v, want one row and then none", imported, progress)
	}
	first := startReader(t, o.Path, 1)
	o.bucket.put("logs/b", `{"request_id":"2","customer":"Acme"}`+"\n"+`{"request_id":"3","customer":"Acme"}`)
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := o.ask(soon, lend.Request{Import: all}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("import while a process reads: %v, want the end of its context", err)
	}
	first.end(t)
	second := startReader(t, o.Path, 3)
	if reply, err := o.ask(t.Context(), lend.Request{Read: true}); err != nil || reply.Summary.Found != 0 {
		t.Errorf("a reader without an import: %v", err)
	}
	second.end(t)
}

// The lake can be written as soon as a process that reads it was killed, and nothing of that process is left at the next start.
func TestKilledReaderReleasesLake(t *testing.T) {
	o := newOwner(t)
	o.serve(t)
	r := startReader(t, o.Path, 1)
	o.bucket.put("logs/b", `{"request_id":"2","customer":"Acme"}`)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
	if reply, err := o.ask(t.Context(), lend.Request{Import: all}); err != nil || reply.Summary.Rows != 1 {
		t.Errorf("import after the reader was killed: %v", err)
	}
	if err := o.Filler.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := lake.Open(t.Context(), o.Path, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if left, err := filepath.Glob(o.Path + ".*"); err != nil || slices.ContainsFunc(left, func(name string) bool { return !strings.HasSuffix(name, ".wal") }) {
		t.Errorf("left: %v (%v)", left, err)
	}
}

// An import does not wait for a reader beyond the limit. It fails until the reader ends, which goes on reading meanwhile, even if the
// owner closes the lake.
func TestSlowReaderDoesNotBlockImports(t *testing.T) {
	o := newOwner(t)
	o.Limit = time.Millisecond
	o.serve(t)
	r := startReader(t, o.Path, 1)
	o.bucket.put("logs/b", `{"request_id":"2","customer":"Acme"}`)
	if _, err := o.ask(t.Context(), lend.Request{Import: all}); err == nil || !strings.Contains(err.Error(), "another process has the lake") {
		t.Errorf("import while a process reads longer than the limit: %v", err)
	}
	before, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Filler.Close(); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(o.Path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("closing the lake changed its file while a process reads it (%v)", err)
	}
	r.end(t)
	l, err := lake.Open(t.Context(), o.Path, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if sum, err := l.Import(t.Context(), o.bucket, lake.ImportOptions{}); err != nil || sum.Rows != 1 {
		t.Errorf("import after the reader has ended: %v, %v", sum, err)
	}
}

// A lake that a reader found to be damaged is replaced.
func TestReaderReportsDamage(t *testing.T) {
	o := newOwner(t)
	o.serve(t)
	for _, r := range []lend.Request{{Import: all}, {Damaged: true, Import: all}} {
		if reply, err := o.ask(t.Context(), r); err != nil || reply.Summary.Rows != 1 {
			t.Errorf("%+v: %v, want one row", r, err)
		}
	}
	if o.aside != 1 {
		t.Errorf("the file was set aside %d times, want once", o.aside)
	}
}

func TestReattributeByRequest(t *testing.T) {
	o := newOwner(t)
	o.bucket.put("logs/b", `{"request_id":"1","key_id":"k1","customer":"Acme","request_time_epoch":"1795854600000"}`)
	o.bucket.put("logs/c", `{"request_id":"2","key_id":"k1","customer":"-","request_time_epoch":"1795854601000"}`)
	o.serve(t)
	reply, err := o.ask(t.Context(), lend.Request{Import: all, Reattribute: true})
	if err != nil || !slices.Equal(reply.Reattributed, []coverage.Reattribution{{KeyID: "k1", Attributed: 1}}) {
		t.Errorf("got %+v, %v", reply, err)
	}
}

// Errors of the owner reach the command, which can tell damage and use by another process from others.
func TestErrorsOfOwner(t *testing.T) {
	for _, want := range []error{errors.New("no bucket"), lake.ErrDamaged, lake.ErrInUse} {
		o := newOwner(t)
		o.Import = func(context.Context, *lake.Lake, lend.Import, func(lake.Summary)) (lake.Summary, error) {
			return lake.Summary{}, fmt.Errorf("import: %w", want)
		}
		o.serve(t)
		_, err := o.ask(t.Context(), lend.Request{Import: all, Read: true})
		if err == nil || !strings.Contains(err.Error(), "import: "+want.Error()) || lake.Damaged(err) != errors.Is(want, lake.ErrDamaged) || errors.Is(err, lake.ErrInUse) != errors.Is(want, lake.ErrInUse) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// Only the owner's user can connect. The socket of a killed process is replaced, one of a living process is not.
func TestSocket(t *testing.T) {
	o := newOwner(t)
	if lend.Lent(t.Context(), o.Path) {
		t.Error("a lake is lent before Listen")
	}
	first, err := o.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sockets, _ := filepath.Glob(filepath.Join(filepath.Dir(o.Path), "*.sock"))
	if info, err := os.Stat(slices.Concat(sockets, []string{"none"})[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("sockets %v: %v", sockets, err)
	}
	if second, err := o.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "another process has the lake") {
		t.Errorf("a second owner: %v, %v", second, err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if lend.Lent(t.Context(), o.Path) {
		t.Error("a lake is lent by a closed socket")
	}
	o.serve(t)
	o.Path = filepath.Join(strings.Repeat("long", 30), "acme.duckdb")
	if _, err := o.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "too long") || lend.Lent(t.Context(), o.Path) {
		t.Errorf("a long path: %v", err)
	}
}

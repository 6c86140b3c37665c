package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// Some syncs or writes of the buffer fail with EIO, injected by strace. Acknowledged records are
// kept, others are rejected, and the process recovers without a restart.
func TestDiskErrorsLoseNothing(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	t.Parallel()
	testenv.NeedTool(t, "strace with permission to trace", "strace", "-f", "-o", os.DevNull, "-e", "inject=fsync:error=EIO:when=1", "true")
	for _, fault := range []string{"fsync:error=EIO:when=10+40", "pwrite64,write:error=EIO:when=5+40"} {
		calls, _, _ := strings.Cut(fault, ":")
		t.Run(calls, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "stagelog.yaml", handYAML+"deliver: {interval: 1s, size: 1MiB}\n")
			u := startUp(t, dir, cleanEnv())
			l := &load{answered: map[string]bool{}, sent: map[string]bool{}}
			end := traced(t, u, calls, fault)
			refused := l.until(t, u, func() bool { return end.injected() >= 10 })
			faults := end.stop()
			fh, _ := clients(t, u)
			eventually(t, "the disk to be written again", func() bool { return l.put(t, fh, "after") == nil })
			if err := u.stop(syscall.SIGTERM); err != nil {
				t.Errorf("stop: %v", err)
			}
			t.Logf("%d calls failed with EIO, %d client requests failed", faults, refused)
			// Start once to deliver the remaining records, and once more to read.
			if err := startUp(t, dir, cleanEnv()).stop(syscall.SIGTERM); err != nil {
				t.Errorf("stop: %v", err)
			}
			checkOnce(t, l, startUp(t, dir, cleanEnv()))
		})
	}
}

// until lets clients put batches until done, and returns how many failed.
func (l *load) until(t *testing.T, u *up, done func() bool) (refused int64) {
	t.Helper()
	var failed atomic.Int64
	var all sync.WaitGroup
	stop := make(chan struct{})
	fh, _ := clients(t, u)
	for client := range loadClients {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := l.put(t, fh, fmt.Sprintf("c%d-n%d", client, n)); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	defer all.Wait()
	defer close(stop)
	eventually(t, "the faults", done)
	return failed.Load()
}

// trace is a running strace that makes system calls of a process fail.
type trace struct {
	t    *testing.T
	cmd  *exec.Cmd
	path string
}

func traced(t *testing.T, u *up, calls, fault string) *trace {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace")
	args := []string{"-f", "-qq", "-o", path, "-e", "trace=" + calls, "-e", "inject=" + fault, "-p", strconv.Itoa(u.cmd.Process.Pid)}
	for _, block := range blocks(t, filepath.Join(u.dir, ".stagelog", "buffer")) {
		args = append(args, "-P", block)
	}
	cmd := exec.Command("strace", args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tr := &trace{t, cmd, path}
	t.Cleanup(func() { tr.stop() })
	return tr
}

func (tr *trace) injected() int {
	text, err := os.ReadFile(tr.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tr.t.Error(err)
	}
	return bytes.Count(text, []byte("(INJECTED)"))
}

// stop detaches from the process and returns how many calls failed.
func (tr *trace) stop() int {
	if tr.cmd != nil {
		_ = tr.cmd.Process.Signal(syscall.SIGINT)
		_ = tr.cmd.Wait()
		tr.cmd = nil
	}
	return tr.injected()
}

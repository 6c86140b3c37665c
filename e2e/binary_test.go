package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// bin holds the two binaries, built once by TestMain, and the home directory in which they run.
var bin struct{ stagelog, bootstrap, home string }

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stagelog-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin.stagelog, bin.bootstrap, bin.home = filepath.Join(dir, "stagelog"), filepath.Join(dir, "bootstrap"), filepath.Join(dir, "home")
	for _, args := range [][]string{
		{"build", "-o", bin.stagelog, "../cmd/stagelog"},
		{"build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", bin.bootstrap, "../cmd/enricher"},
	} {
		cmd := exec.Command("go", args...)
		if strings.HasSuffix(args[len(args)-1], "enricher") {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %v: %v\n%s", args, err, out)
			return 1
		}
	}
	defer moto.Stop()
	return m.Run()
}

// cleanEnv returns this process's environment without settings of AWS clients and stagelog.
func cleanEnv(extra ...string) []string { return testenv.Environ(bin.home, extra...) }

// up is a running `stagelog up`.
type up struct {
	t         *testing.T
	cmd       *exec.Cmd
	dir       string
	args      []string // in addition to those of every start
	stderr    *lockedBuffer
	Endpoints struct{ AWS, Stages, Console string }
	next      []string // commands that it suggests
	once      sync.Once
	waited    chan struct{}
	waitErr   error
}

// startUp starts `stagelog up` in dir with free ports and returns when it is ready. It is stopped at
// the end of the test.
func startUp(t *testing.T, dir string, env []string, args ...string) *up {
	t.Helper()
	u, err := tryUp(t, bin.stagelog, dir, env, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, u.stderr.String())
	}
	return u
}

// tryUp is like startUp for any binary. It returns an error if the binary exits before it is ready.
func tryUp(t *testing.T, binary, dir string, env []string, args ...string) (*up, error) {
	t.Helper()
	u := &up{t: t, dir: dir, args: args, stderr: &lockedBuffer{}, waited: make(chan struct{})}
	args = append([]string{"up", "--json", "--dir", filepath.Join(dir, ".stagelog"),
		"--listen-aws", "127.0.0.1:0", "--listen-stages", "127.0.0.1:0", "--listen-console", "127.0.0.1:0"}, args...)
	u.cmd = exec.Command(binary, args...)
	u.cmd.Dir, u.cmd.Stderr, u.cmd.Env = dir, u.stderr, env
	stdout, err := u.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready struct {
		Endpoints struct{ AWS, Stages, Console string }
		Next      []string
	}
	err = json.NewDecoder(stdout).Decode(&ready) // before Wait, which closes the pipe
	go func() { u.waitErr = u.cmd.Wait(); close(u.waited) }()
	t.Cleanup(func() {
		u.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("stderr of stagelog up:\n%s", u.stderr.String())
		}
	})
	if err != nil {
		return u, fmt.Errorf("stagelog up did not become ready: %w (%v)", err, u.stop(syscall.SIGKILL))
	}
	u.Endpoints, u.next = ready.Endpoints, ready.Next
	return u, nil
}

// killed waits for the end and reports whether it was caused by SIGKILL.
func (u *up) killed() bool {
	<-u.waited
	status, ok := u.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop sends sig once and waits for the end.
func (u *up) stop(sig syscall.Signal) error {
	u.t.Helper()
	u.once.Do(func() {
		if err := u.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			u.t.Errorf("signal stagelog up: %v", err)
		}
	})
	select {
	case <-u.waited:
	case <-time.After(time.Minute):
		u.t.Error("stagelog up did not stop within a minute")
		_ = u.cmd.Process.Kill()
		<-u.waited
	}
	return u.waitErr
}

// clientEnv returns an environment in which AWS clients use u.
func (u *up) clientEnv(profile string) []string {
	state := filepath.Join(u.dir, ".stagelog")
	return cleanEnv("AWS_CONFIG_FILE="+filepath.Join(state, "config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(state, "credentials"),
		"AWS_PROFILE="+profile, "AWS_PAGER=", "AWS_MAX_ATTEMPTS=2", "AWS_EC2_METADATA_DISABLED=true", "STAGES="+u.Endpoints.Stages, "BOOTSTRAP="+bin.bootstrap)
}

// runBinary runs the binary to its end.
func runBinary(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin.stagelog, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("stagelog %v: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// get sends one request and returns its status and body.
func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually calls ok until it returns true, and fails after a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	eventuallyWithin(t, time.Minute, what, ok)
}

func eventuallyWithin(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %s for: %s", limit, what)
		case <-tick.C:
		}
	}
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

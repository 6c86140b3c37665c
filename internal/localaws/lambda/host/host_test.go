package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

func TestInvocations(t *testing.T) {
	f := newFunction(t, "lambda", Config{Timeout: 33 * time.Second})
	first := invoke(t, f, `{"Do":"pid"}`)
	for _, tt := range []struct {
		name, event, want string
	}{
		{"echo", `{"a":[1,2]}`, `{"a":[1,2]}`},
		{"an error of the function", `{"Do":"error"}`, "!errorString"},
		{"the process is warm", `{"Do":"pid"}`, first},
		{"deadline", `{"Do":"deadline"}`, `{"set":true,"seconds":33}`},
		{"the largest answer", fmt.Sprintf(`{"Do":"large","Size":%d}`, function.MaxPayloadBytes), "large"},
		{"an answer over the limit", fmt.Sprintf(`{"Do":"large","Size":%d}`, function.MaxPayloadBytes+1), "!" + function.ErrorTypeTooLarge},
		{"a crash", `{"Do":"exit"}`, "!" + function.ErrorTypeExit},
		{"after the crash", `{"b":1}`, `{"b":1}`},
		{"a panic", `{"Do":"panic"}`, "!string"},
		{"after the panic", `{"c":1}`, `{"c":1}`},
	} {
		got := invoke(t, f, tt.event)
		if len(got) == function.MaxPayloadBytes {
			got = "large"
		}
		if got != tt.want {
			t.Errorf("%s: got %.200s, want %s", tt.name, got, tt.want)
		}
	}
	if again := invoke(t, f, `{"Do":"pid"}`); again == first {
		t.Error("the process lives after its crash")
	}
	if n := f.Processes(); n != 1 {
		t.Errorf("%d processes run, want 1", n)
	}
}

func TestFunctionErrors(t *testing.T) {
	f := newFunction(t, "lambda", Config{})
	reply, err := f.Invoke(context.Background(), []byte(`{"Do":"exit"}`))
	if err != nil || !strings.Contains(string(reply.Payload), "Runtime exited with error: exit status 3") {
		t.Errorf("a crash: got %s, %v", reply.Payload, err)
	}
}

func TestStarts(t *testing.T) {
	for _, tt := range []struct{ part, want string }{
		{"exit at start", "!" + function.ErrorTypeExit},
		{"report at start", "!Config.Missing"},
		{"hang at start", "!" + function.ErrorTypeTimeout},
	} {
		f := newFunction(t, tt.part, Config{InitTimeout: time.Minute})
		if tt.part == "hang at start" {
			f.cfg.InitTimeout = 10 * time.Millisecond
		}
		for range 2 {
			if got := invoke(t, f, `{}`); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.part, got, tt.want)
			}
		}
	}
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	fifo := newFIFO(t)
	f := newFunction(t, "lambda", Config{Environment: map[string]string{"HOLD": fifo}})
	invoke(t, f, `{}`) // warm, so that only the invocation is short of time
	held, dead := watchFIFO(t, fifo)
	// However slow the machine is, one of these timeouts comes after the function has begun.
	for begun, timeout := false, 200*time.Millisecond; !begun; timeout *= 2 {
		f.cfg.Timeout = timeout
		if got := invoke(t, f, `{"Do":"hang"}`); got != "!"+function.ErrorTypeTimeout {
			t.Fatalf("hang: got %s", got)
		}
		select {
		case <-held:
			begun = true
		default:
		}
	}
	<-dead // the function, and the child it started
	f.cfg.Timeout = time.Minute
	if got := invoke(t, f, `{"a":1}`); got != `{"a":1}` {
		t.Errorf("after the timeout: got %s", got)
	}
}

func TestCanceledInvokeKillsProcess(t *testing.T) {
	fifo := newFIFO(t)
	f := newFunction(t, "lambda", Config{Environment: map[string]string{"HOLD": fifo}})
	held, dead := watchFIFO(t, fifo)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-held
		cancel()
	}()
	if _, err := f.Invoke(ctx, []byte(`{"Do":"hang"}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("Invoke: got %v, want context.Canceled", err)
	}
	<-dead
}

func TestCloseLeavesNoProcess(t *testing.T) {
	fifo := newFIFO(t)
	f := newFunction(t, "lambda", Config{Concurrency: 1, Environment: map[string]string{"HOLD": fifo}})
	held, dead := watchFIFO(t, fifo)
	answered := make(chan function.Reply, 1)
	go func() {
		reply, _ := f.Invoke(context.Background(), []byte(`{"Do":"hang"}`))
		answered <- reply
	}()
	<-held
	queued := make(chan error, 1)
	go func() {
		_, err := f.Invoke(context.Background(), []byte(`{"Do":"hang"}`))
		queued <- err
	}()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no time to drain
	if err := f.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	<-dead
	if reply := <-answered; reply.FunctionError == "" {
		t.Errorf("the killed invocation: got %s, want an error", reply.Payload)
	}
	if err := <-queued; !errors.Is(err, ErrClosed) {
		t.Errorf("the invocation that waited: got %v, want %v", err, ErrClosed)
	}
	if n := f.Processes(); n != 0 {
		t.Errorf("%d processes run after Close", n)
	}
	if _, err := f.Invoke(context.Background(), []byte(`{}`)); !errors.Is(err, ErrClosed) {
		t.Errorf("Invoke after Close: got %v, want %v", err, ErrClosed)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	f := newFunction(t, "lambda", Config{Concurrency: 2})
	results := make(chan string, 12)
	for i := range cap(results) {
		go func() { results <- invoke(t, f, fmt.Sprintf(`{"i":%d}`, i)) }()
	}
	seen := map[string]bool{}
	for range cap(results) {
		seen[<-results] = true
		if n := f.Processes(); n > 2 {
			t.Errorf("%d processes run, want at most 2", n)
		}
	}
	if len(seen) != cap(results) {
		t.Errorf("%d different answers to %d events", len(seen), cap(results))
	}
}

func TestIdleProcessIsStopped(t *testing.T) {
	f := newFunction(t, "lambda", Config{Idle: time.Millisecond})
	first := invoke(t, f, `{"Do":"pid"}`)
	f.mu.Lock()
	running := make([]*process, 0, 1)
	for p := range f.all {
		running = append(running, p)
	}
	f.mu.Unlock()
	for _, p := range running {
		<-p.exited
	}
	if again := invoke(t, f, `{"Do":"pid"}`); again == first {
		t.Error("the idle process still works")
	}
}

func TestEnvironmentMatchesLambda(t *testing.T) {
	t.Setenv("AWS_PROFILE", "the user's own")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDUSER")
	t.Setenv("SECRET_OF_THE_USER", "yes")
	f := newFunction(t, "lambda", Config{Handler: "h.main", MemoryMB: 256, Environment: map[string]string{"TABLE": "t", "_HANDLER": "not yours"},
		Credentials: Credentials{"AKIDGIVEN", "given", "token"}})
	var env []string
	if err := json.Unmarshal([]byte(invoke(t, f, `{"Do":"env"}`)), &env); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		got[name] = value
	}
	for name, want := range map[string]string{
		"AWS_LAMBDA_FUNCTION_NAME": "x", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "_HANDLER": "h.main", "TZ": ":UTC", "LAMBDA_TASK_ROOT": f.cfg.CodeDir, "TABLE": "t",
		"AWS_ACCESS_KEY_ID": "AKIDGIVEN", "AWS_SECRET_ACCESS_KEY": "given", "AWS_SESSION_TOKEN": "token", "PATH": os.Getenv("PATH"),
		"AWS_PROFILE": "", "SECRET_OF_THE_USER": "",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	if !strings.HasPrefix(got["AWS_LAMBDA_RUNTIME_API"], "127.0.0.1:") {
		t.Errorf("AWS_LAMBDA_RUNTIME_API: got %q, want an address on loopback", got["AWS_LAMBDA_RUNTIME_API"])
	}
}

func TestFunctionOutputStaysInItsFile(t *testing.T) {
	var ours bytes.Buffer
	f := newFunction(t, "lambda", Config{MaxLogBytes: 4096, Logger: slog.New(slog.NewTextHandler(&ours, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for range 5 {
		invoke(t, f, `{"Do":"print","Size":100}`)
	}
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.cfg.StateDir, "function.log")
	for _, name := range []string{path, path + ".1"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 || info.Size() > 4096 {
			t.Errorf("%s: mode %v, %d bytes, want 0600 and at most 4096", filepath.Base(name), info.Mode(), info.Size())
		}
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.Contains(text, []byte("top secret")) {
		t.Errorf("the function's log: got %q, %v", text, err)
	}
	if strings.Contains(ours.String(), "secret") || !strings.Contains(ours.String(), "function process started") {
		t.Errorf("our log: got %s", ours.String())
	}
}

func TestUnexpectedRuntimeResponsesRefused(t *testing.T) {
	f := newFunction(t, "wrong ids", Config{})
	for range 2 {
		if got := invoke(t, f, `{}`); got != `{"wrong id":400}` {
			t.Errorf("got %s", got)
		}
	}
}

func TestBootstrapThatCannotStart(t *testing.T) {
	f := newFunction(t, "lambda", Config{})
	if err := os.Remove(filepath.Join(f.cfg.CodeDir, "bootstrap")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Invoke(context.Background(), []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "start function x") {
		t.Errorf("Invoke: got %v, want an error that says the start failed", err)
	}
	if n := f.Processes(); n != 0 {
		t.Errorf("%d processes run", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{}, {Name: "x"}, {Name: "x", CodeDir: "c"}, {CodeDir: "c", StateDir: t.TempDir()}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v): got no error", cfg)
		}
	}
}

func TestEnvironmentIsSorted(t *testing.T) {
	env := environment(&Config{Name: "x", Environment: map[string]string{"b": "1", "a": "2"}}, "127.0.0.1:1")
	if !slices.IsSorted(env) {
		t.Errorf("environment: got %v", env)
	}
}

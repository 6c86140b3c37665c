package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

// errGone means that a process ended before it received an invocation.
var errGone = errors.New("process ended before it received the invocation")

// process is one running bootstrap with its Runtime API.
type process struct {
	cfg    *Config
	cmd    *exec.Cmd
	server *http.Server
	work   chan *invocation // received by the function's request for the next invocation
	exited chan struct{}    // closed once the process has ended
	exit   error            // of the process; read after exited
	dead   atomic.Bool      // the process was killed or must not be reused
	warm   atomic.Bool      // the process has requested an invocation
	served sync.WaitGroup   // the server's goroutine

	mu       sync.Mutex // guards the rest
	current  *invocation
	initFail []byte // init error reported by the function
	idle     *time.Timer
}

// invocation is one invocation of a process.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	done     chan function.Reply // with a buffer of one
}

// startProcess starts a bootstrap and its Runtime API.
func startProcess(cfg *Config, log *logFile) (*process, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the runtime api: %w", err)
	}
	p := &process{cfg: cfg, work: make(chan *invocation), exited: make(chan struct{})}
	p.server = &http.Server{
		Handler: p.routes(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	p.cmd = exec.Command(filepath.Join(cfg.CodeDir, function.BootstrapName))
	p.cmd.Dir = cfg.CodeDir
	p.cmd.Env = environment(cfg, listener.Addr().String())
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.WaitDelay = time.Second // a child of the function may keep the pipe open
	ownGroup(p.cmd)

	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p.served.Add(1)
	go func() {
		defer p.served.Done()
		_ = p.server.Serve(ownListener{listener}) // ends with ErrServerClosed when the process ended
	}()
	cfg.Logger.Debug("function process started", "function", cfg.Name, "pid", p.cmd.Process.Pid)
	return p, nil
}

// run starts the process and waits for it. The kernel ties the death signal to the thread that started the process, so that
// thread must live as long as the process.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.exit = p.cmd.Wait()
	p.dead.Store(true)
	killGroup(p.cmd.Process.Pid) // children that the function left running
	close(p.exited)
}

// wait waits until the process has ended, and closes its Runtime API.
func (p *process) wait() {
	<-p.exited
	_ = p.server.Close()
	p.served.Wait()
	p.cfg.Logger.Debug("function process ended", "function", p.cfg.Name, "pid", p.cmd.Process.Pid, "exit", exitText(p.exit))
}

// kill kills the process and its children. It may be repeated.
func (p *process) kill() {
	if p.dead.Swap(true) {
		return
	}
	killGroup(p.cmd.Process.Pid)
}

// reusable reports whether the process can serve another invocation.
func (p *process) reusable() bool { return !p.dead.Load() }

// rest starts the idle time, after which the process is killed.
func (p *process) rest(idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = time.AfterFunc(idle, p.kill)
}

// wake ends the idle time. It returns false if the process has ended meanwhile.
func (p *process) wake() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle != nil && !p.idle.Stop() {
		return false
	}
	return p.reusable()
}

// invoke sends payload to the process and waits for its response. errGone means that the process never received it.
func (p *process) invoke(ctx context.Context, payload []byte) (function.Reply, error) {
	inv := &invocation{id: function.NewID(), payload: payload, done: make(chan function.Reply, 1)}
	limit := p.cfg.Timeout // for a warm process to request the invocation
	if !p.warm.Load() {
		limit = p.cfg.InitTimeout
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	inv.deadline = time.Now().Add(p.cfg.Timeout)
	select {
	case p.work <- inv:
	case <-p.exited:
		return function.Reply{}, errGone
	case <-timer.C:
		p.kill()
		return timedOut(inv.id, limit), nil
	case <-ctx.Done():
		p.kill()
		return function.Reply{}, ctx.Err()
	}
	timer.Reset(p.cfg.Timeout)
	select {
	case reply := <-inv.done:
		return reply, nil
	case <-p.exited:
		select {
		case reply := <-inv.done: // it responded and then ended
			return reply, nil
		default:
			return exited(inv.id, p.exit), nil
		}
	case <-timer.C:
		p.kill()
		return timedOut(inv.id, p.cfg.Timeout), nil
	case <-ctx.Done():
		p.kill()
		return function.Reply{}, ctx.Err()
	}
}

// initFailure returns the reply for a function that ended before it requested an invocation: the error that it reported, or
// its exit status.
func (p *process) initFailure() function.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.initFail != nil {
		return function.Reply{Payload: p.initFail, FunctionError: function.Unhandled}
	}
	return exited(function.NewID(), p.exit)
}

func timedOut(id string, limit time.Duration) function.Reply {
	return function.FailedReply(function.ErrorTypeTimeout,
		fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", id, limit.Seconds()))
}

func exited(id string, err error) function.Reply {
	return function.FailedReply(function.ErrorTypeExit, "RequestId: "+id+" Error: "+exitText(err))
}

func exitText(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return "Runtime exited without providing a reason"
	case errors.As(err, &exit):
		return "Runtime exited with error: " + exit.ProcessState.String()
	}
	return "Runtime exited with error"
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// environment returns the function's variables, those that Lambda sets, and PATH. It does not pass on the rest of this
// process's environment, which may contain the user's credentials.
func environment(cfg *Config, runtimeAPI string) []string {
	env := map[string]string{}
	for name, value := range cfg.Environment {
		env[name] = value
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":     cfg.Credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": cfg.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN":     cfg.Credentials.SessionToken,
	} {
		if value != "" {
			env[name] = value
		}
	}
	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME":        cfg.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     cfg.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(cfg.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + cfg.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"AWS_REGION":                      cfg.Region,
		"AWS_DEFAULT_REGION":              cfg.Region,
		"LAMBDA_TASK_ROOT":                cfg.CodeDir,
		"LAMBDA_RUNTIME_DIR":              cfg.CodeDir,
		"_HANDLER":                        cfg.Handler,
		"PATH":                            os.Getenv("PATH"),
		"TMPDIR":                          filepath.Join(cfg.StateDir, "tmp"),
		"LANG":                            "en_US.UTF-8",
	})
	if env["TZ"] == "" {
		env["TZ"] = ":UTC"
	}
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// Package host runs a Lambda function on this machine: the `bootstrap` of an unpacked zip, as one or more processes, each with
// its own listener of the Lambda Runtime API (2018-06-01) on loopback.
//
// A process is started when an invocation needs one, kept warm, and stopped after an idle time. A process that crashes or
// exceeds the function's timeout is killed with its process group, and the next invocation starts a new one. Failures are
// reported as in Lambda: by a reply with FunctionError and an errorType.
//
// It is not a sandbox: the function runs as this process's user, with the same permissions. Of this process's environment it
// gets only PATH. Its output goes to its own file, never to our log.
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record"
)

// Defaults: Lambda's (AWS), and ours.
const (
	DefaultTimeout     = 3 * time.Second  // AWS
	DefaultInitTimeout = 10 * time.Second // AWS
	DefaultConcurrency = 2
	DefaultIdle        = 10 * time.Minute
	DefaultLogBytes    = 10 << 20
)

// ErrClosed means that the function was closed.
var ErrClosed = errors.New("function is closed")

// Credentials holds the function's own AWS credentials. The zero value means none.
type Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }

// Config configures a Function.
type Config struct {
	Name, ARN, Version string // Version: "" for $LATEST
	Handler, Region    string
	CodeDir            string        // contains bootstrap: see Unpack
	StateDir           string        // for the log file and the function's temporary files; created if missing
	MemoryMB           int           // passed to the function, not enforced
	Timeout            time.Duration // of an invocation
	InitTimeout        time.Duration // from the start of a process to its first request for work
	Environment        map[string]string
	Credentials        Credentials
	Concurrency        int           // maximum number of processes; further invocations wait
	Idle               time.Duration // idle time after which a process is stopped
	MaxLogBytes        int64         // size at which the log file is moved to ….1
	Logger             *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Version = cmp.Or(c.Version, "$LATEST")
	c.MemoryMB = cmp.Or(c.MemoryMB, record.MinFunctionMemoryMiB)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.InitTimeout = cmp.Or(c.InitTimeout, DefaultInitTimeout)
	c.Concurrency = cmp.Or(c.Concurrency, DefaultConcurrency)
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	c.MaxLogBytes = cmp.Or(c.MaxLogBytes, DefaultLogBytes)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

// Function runs one version of one function's code. It is a function.Invoker.
type Function struct {
	cfg   Config
	log   *logFile
	slots chan struct{} // one token per process that may run

	mu      sync.Mutex // guards the rest
	closed  bool       // no new invocations
	cut     bool       // no new processes either
	idle    []*process // warm processes, the newest last
	all     map[*process]struct{}
	working sync.WaitGroup // invocations
	running sync.WaitGroup // processes
}

// New returns a Function. It starts no process: the first invocation does.
func New(cfg Config) (*Function, error) {
	cfg = cfg.withDefaults()
	if cfg.Name == "" || cfg.CodeDir == "" || cfg.StateDir == "" {
		return nil, errors.New("host: Name, CodeDir and StateDir are required")
	}
	log, err := openLog(filepath.Join(cfg.StateDir, "function.log"), cfg.MaxLogBytes)
	if err != nil {
		return nil, fmt.Errorf("host function %s: %w", cfg.Name, err)
	}
	return &Function{cfg: cfg, log: log, slots: make(chan struct{}, cfg.Concurrency), all: map[*process]struct{}{}}, nil
}

// Invoke runs the function once. It waits while Concurrency processes are busy. Its error is that of ctx, ErrClosed, or the
// reason why no process could be started. When ctx ends, Invoke kills the process.
func (f *Function) Invoke(ctx context.Context, payload []byte) (function.Reply, error) {
	if err := f.enter(); err != nil {
		return function.Reply{}, err
	}
	defer f.working.Done()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return function.Reply{}, ctx.Err()
	}
	for {
		p, fresh, err := f.process()
		if err != nil {
			return function.Reply{}, err
		}
		reply, err := p.invoke(ctx, payload)
		if errors.Is(err, errGone) && !fresh {
			continue // the process ended while it was idle
		}
		f.release(p)
		if errors.Is(err, errGone) {
			return p.initFailure(), nil
		}
		return reply, err
	}
}

func (f *Function) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	f.working.Add(1)
	return nil
}

// process returns a warm process, or a new one.
func (f *Function) process() (p *process, fresh bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut {
		return nil, false, ErrClosed
	}
	for n := len(f.idle); n > 0; n = len(f.idle) {
		p, f.idle = f.idle[n-1], f.idle[:n-1]
		if p.wake() {
			return p, false, nil
		}
	}
	p, err = startProcess(&f.cfg, f.log)
	if err != nil {
		return nil, false, fmt.Errorf("start function %s: %w", f.cfg.Name, err)
	}
	f.all[p] = struct{}{}
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		p.wait()
		f.forget(p)
	}()
	return p, true, nil
}

func (f *Function) forget(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, p)
	f.idle = slices.DeleteFunc(f.idle, func(q *process) bool { return q == p })
}

// release keeps p warm if it is reusable, else kills it.
func (f *Function) release(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, running := f.all[p]; running && p.reusable() && !f.closed {
		p.rest(f.cfg.Idle)
		f.idle = append(f.idle, p)
		return
	}
	p.kill()
}

// Processes returns the number of running processes.
func (f *Function) Processes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}

// Close waits for running invocations until ctx ends, and then kills all processes with their groups and waits for them. New
// invocations fail with ErrClosed at once.
func (f *Function) Close(ctx context.Context) error {
	f.mu.Lock()
	first := !f.closed
	f.closed = true
	f.mu.Unlock()

	drained := make(chan struct{})
	go func() {
		f.working.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.cut = true
	for p := range f.all {
		p.kill()
	}
	f.mu.Unlock()
	<-drained
	f.running.Wait()
	if !first {
		return nil
	}
	return f.log.close()
}

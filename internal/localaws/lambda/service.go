// Package lambda serves the part of AWS Lambda's control API (2015-03-31, rest-json) that a delivery stream's function needs:
// create, read, update, delete, list and invoke functions, their policies and tags.
//
// A function's zip is a file with mode 0600 below the service's folder. Its settings are one JSON document per function in the
// store, so functions survive a restart. The processes of a cluster also keep the zips in a store, in pieces. Package host runs the code as processes of this machine. A builtin is a function of this
// process that behaves like any other; uploading code replaces it, and deleting that code restores it.
//
// Unsupported features of Lambda (versions, aliases, layers, images, VPC, concurrency settings…) are refused with
// InvalidParameterValueException, never ignored. MemorySize and EphemeralStorage are stored and passed to the function, but not
// enforced.
package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/lambda/host"
	"github.com/stagelog/stagelog/internal/record"
)

// Config configures a Service.
type Config struct {
	Region, Account string
	Dir             string // of the zips and their unpacked files; created if missing
	// FetchObject reads a zip from a bucket, for functions created with S3Bucket and S3Key; nil: these are refused.
	FetchObject func(ctx context.Context, bucket, key string) ([]byte, error)
	// Code holds the zips for the other processes of a cluster; nil: there are none.
	Code record.Store
	// Environment holds defaults for the variables of all functions, for example endpoints of this machine.
	Environment map[string]string
	Credentials host.Credentials // of the functions
	Concurrency int              // processes per function; 0: host's default
	Idle        time.Duration    // until an idle process is stopped; 0: host's default
	Now         func() time.Time // default time.Now
	Logger      *slog.Logger     // nil: nothing is logged
}

const keyPrefix = "function/"

// Service holds the functions of one account in one region. It is an http.Handler for requests whose signature is verified.
type Service struct {
	cfg    Config
	shared *documents.Shared
	mux    *http.ServeMux

	writing sync.Mutex // held during a change of a function, including disk and store

	mu        sync.RWMutex // guards the maps; their values are immutable
	closed    bool
	functions map[string]*deployed
	builtins  map[string]*deployed
	settling  sync.WaitGroup // invocations of type Event, and hosts being closed
}

// deployed is a function with its document and invoker. It is immutable; an update creates another.
type deployed struct {
	doc     document
	invoker function.Invoker
	host    *host.Function // nil for a builtin, and for code that can no longer run
	builtin bool
}

// New opens the stored functions. It starts no process: the first invocation of a function does.
func New(ctx context.Context, cfg Config, store record.Store) (*Service, error) {
	if cfg.Region == "" || cfg.Account == "" || cfg.Dir == "" {
		return nil, errors.New("lambda: Region, Account and Dir are required")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open functions: %w", err)
	}
	cfg.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open functions: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	s := &Service{cfg: cfg, functions: map[string]*deployed{}, builtins: map[string]*deployed{}}
	s.mux = s.newMux()
	s.shared = documents.Share(store, &s.writing, s.apply, nil)
	err = documents.Load(ctx, s.shared, keyPrefix, func(_ string, doc *document) error {
		if err := doc.checkVersion(); err != nil {
			return err
		}
		d, err := s.deployOrBreak(ctx, *doc)
		s.functions[doc.Name] = d
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open functions: %w", err)
	}
	return s, nil
}

// deployOrBreak deploys doc, or a function whose invocations fail if its code cannot be used. Its error wraps errUnread.
func (s *Service) deployOrBreak(ctx context.Context, doc document) (*deployed, error) {
	d, err := s.deploy(ctx, doc)
	switch {
	case errors.Is(err, errUnread):
		return nil, err
	case err != nil:
		s.cfg.Logger.Error("function code unusable; upload the code again", "function", doc.Name, "error", err)
		return &deployed{doc: doc, invoker: broken()}, nil
	}
	return d, nil
}

// broken returns the invoker of a function without usable code, so that the other functions keep working.
func broken() function.Invoker {
	return function.InvokerFunc(func(context.Context, []byte) (function.Reply, error) {
		return function.FailedReply("Runtime.InvalidEntrypoint", "the function's code is missing or cannot run on this machine"), nil
	})
}

// Builtin describes a function of this process with the settings that GetFunction returns.
type Builtin struct {
	Name, Description, Role string
	Architecture            string
	TimeoutSeconds          int
	MemoryMB                int
	Environment, Tags       map[string]string
	Invoker                 function.Invoker
}

// AddBuiltin registers a function of this process. Code uploaded under its name replaces it.
func (s *Service) AddBuiltin(b Builtin) {
	doc := s.newDocument(b.Name)
	doc.Description, doc.Role, doc.Handler = b.Description, b.Role, function.BootstrapName
	doc.Architecture, doc.TimeoutS, doc.MemoryMB = b.Architecture, b.TimeoutSeconds, b.MemoryMB
	doc.Environment, doc.Tags = b.Environment, b.Tags
	s.mu.Lock()
	defer s.mu.Unlock()
	s.builtins[b.Name] = &deployed{doc: doc, invoker: b.Invoker, builtin: true}
}

// Invoker finds a function by its name, partial or full ARN, of this account and region. The invoker keeps working when the
// function's code changes. Its errors wrap record.ErrNotFound once the function is deleted.
func (s *Service) Invoker(arnOrName string) (function.Invoker, bool) {
	name, apiErr := s.resolve(arnOrName, "")
	if apiErr != nil {
		return nil, false
	}
	if _, ok := s.get(name); !ok {
		return nil, false
	}
	return function.InvokerFunc(func(ctx context.Context, payload []byte) (function.Reply, error) {
		return s.invoke(ctx, name, payload)
	}), true
}

// IsBuiltin reports whether the name, partial or full ARN currently denotes a builtin that no uploaded code replaces.
func (s *Service) IsBuiltin(arnOrName string) bool {
	name, apiErr := s.resolve(arnOrName, "")
	if apiErr != nil {
		return false
	}
	d, ok := s.get(name)
	return ok && d.builtin
}

// invoke runs a function. If it is replaced between lookup and call, invoke looks it up again.
func (s *Service) invoke(ctx context.Context, name string, payload []byte) (function.Reply, error) {
	for {
		d, ok := s.get(name)
		if !ok {
			return function.Reply{}, fmt.Errorf("function %s: %w", name, record.ErrNotFound)
		}
		reply, err := d.invoker.Invoke(ctx, payload)
		if !errors.Is(err, host.ErrClosed) {
			return reply, err
		}
		if again, ok := s.get(name); ok && again.host == d.host {
			return reply, err
		}
	}
}

// get finds a function by name: uploaded code before a builtin.
func (s *Service) get(name string) (*deployed, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.functions[name]; ok {
		return d, true
	}
	d, ok := s.builtins[name]
	return d, ok
}

// names lists all functions, sorted.
func (s *Service) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := maps.Clone(s.builtins)
	maps.Copy(all, s.functions)
	return slices.Sorted(maps.Keys(all))
}

// save stores doc, deploys it and replaces the previous version. The caller holds writing.
func (s *Service) save(ctx context.Context, doc document) error {
	d, err := s.deploy(ctx, doc)
	if err != nil {
		return err
	}
	if err := s.shareCode(ctx, doc); err != nil {
		return err
	}
	old := s.oldCode(ctx, doc.Name, doc.CodeFile)
	if err := s.shared.Save(ctx, keyPrefix+doc.Name, doc); err != nil {
		return err
	}
	s.forgetCode(ctx, doc.Name, old)
	s.replace(doc.Name, d)
	s.cfg.Logger.Info("function deployed", "function", doc.Name, "sha256", doc.CodeSHA256)
	return nil
}

// saveDocument stores doc without affecting running processes. The caller holds writing, and the function is not a builtin.
func (s *Service) saveDocument(ctx context.Context, doc document) error {
	if err := s.shared.Save(ctx, keyPrefix+doc.Name, doc); err != nil {
		return err
	}
	s.annotated(doc)
	return nil
}

// annotated replaces the document of a function and leaves its processes alone.
func (s *Service) annotated(doc document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := *s.functions[doc.Name]
	d.doc = doc
	s.functions[doc.Name] = &d
}

// replace stores d (nil: none) under name, and closes the previous version once its invocations are done.
func (s *Service) replace(name string, d *deployed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.functions[name]
	if d != nil {
		s.functions[name] = d
	} else {
		delete(s.functions, name)
	}
	if old == nil || old.host == nil {
		return
	}
	s.settling.Add(1)
	go func() {
		defer s.settling.Done()
		ctx, cancel := context.WithTimeout(context.Background(), old.doc.timeout()+host.DefaultInitTimeout)
		defer cancel()
		if err := old.host.Close(ctx); err != nil {
			s.cfg.Logger.Warn("closing replaced function failed", "function", name, "error", err)
		}
		s.removeUnused(name)
	}()
}

// Close waits for running invocations until ctx ends, and stops all processes. Functions stay on disk.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := slices.Collect(maps.Values(s.functions))
	s.mu.Unlock()
	settled := make(chan struct{})
	go func() {
		s.settling.Wait()
		close(settled)
	}()
	select {
	case <-settled: // asynchronous invocations need the hosts
	case <-ctx.Done():
	}
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	for i, d := range all {
		if d.host != nil {
			wg.Go(func() { errs[i] = d.host.Close(ctx) })
		}
	}
	wg.Wait()
	<-settled
	return errors.Join(errs...)
}

// settle runs fn in a goroutine that Close waits for. It returns false if the service is closed.
func (s *Service) settle(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.settling.Go(fn)
	return true
}

// arn returns the ARN of a function of this service.
func (s *Service) arn(name string) string {
	return "arn:aws:lambda:" + s.cfg.Region + ":" + s.cfg.Account + ":function:" + name
}

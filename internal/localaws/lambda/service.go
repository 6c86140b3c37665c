// Package lambda is the part of AWS Lambda's control API (2015-03-31, rest-json) that a delivery stream's function needs:
// create, read, update, delete, list and invoke functions, their policies and tags.
//
// A function's zip lies as a file, 0600, below the service's folder; what else there is to know is one JSON document per function in
// the store, so functions survive a restart. The code runs under package host, as processes of this machine. A builtin is a function of
// this process that looks like any other; uploading code for it replaces it, deleting it brings it back.
//
// What Lambda has and we have not (versions, aliases, layers, images, VPC, concurrency settings…) is refused with
// InvalidParameterValueException, never ignored. MemorySize and EphemeralStorage are kept and passed to the function, not enforced.
package lambda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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

// Config configures where the functions are stored and what they run with.
type Config struct {
	Region, Account string
	Dir             string // holds the zips and what is unpacked from them; made if missing
	// FetchObject reads a zip from a bucket, for functions created with S3Bucket and S3Key. nil: they are refused.
	FetchObject func(ctx context.Context, bucket, key string) ([]byte, error)
	// Environment is set for every function, below its own variables: endpoints of this machine, say.
	Environment map[string]string
	Credentials host.Credentials // what the functions sign with
	Concurrency int              // processes of one function; 0 for host's default
	Idle        time.Duration    // until an idle process is stopped; 0 for host's default
	Now         func() time.Time // nil for time.Now
	Logger      *slog.Logger     // nil for none
}

const keyPrefix = "function/"

// Service holds the functions of one account in one region. It is an http.Handler for requests whose signature was checked.
type Service struct {
	cfg   Config
	store record.Store

	writing sync.Mutex // held over a change of one function, disk and store included

	mu        sync.RWMutex // guards the maps; their values do not change
	closed    bool
	functions map[string]*deployed
	builtins  map[string]*deployed
	settling  sync.WaitGroup // invocations of type Event, and closing hosts
}

// deployed is one function as it is now: its document, and what runs it. An update makes a new one.
type deployed struct {
	doc     document
	invoker function.Invoker
	host    *host.Function // nil for a builtin, and for code that cannot run any more
	builtin bool
}

// New opens the functions that the store knows. Nothing is started: the first invocation of a function does.
func New(ctx context.Context, cfg Config, store record.Store) (*Service, error) {
	if cfg.Region == "" || cfg.Account == "" || cfg.Dir == "" {
		return nil, errors.New("lambda: Region, Account and Dir are needed")
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
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, store: store, functions: map[string]*deployed{}, builtins: map[string]*deployed{}}
	err = documents.Load(ctx, store, keyPrefix, func(_ string, doc *document, _ uint64) error {
		if doc.Version != 1 {
			return fmt.Errorf("function %s was written by a newer version of stagelog", doc.Name)
		}
		d, err := s.deploy(*doc)
		if err != nil {
			cfg.Logger.Error("function cannot run any more; upload its code again", "function", doc.Name, "error", err)
			d = &deployed{doc: *doc, invoker: broken()}
		}
		s.functions[doc.Name] = d
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open functions: %w", err)
	}
	return s, nil
}

// broken is a function whose code is gone. The rest of the service must work without it.
func broken() function.Invoker {
	return function.InvokerFunc(func(context.Context, []byte) (function.Reply, error) {
		return function.FailedReply("Runtime.InvalidEntrypoint", "the function's code is missing or cannot run on this machine"), nil
	})
}

// Builtin is a function of this process with the settings that GetFunction shows.
type Builtin struct {
	Name, Description, Role string
	Architecture            string
	TimeoutSeconds          int
	MemoryMB                int
	Environment, Tags       map[string]string
	Invoker                 function.Invoker
}

// AddBuiltin registers a function of this process. GetFunction and Invoker find it, unless code was uploaded under its name.
func (s *Service) AddBuiltin(b Builtin) {
	doc := s.newDocument(b.Name)
	doc.Description, doc.Role, doc.Handler = b.Description, b.Role, function.BootstrapName
	doc.Architecture, doc.TimeoutS, doc.MemoryMB = b.Architecture, b.TimeoutSeconds, b.MemoryMB
	doc.Environment, doc.Tags = b.Environment, b.Tags
	s.mu.Lock()
	defer s.mu.Unlock()
	s.builtins[b.Name] = &deployed{doc: doc, invoker: b.Invoker, builtin: true}
}

// Invoker finds a function by its name, partial or full ARN. It keeps working when the function's code changes, and answers
// record.ErrNotFound once the function is deleted. An ARN of another account or region is not found.
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

// IsBuiltin reports whether the name, partial or full ARN stands for a function of this process just now: one that
// Builtin registered, and that no uploaded code replaces.
func (s *Service) IsBuiltin(arnOrName string) bool {
	name, apiErr := s.resolve(arnOrName, "")
	if apiErr != nil {
		return false
	}
	d, ok := s.get(name)
	return ok && d.builtin
}

// invoke runs a function. One that was replaced between finding and calling it is looked up again.
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

// get finds what is deployed under a name: uploaded code before a builtin.
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

// save stores doc and deploys it in the place of what was there. The caller holds writing.
func (s *Service) save(ctx context.Context, doc document) error {
	d, err := s.deploy(doc)
	if err != nil {
		return err
	}
	if err := documents.Save(ctx, s.store, keyPrefix+doc.Name, doc); err != nil {
		return err
	}
	s.replace(doc.Name, d)
	s.cfg.Logger.Info("function deployed", "function", doc.Name, "sha256", doc.CodeSHA256)
	return nil
}

// saveDocument stores doc and leaves what runs alone. The caller holds writing, and the function is not a builtin.
func (s *Service) saveDocument(ctx context.Context, doc document) error {
	if err := documents.Save(ctx, s.store, keyPrefix+doc.Name, doc); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := *s.functions[doc.Name]
	d.doc = doc
	s.functions[doc.Name] = &d
	return nil
}

// replace puts d (nil for none) under name, and closes what was there once its invocations are done.
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
			s.cfg.Logger.Warn("replaced function did not close", "function", name, "error", err)
		}
		s.removeUnused(name)
	}()
}

// Close lets running invocations finish until ctx ends, and stops every process. Functions stay as they are on disk.
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

// settle runs fn, and has Close wait for it. It is false when the service is closed.
func (s *Service) settle(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.settling.Go(fn)
	return true
}

// arn is the ARN of a function of this service.
func (s *Service) arn(name string) string {
	return "arn:" + record.Partition(s.cfg.Region) + ":lambda:" + s.cfg.Region + ":" + s.cfg.Account + ":function:" + name
}

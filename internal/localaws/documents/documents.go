// Package documents stores the resources of an AWS service on one machine. Each resource is one
// JSON document in a store, with a copy in memory.
package documents

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// MaxBytes is the maximum size of a document: NATS's default max_payload is 1 MiB, headers included.
const MaxBytes = 960 << 10

// ErrTooLarge is wrapped by the errors about documents over MaxBytes.
var ErrTooLarge = errors.New("document too large")

// Config describes the resources of a Set.
type Config struct {
	Prefix string // of the keys in the store: "role/"
	Max    int    // maximum number of resources
	Errors Errors
	Logger *slog.Logger // for store errors; nil: none
}

// Errors holds the responses of the service when an operation on a resource fails.
type Errors struct {
	NotFound  func(name string) *wire.Error
	Exists    func(name string) *wire.Error
	Limit     *wire.Error // the Set has Max resources
	TooLarge  *wire.Error // the resource is larger than MaxBytes
	NotStored *wire.Error // the store failed
}

// Set holds all resources of one kind by name. It is safe for concurrent use.
type Set[T any] struct {
	cfg     Config
	shared  *Shared
	writing sync.Mutex // held during a change, the write to the store included

	mu   sync.RWMutex // guards docs
	docs map[string]*T
}

// Open loads the resources from the store. From then on the Set owns the keys with its prefix.
func Open[T any](ctx context.Context, store record.Store, cfg Config) (*Set[T], error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	s := &Set[T]{cfg: cfg, docs: map[string]*T{}}
	s.shared = Share(store, &s.writing, s.apply, nil)
	err := Load(ctx, s.shared, cfg.Prefix, func(name string, doc *T) error {
		s.docs[name] = doc
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Follow applies the changes of other processes until ctx ends.
func (s *Set[T]) Follow(ctx context.Context) error { return s.shared.Follow(ctx, s.cfg.Logger) }

// Refresh applies the changes that other processes made before the call.
func (s *Set[T]) Refresh(ctx context.Context) error { return s.shared.Refresh(ctx) }

// apply implements the callback of Share.
func (s *Set[T]) apply(_ context.Context, changes []Change) error {
	for _, c := range changes {
		name, ours := strings.CutPrefix(c.Key, s.cfg.Prefix)
		if !ours {
			continue
		}
		var doc *T
		if c.Value != nil {
			var err error
			if doc, err = Decode[T](c.Key, c.Value); err != nil {
				s.cfg.Logger.Error("change of another process ignored", "error", err)
				continue
			}
		}
		s.show(name, doc)
	}
	return nil
}

// show makes a resource visible; nil removes it.
func (s *Set[T]) show(name string, doc *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if doc == nil {
		delete(s.docs, name)
		return
	}
	s.docs[name] = doc
}

// Get returns a resource, which must not be changed.
func (s *Set[T]) Get(name string) (*T, *wire.Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if doc := s.docs[name]; doc != nil {
		return doc, nil
	}
	return nil, s.cfg.Errors.NotFound(name)
}

// Names returns the names of all resources, sorted.
func (s *Set[T]) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.docs))
}

// All returns all resources, sorted by name. They must not be changed.
func (s *Set[T]) All() []*T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*T, 0, len(s.docs))
	for _, name := range slices.Sorted(maps.Keys(s.docs)) {
		all = append(all, s.docs[name])
	}
	return all
}

// Create adds a resource and returns once it is durable.
func (s *Set[T]) Create(ctx context.Context, name string, doc *T) *wire.Error {
	return s.change(ctx, func() error {
		s.mu.RLock()
		_, exists := s.docs[name]
		n := len(s.docs)
		s.mu.RUnlock()
		switch {
		case exists:
			return s.cfg.Errors.Exists(name)
		case n >= s.cfg.Max:
			return s.cfg.Errors.Limit
		}
		return s.save(ctx, name, doc)
	})
}

// Change calls change with a copy of a resource. If change returns no error, the copy replaces the
// resource once it is durable. change is called again if another process changes the resource meanwhile.
func (s *Set[T]) Change(ctx context.Context, name string, change func(*T) *wire.Error) *wire.Error {
	return s.change(ctx, func() error {
		old, refused := s.Get(name)
		if refused != nil {
			return refused
		}
		doc := copyOf(old)
		if refused := change(doc); refused != nil {
			return refused
		}
		return s.save(ctx, name, doc)
	})
}

// Delete removes a resource, unless check returns an error. check may be nil.
func (s *Set[T]) Delete(ctx context.Context, name string, check func(*T) *wire.Error) *wire.Error {
	return s.change(ctx, func() error {
		doc, refused := s.Get(name)
		if refused != nil {
			return refused
		}
		if check != nil {
			if refused := check(doc); refused != nil {
				return refused
			}
		}
		if err := s.shared.Erase(ctx, s.cfg.Prefix+name); err != nil {
			return err
		}
		s.show(name, nil)
		return nil
	})
}

// change runs fn, whose error is a *wire.Error or a store error, and returns the response to it.
func (s *Set[T]) change(ctx context.Context, fn func() error) *wire.Error {
	err := s.shared.Change(ctx, fn)
	var refused *wire.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, ErrTooLarge):
		return s.cfg.Errors.TooLarge
	}
	s.cfg.Logger.Error("resource not stored", "error", err)
	return s.cfg.Errors.NotStored
}

// save stores doc and then makes it visible. The caller holds writing.
func (s *Set[T]) save(ctx context.Context, name string, doc *T) error {
	if err := s.shared.Save(ctx, s.cfg.Prefix+name, doc); err != nil {
		return err
	}
	s.show(name, doc)
	return nil
}

// copyOf returns a deep copy of doc.
func copyOf[T any](doc *T) *T {
	data, err := json.Marshal(doc)
	c := new(T)
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if err != nil {
		panic("BUG: encode stored document: " + err.Error())
	}
	return c
}

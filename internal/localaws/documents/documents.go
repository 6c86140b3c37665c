// Package documents stores the resources of an AWS service on one machine. Each resource is one
// JSON document in a store, with a copy in memory.
package documents

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// MaxBytes is the maximum size of a document: NATS's default max_payload is 1 MiB, headers included.
const MaxBytes = 960 << 10

// ErrTooLarge is wrapped by the errors about documents over MaxBytes.
var ErrTooLarge = errors.New("document too large")

// writeTimeout bounds one durable write. A client that disconnects does not interrupt it, because a
// change of several documents should not stop half-way.
const writeTimeout = 10 * time.Second

// Load calls fn with each document whose key starts with prefix; name is the rest of the key, rev the
// document's revision. Errors do not quote a document, which may hold a secret.
func Load[T any](ctx context.Context, store record.Store, prefix string, fn func(name string, doc *T, rev uint64) error) error {
	err := store.All(ctx, prefix, func(key string, value []byte, rev uint64) error {
		doc := new(T)
		if err := json.Unmarshal(value, doc); err != nil {
			return fmt.Errorf("document %s is not valid", key)
		}
		return fn(strings.TrimPrefix(key, prefix), doc, rev)
	})
	if err != nil {
		return fmt.Errorf("load %s documents: %w", strings.TrimSuffix(prefix, "/"), err)
	}
	return nil
}

// Save writes a document and returns once it is durable.
func Save(ctx context.Context, store record.Store, key string, doc any) error {
	_, err := write(ctx, key, doc, store.Set)
	return err
}

// Replace writes a document over revision rev (0: the document must not exist) and returns the new
// revision once it is durable. The error wraps record.ErrConflict if the document has another revision.
func Replace(ctx context.Context, store record.Store, key string, doc any, rev uint64) (uint64, error) {
	return write(ctx, key, doc, func(ctx context.Context, key string, data []byte) (uint64, error) {
		return store.Put(ctx, key, data, rev)
	})
}

func write(ctx context.Context, key string, doc any, put func(context.Context, string, []byte) (uint64, error)) (uint64, error) {
	data, err := json.Marshal(doc)
	switch {
	case err != nil:
		return 0, fmt.Errorf("encode %s: %w", key, err)
	case len(data) > MaxBytes:
		return 0, fmt.Errorf("write %s: %d bytes, the maximum is %d: %w", key, len(data), MaxBytes, ErrTooLarge)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	rev, err := put(ctx, key, data)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	return rev, nil
}

// Erase deletes a document, which may be missing, and returns once the deletion is durable.
func Erase(ctx context.Context, store record.Store, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := store.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

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
	store   record.Store
	writing sync.Mutex // held during a change, the write to the store included

	mu   sync.RWMutex // guards docs
	docs map[string]*T
}

// Open loads the resources from the store. From then on the Set owns the keys with its prefix.
func Open[T any](ctx context.Context, store record.Store, cfg Config) (*Set[T], error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	s := &Set[T]{cfg: cfg, store: store, docs: map[string]*T{}}
	err := Load(ctx, store, cfg.Prefix, func(name string, doc *T, _ uint64) error {
		s.docs[name] = doc
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
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
	s.writing.Lock()
	defer s.writing.Unlock()
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
}

// Change calls change with a copy of a resource. If change returns no error, the copy replaces the
// resource once it is durable.
func (s *Set[T]) Change(ctx context.Context, name string, change func(*T) *wire.Error) *wire.Error {
	s.writing.Lock()
	defer s.writing.Unlock()
	old, refused := s.Get(name)
	if refused != nil {
		return refused
	}
	doc := copyOf(old)
	if refused := change(doc); refused != nil {
		return refused
	}
	return s.save(ctx, name, doc)
}

// Delete removes a resource, unless check returns an error. check may be nil.
func (s *Set[T]) Delete(ctx context.Context, name string, check func(*T) *wire.Error) *wire.Error {
	s.writing.Lock()
	defer s.writing.Unlock()
	doc, refused := s.Get(name)
	if refused != nil {
		return refused
	}
	if check != nil {
		if refused := check(doc); refused != nil {
			return refused
		}
	}
	if err := Erase(ctx, s.store, s.cfg.Prefix+name); err != nil {
		return s.notStored(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.docs, name)
	return nil
}

// save stores doc and then makes it visible. The caller holds writing.
func (s *Set[T]) save(ctx context.Context, name string, doc *T) *wire.Error {
	if err := Save(ctx, s.store, s.cfg.Prefix+name, doc); err != nil {
		return s.notStored(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[name] = doc
	return nil
}

func (s *Set[T]) notStored(err error) *wire.Error {
	if errors.Is(err, ErrTooLarge) {
		return s.cfg.Errors.TooLarge
	}
	s.cfg.Logger.Error("resource not stored", "error", err)
	return s.cfg.Errors.NotStored
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

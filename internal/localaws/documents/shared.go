package documents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/record"
)

// Interval is how often Follow looks for changes of other processes.
const Interval = 500 * time.Millisecond

// maxTries is how many times Retry runs a change that conflicts with changes of other processes.
const maxTries = 10

// writeTimeout bounds one durable write. A client that disconnects does not interrupt it, because a
// change of several documents should not stop half-way.
const writeTimeout = 10 * time.Second

// Change is a document that another process has written, or deleted.
type Change struct {
	Key   string
	Value []byte // nil: deleted
	Rev   uint64
}

// Shared gives the processes of a cluster the same documents. It writes a document only over the revision that this process
// has read, and passes on the changes of the other processes.
type Shared struct {
	store record.Store
	lock  sync.Locker
	apply func(context.Context, []Change) error
	after func(context.Context, []Change)

	known   map[string]version // newest known versions by key; guarded by lock
	pending []Change           // applied, but not passed to after; guarded by lock

	reading sync.Mutex                  // held before lock; guards since
	since   uint64                      // revision up to which changes were read
	first   func(context.Context) error // set by Needs
}

type version struct {
	rev     uint64
	deleted bool // rev is the one before the deletion
}

// Share returns the documents of a store. lock guards the service's copies of them: the callers of Load, Save, Erase and
// fn of Change hold it. apply is called with it, and changes the copies; after an error it is called again with the same
// changes, and more. Then after, which may be nil, is called without it.
func Share(store record.Store, lock sync.Locker, apply func(context.Context, []Change) error, after func(context.Context, []Change)) *Shared {
	if after == nil {
		after = func(context.Context, []Change) {}
	}
	return &Shared{store: store, lock: lock, apply: apply, after: after, known: map[string]version{}}
}

// Needs sets the function that refreshes what the documents refer to. Refresh calls it after it has read changes, and before it
// applies them. Needs is called before Follow.
func (s *Shared) Needs(refresh func(context.Context) error) { s.first = refresh }

// Load calls fn with each document whose key starts with prefix; name is the rest of the key. Errors do not quote a document,
// which may hold a secret.
func Load[T any](ctx context.Context, s *Shared, prefix string, fn func(name string, doc *T) error) error {
	err := s.store.All(ctx, prefix, func(key string, value []byte, rev uint64) error {
		doc, err := Decode[T](key, value)
		if err != nil {
			return err
		}
		s.known[key] = version{rev: rev}
		return fn(strings.TrimPrefix(key, prefix), doc)
	})
	if err != nil {
		return fmt.Errorf("load %s documents: %w", strings.TrimSuffix(prefix, "/"), err)
	}
	return nil
}

// Decode decodes a document. The error does not quote it.
func Decode[T any](key string, value []byte) (*T, error) {
	doc := new(T)
	if err := json.Unmarshal(value, doc); err != nil {
		return nil, fmt.Errorf("document %s is not valid", key)
	}
	return doc, nil
}

// Save writes a document and returns once it is durable. The error wraps record.ErrConflict if another process has changed the
// document; Save has then applied that change.
func (s *Shared) Save(ctx context.Context, key string, doc any) error {
	data, err := json.Marshal(doc)
	switch {
	case err != nil:
		return fmt.Errorf("encode %s: %w", key, err)
	case len(data) > MaxBytes:
		return fmt.Errorf("write %s: %d bytes, the maximum is %d: %w", key, len(data), MaxBytes, ErrTooLarge)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	expected := s.known[key].rev
	if s.known[key].deleted {
		expected = 0
	}
	rev, err := s.store.Put(ctx, key, data, expected)
	if errors.Is(err, record.ErrConflict) {
		err = errors.Join(err, s.reload(ctx, key))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	s.known[key] = version{rev: rev}
	return nil
}

// reload applies the newest version of a document.
func (s *Shared) reload(ctx context.Context, key string) error {
	value, rev, err := s.store.Get(ctx, key)
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		return err
	}
	return s.applyLocked(ctx, []Change{{key, value, rev}})
}

// applyLocked applies changes and remembers their revisions. The caller holds lock.
func (s *Shared) applyLocked(ctx context.Context, changes []Change) error {
	if err := s.apply(ctx, changes); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(s.known, c.Key)
		} else {
			s.known[c.Key] = version{rev: c.Rev}
		}
	}
	s.pending = append(s.pending, changes...)
	return nil
}

// Erase deletes a document, which may be missing, and returns once the deletion is durable.
func (s *Shared) Erase(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := s.store.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	s.known[key] = version{s.known[key].rev, true}
	return nil
}

// Change applies the changes of other processes, then runs fn as Retry does.
func (s *Shared) Change(ctx context.Context, fn func() error) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	return s.Retry(fn)
}

// Retry runs fn with the lock, and repeats it while it returns record.ErrConflict, up to a limit.
func (s *Shared) Retry(fn func() error) error {
	for try := 1; ; try++ {
		err := s.locked(fn)
		if !errors.Is(err, record.ErrConflict) || try == maxTries {
			return err
		}
	}
}

func (s *Shared) locked(fn func() error) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	return fn()
}

// Refresh applies the changes that other processes made before the call.
func (s *Shared) Refresh(ctx context.Context) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	for {
		var changes []Change
		upTo, err := s.store.Changes(ctx, s.since, func(key string, value []byte, rev uint64) {
			changes = append(changes, Change{key, bytes.Clone(value), rev})
		})
		if err != nil {
			return fmt.Errorf("read the changes of other processes: %w", err)
		}
		if upTo == s.since {
			break // again until nothing is new: a document that changes while it is read may be missing
		}
		if s.first != nil {
			if err := s.first(ctx); err != nil {
				return err
			}
		}
		if err := s.take(ctx, changes); err != nil {
			return fmt.Errorf("apply the changes of other processes: %w", err)
		}
		s.since = upTo
	}
	s.announce(ctx)
	return nil
}

// announce passes the applied changes to after, those of reload too.
func (s *Shared) announce(ctx context.Context) {
	s.lock.Lock()
	applied := s.pending
	s.pending = nil
	s.lock.Unlock()
	if len(applied) > 0 {
		s.after(ctx, applied)
	}
}

// take applies the changes that are new to this process.
func (s *Shared) take(ctx context.Context, changes []Change) error {
	return s.locked(func() error {
		var foreign []Change
		for _, c := range changes {
			have, ok := s.known[c.Key]
			if c.Rev > have.rev && (ok || c.Value != nil) { // else this process has written or never seen it
				foreign = append(foreign, c)
			}
		}
		if len(foreign) == 0 {
			return nil
		}
		return s.applyLocked(ctx, foreign)
	})
}

// Follow applies the changes of other processes until ctx ends. It always returns nil: a failure is logged and retried.
func (s *Shared) Follow(ctx context.Context, log *slog.Logger) error {
	failures := failurelog.New(log, slog.LevelError, "reading the definitions that other processes change")
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch err := s.Refresh(ctx); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			failures.Failed(err)
		default:
			failures.Worked()
		}
	}
}

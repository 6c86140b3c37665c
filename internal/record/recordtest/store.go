// Package recordtest provides test helpers for package record: an in-memory Store, and the
// conformance suite for Stores.
package recordtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stagelog/stagelog/internal/record"
)

// Store is an in-memory record.Store. The zero value is empty.
type Store struct {
	mu     sync.Mutex // guards the fields below
	docs   map[string]document
	gone   map[string]uint64 // revisions of the deletions
	rev    uint64            // of the newest write
	writes int
	err    error
}

type document struct {
	value []byte
	rev   uint64
}

var _ record.Store = (*Store)(nil)

// StoreOf returns a Store with the given documents.
func StoreOf(docs map[string]string) *Store {
	s := &Store{}
	for key, value := range docs {
		s.write(key, []byte(value))
	}
	s.writes = 0
	return s
}

// Fail makes every write return err until the next call; nil makes writes succeed again.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Writes returns the number of writes that changed a document.
func (s *Store) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Docs returns a copy of the documents by key.
func (s *Store) Docs() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	docs := make(map[string]string, len(s.docs))
	for key, doc := range s.docs {
		docs[key] = string(doc.value)
	}
	return docs
}

// Get implements record.Store.
func (s *Store) Get(_ context.Context, key string) (value []byte, rev uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	doc, ok := s.docs[key]
	if !ok {
		return nil, 0, fmt.Errorf("get %q: %w", key, record.ErrNotFound)
	}
	return bytes.Clone(doc.value), doc.rev, nil
}

// Put implements record.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte, rev uint64) (newRev uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return 0, err
	}
	if s.docs[key].rev != rev {
		return 0, fmt.Errorf("put %q: %w", key, record.ErrConflict)
	}
	return s.write(key, value), nil
}

// Set implements record.Store.
func (s *Store) Set(ctx context.Context, key string, value []byte) (newRev uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return 0, err
	}
	return s.write(key, value), nil
}

func (s *Store) write(key string, value []byte) (rev uint64) {
	if s.docs == nil {
		s.docs = map[string]document{}
	}
	s.rev++
	s.writes++
	delete(s.gone, key)
	s.docs[key] = document{bytes.Clone(value), s.rev}
	return s.rev
}

// Delete implements record.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return err
	}
	if _, ok := s.docs[key]; ok {
		s.writes++
		s.rev++
		delete(s.docs, key)
		if s.gone == nil {
			s.gone = map[string]uint64{}
		}
		s.gone[key] = s.rev
	}
	return nil
}

// All implements record.Store. It overwrites each value after fn.
func (s *Store) All(_ context.Context, prefix string, fn func(key string, value []byte, rev uint64) error) error {
	s.mu.Lock()
	docs := maps.Clone(s.docs)
	s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(docs)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		value := bytes.Clone(docs[key].value)
		err := fn(key, value, docs[key].rev)
		for i := range value {
			value[i] = 0xff
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Changes implements record.Store. It overwrites each value after fn.
func (s *Store) Changes(_ context.Context, since uint64, fn func(key string, value []byte, rev uint64)) (upTo uint64, err error) {
	s.mu.Lock()
	docs := maps.Clone(s.docs)
	for key, rev := range s.gone {
		if docs == nil {
			docs = map[string]document{}
		}
		docs[key] = document{nil, rev}
	}
	upTo = s.rev
	s.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(docs), func(a, b string) int { return cmp.Compare(docs[a].rev, docs[b].rev) }) {
		if docs[key].rev <= since {
			continue
		}
		value := bytes.Clone(docs[key].value)
		fn(key, value, docs[key].rev)
		for i := range value {
			value[i] = 0xff
		}
	}
	return upTo, nil
}

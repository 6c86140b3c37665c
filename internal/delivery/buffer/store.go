package buffer

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Store is a small durable map from keys to values, each with a revision that grows with every
// write. A write is synced before it returns. Store may be used in parallel.
type Store struct {
	name   string
	b      *Buffer
	kv     jetstream.KeyValue
	folder *folder
	copy   *storeCopy // nil on a cluster
}

// Store opens the store of that name and creates it when missing.
func (b *Buffer) Store(ctx context.Context, name string) (*Store, error) {
	var kv jetstream.KeyValue
	err := b.whenReady(ctx, func(ctx context.Context) (err error) {
		kv, err = b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:   escape(name),
			History:  1,
			Storage:  jetstream.FileStorage,
			Replicas: b.replicas,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	s := &Store{name: name, b: b, kv: kv}
	if s.folder, err = b.folder(storePrefix + escape(name)); err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	if s.copy, err = b.copyOf(storePrefix + escape(name)); err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	return s, nil
}

// write runs one write and returns once it is synced. A nil value deletes the key.
func (s *Store) write(ctx context.Context, action, key string, value []byte, request func(context.Context) (rev uint64, err error)) (rev uint64, err error) {
	err = s.b.do(ctx, func(ctx context.Context) (err error) {
		if rev, err = request(ctx); err != nil {
			return err
		}
		return s.folder.sync()
	})
	if err != nil {
		return 0, s.failed(action, key, err)
	}
	s.b.journal(s.copy.add(keyToken(key), rev, value == nil, value))
	return rev, nil
}

// Get returns the newest value and its revision. The error wraps record.ErrNotFound if there is none.
func (s *Store) Get(ctx context.Context, key string) (value []byte, rev uint64, err error) {
	var entry jetstream.KeyValueEntry
	if err := s.b.do(ctx, func(ctx context.Context) (err error) {
		entry, err = s.kv.Get(ctx, keyToken(key))
		return err
	}); err != nil {
		return nil, 0, s.failed("get", key, err)
	}
	return entry.Value(), entry.Revision(), nil
}

// Put writes the value if the key's revision is still rev; 0 means that the key does not exist.
// The error wraps record.ErrConflict if another writer was faster.
func (s *Store) Put(ctx context.Context, key string, value []byte, rev uint64) (newRev uint64, err error) {
	return s.write(ctx, "put", key, present(value), func(ctx context.Context) (uint64, error) {
		if rev == 0 {
			return s.kv.Create(ctx, keyToken(key), value)
		}
		return s.kv.Update(ctx, keyToken(key), value, rev)
	})
}

// Set writes the value unconditionally.
func (s *Store) Set(ctx context.Context, key string, value []byte) (newRev uint64, err error) {
	return s.write(ctx, "set", key, present(value), func(ctx context.Context) (uint64, error) {
		return s.kv.Put(ctx, keyToken(key), value)
	})
}

// Delete removes the key. A missing key is not an error. Revisions do not restart: a Put with an
// old one still conflicts.
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.write(ctx, "delete", key, nil, func(ctx context.Context) (uint64, error) {
		// KeyValue.Delete sends the same message, but does not return its revision.
		m := nats.NewMsg("$KV." + escape(s.name) + "." + keyToken(key))
		m.Header.Set("KV-Operation", "DEL")
		ack, err := s.b.js.PublishMsg(ctx, m)
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	})
	return err
}

// present returns the value, or an empty one instead of nil.
func present(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// All calls fn with every current key that begins with prefix, in no particular order. It stops at
// fn's first error and returns it unchanged. The value may be kept.
func (s *Store) All(ctx context.Context, prefix string, fn func(key string, value []byte, rev uint64) error) error {
	w, err := s.kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("list store %s: %w", s.name, err)
	}
	defer w.Stop() //nolint:errcheck // it only fails if the connection is closed already
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, ok := <-w.Updates():
			if !ok {
				return fmt.Errorf("list store %s: the connection was closed", s.name)
			}
			if entry == nil {
				return nil // end of the current entries
			}
			key, ok := tokenKey(entry.Key())
			if !ok || !strings.HasPrefix(key, prefix) {
				continue
			}
			if err := fn(key, entry.Value(), entry.Revision()); err != nil {
				return err
			}
		}
	}
}

// failed wraps err with the store and the key, which may be a customer's but is never a secret.
func (s *Store) failed(action, key string, err error) error {
	return fmt.Errorf("%s %q in store %s: %w", action, key, s.name, err)
}

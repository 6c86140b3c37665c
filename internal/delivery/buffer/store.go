package buffer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

	created time.Time // by the clock of the cluster; zero on the embedded server
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
	if b.server == nil {
		info, err := s.info(ctx)
		if err != nil {
			return nil, fmt.Errorf("open store %s: %w", name, err)
		}
		s.created = info.Created
	}
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
	var stopped error
	_, err := s.read(ctx, 0, func(key string, value []byte, rev uint64) bool {
		if value != nil && strings.HasPrefix(key, prefix) {
			stopped = fn(key, value, rev)
		}
		return stopped == nil
	})
	return cmp.Or(stopped, err)
}

// Changes calls fn with each key that was written or deleted after revision since, in the order of the writes, with its newest
// value, or nil if it is deleted. It returns the revision up to which it has read. On the embedded server, which only this
// process can write, it returns since. The value may be kept.
func (s *Store) Changes(ctx context.Context, since uint64, fn func(key string, value []byte, rev uint64)) (upTo uint64, err error) {
	if s.b.server != nil {
		return since, nil
	}
	return s.read(ctx, since, func(key string, value []byte, rev uint64) bool {
		fn(key, value, rev)
		return true
	})
}

// info reads the state of the store's stream.
func (s *Store) info(ctx context.Context) (info *jetstream.StreamInfo, err error) {
	err = s.b.do(ctx, func(ctx context.Context) error {
		status, err := s.kv.Status(ctx)
		if err == nil {
			info = status.(*jetstream.KeyValueBucketStatus).StreamInfo()
		}
		return err
	})
	return info, err
}

// replicaLag limits how long read waits for entries that a replica does not have yet.
const replicaLag = time.Second

// read calls fn with the newest entry of each key after revision since, nil for a deleted one, until fn returns false or
// everything that was written before the call is read. It returns the revision of the last entry.
func (s *Store) read(ctx context.Context, since uint64, fn func(key string, value []byte, rev uint64) bool) (upTo uint64, err error) {
	failed := func(err error) (uint64, error) { return since, fmt.Errorf("read store %s: %w", s.name, err) }
	info, err := s.info(ctx)
	if err != nil {
		return failed(err)
	}
	last := info.State.LastSeq
	switch {
	case last < since, !s.created.IsZero() && !info.Created.Equal(s.created):
		return failed(errors.New("the store was replaced by another one; restart this process"))
	case last == since:
		return since, nil
	}
	var options []jetstream.WatchOpt
	if since > 0 {
		options = append(options, jetstream.ResumeFromRevision(since+1))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(s.b.timeout(), func() { cancel(context.DeadlineExceeded) }) // a server that dies sends nothing more
	defer stalled.Stop()
	w, err := s.kv.WatchAll(ctx, options...)
	if err != nil {
		return failed(cmp.Or(context.Cause(ctx), err))
	}
	defer w.Stop() //nolint:errcheck // it only fails if the connection is closed already
	var late <-chan time.Time
	for upTo = since; upTo < last; {
		select {
		case <-ctx.Done():
			return failed(context.Cause(ctx))
		case <-late:
			return upTo, nil // the newest entry was removed from outside
		case entry, ok := <-w.Updates():
			switch {
			case !ok:
				return failed(errors.New("the connection was closed"))
			case entry == nil && s.b.server != nil:
				return last, nil
			case entry == nil: // the end of what the server of this replica has
				late = time.After(replicaLag)
				continue
			}
			stalled.Reset(s.b.timeout())
			upTo = entry.Revision()
			key, ok := tokenKey(entry.Key())
			if !ok {
				continue
			}
			value := present(entry.Value())
			if entry.Operation() != jetstream.KeyValuePut {
				value = nil
			}
			if !fn(key, value, upTo) {
				return upTo, nil
			}
		}
	}
	return upTo, nil
}

// failed wraps err with the store and the key, which may be a customer's but is never a secret.
func (s *Store) failed(action, key string, err error) error {
	return fmt.Errorf("%s %q in store %s: %w", action, key, s.name, err)
}

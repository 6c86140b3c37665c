// Package documents stores the resources of an AWS service on one machine. Each resource is one
// JSON document in a store, with a copy in memory.
package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

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

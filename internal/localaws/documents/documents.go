// Package documents keeps the resources of an AWS service on one machine. Each resource is one
// JSON document in a store, and all of them are in memory as well.
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

// MaxBytes bounds one document: NATS's default max_payload is 1 MiB, headers included.
const MaxBytes = 960 << 10

// ErrTooLarge is wrapped by the errors about documents over MaxBytes.
var ErrTooLarge = errors.New("document too large")

// writeTimeout bounds one durable write. A caller that disconnects does not interrupt it: half of
// a change that touches several documents would be worse than one whose result is not awaited.
const writeTimeout = 10 * time.Second

// Load calls fn with each document whose key starts with prefix; name is the rest of the key.
// Errors do not quote a document, which may hold a secret.
func Load[T any](ctx context.Context, store record.Store, prefix string, fn func(name string, doc *T) error) error {
	err := store.All(ctx, prefix, func(key string, value []byte, _ uint64) error {
		doc := new(T)
		if err := json.Unmarshal(value, doc); err != nil {
			return fmt.Errorf("document %s is not valid", key)
		}
		return fn(strings.TrimPrefix(key, prefix), doc)
	})
	if err != nil {
		return fmt.Errorf("load %s documents: %w", strings.TrimSuffix(prefix, "/"), err)
	}
	return nil
}

// Save writes a document and returns once it is durable.
func Save(ctx context.Context, store record.Store, key string, doc any) error {
	data, err := json.Marshal(doc)
	switch {
	case err != nil:
		return fmt.Errorf("encode %s: %w", key, err)
	case len(data) > MaxBytes:
		return fmt.Errorf("write %s: %d bytes, at most %d are allowed: %w", key, len(data), MaxBytes, ErrTooLarge)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if _, err := store.Set(ctx, key, data); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// Erase deletes a document, which may be missing, and returns once that is durable.
func Erase(ctx context.Context, store record.Store, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := store.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

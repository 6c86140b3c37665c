package record

import "context"

// Store keeps small documents by key, each with a revision that grows with every write. A write
// that returned without an error is durable; after an error other than ErrConflict the document
// may or may not be written. A Store may be used in parallel, also by several processes, and does
// not keep the bytes passed to it.
type Store interface {
	// Get returns the newest value and its revision. The error wraps ErrNotFound if there is no such key.
	Get(ctx context.Context, key string) (value []byte, rev uint64, err error)
	// Put writes the value if the key's revision is rev; 0 means that the key does not exist.
	// Otherwise the error wraps ErrConflict.
	Put(ctx context.Context, key string, value []byte, rev uint64) (newRev uint64, err error)
	// Set writes the value unconditionally.
	Set(ctx context.Context, key string, value []byte) (newRev uint64, err error)
	// Delete removes the key. A missing key is not an error. Revisions do not restart: a Put with
	// the revision from before the Delete returns ErrConflict.
	Delete(ctx context.Context, key string) error
	// All calls fn with every key that begins with prefix, in any order. The value is valid only
	// during fn. All stops at fn's first error and returns it unchanged.
	All(ctx context.Context, prefix string, fn func(key string, value []byte, rev uint64) error) error
	// Changes calls fn with each key that was written or deleted after revision since, in the order of the writes, with its newest
	// value, or nil if it is deleted. It returns the revision up to which it has read; 0 starts at the beginning. The value is
	// valid only during fn. A Store that no other process can write may return since.
	Changes(ctx context.Context, since uint64, fn func(key string, value []byte, rev uint64)) (upTo uint64, err error)
}

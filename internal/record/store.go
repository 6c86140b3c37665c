package record

import "context"

// Store keeps small documents by key, each with a revision that grows with every write. A
// write that returned without an error is durable; after an error other than ErrConflict the
// document may be written or not. A Store may be used in parallel, also by several processes.
// It does not keep the bytes that it is given.
type Store interface {
	// Get returns the newest value and its revision. It wraps ErrNotFound when there is no such key.
	Get(ctx context.Context, key string) (value []byte, rev uint64, err error)
	// Put writes the value if the key's revision is rev, 0 meaning that there is no such key;
	// else it wraps ErrConflict.
	Put(ctx context.Context, key string, value []byte, rev uint64) (newRev uint64, err error)
	// Set writes the value whatever the revision.
	Set(ctx context.Context, key string, value []byte) (newRev uint64, err error)
	// Delete removes the key; one that is not there is no error. Revisions do not start again:
	// a Put with the revision from before the Delete wraps ErrConflict.
	Delete(ctx context.Context, key string) error
	// All calls fn with every key that begins with prefix, in any order. The value is valid only
	// during fn. An error of fn ends All, which returns it as it is.
	All(ctx context.Context, prefix string, fn func(key string, value []byte, rev uint64) error) error
}

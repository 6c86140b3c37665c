package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/record"
)

// documentFormat is the newest form of the document that this code reads and writes.
const documentFormat = 2 // 1 had no conversion

// document is the state of a shard's delivery. It is written only with its current
// revision, so each write is at once a decision, its commit, and the proof that no other
// worker has taken over.
//
// What recovery relies on: every object that may ever have been put for the range of the
// pending flush is in Objects. Transforming again may give other kinds of objects than before,
// since the function, the usage plan index or the destination can have changed. So
//
//   - an object of the pending flush keeps its bucket, key and compression, and the flush its
//     conversion, whatever the destination is now;
//   - an object of the pending flush that has no records now is put empty: it may be in the
//     bucket with records that are now in another object;
//   - an object that is not in the pending flush gets a name from the present destination, and
//     the pending flush is written again with it before it is put.
type document struct {
	Format int `json:"format"`
	// Owner distinguishes the writes of workers that are otherwise equal.
	Owner     string        `json:"owner"`
	Delivered uint64        `json:"delivered"` // every frame up to here is delivered
	Pending   *pendingFlush `json:"intent"`
}

// pendingFlush is a flush that was decided, and may be partly delivered.
type pendingFlush struct {
	First   uint64    `json:"first"`
	Last    uint64    `json:"last"`
	Decided time.Time `json:"decided"`
	Objects []target  `json:"objects"`
	// Conversion of the flush; nil is none.
	Conversion *Conversion `json:"conversion,omitempty"`
}

// target is an object of a pending flush.
type target struct {
	// Part is the kind of object and, behind NULs, the values of its partition keys.
	Part        string `json:"part"`
	Bucket      string `json:"bucket"`
	Key         string `json:"key"`
	Compression string `json:"compression,omitempty"` // or objectkey.Parquet
}

// stateKey is the key of the shard's document.
func stateKey(stream string, shard int) string { return fmt.Sprintf("%s/%d", stream, shard) }

// leaseKey is the key of the shard's lease.
func leaseKey(stream string, shard int) string { return fmt.Sprintf("%s/%d/lease", stream, shard) }

// Forget removes the document of a deleted stream's shard. It belongs before the deletion
// of the shard's log: a document that is left over would make a new stream of that name
// skip its first records.
func Forget(ctx context.Context, store record.Store, stream string, shard int) error {
	if err := store.Delete(ctx, stateKey(stream, shard)); err != nil {
		return fmt.Errorf("forget the delivery of %s/%d: %w", stream, shard, err)
	}
	return nil
}

// state is the document as this worker wrote it last. It is used by one goroutine at a
// time.
type state struct {
	store    record.Store
	key      string
	failures *failurelog.Log
	doc      document
	rev      uint64
}

// take reads the document and makes it this worker's own, which stops any other. It does
// not retry.
func take(ctx context.Context, store record.Store, key, owner string, failures *failurelog.Log) (*state, error) {
	s := &state{store: store, key: key, failures: failures, doc: document{Format: documentFormat}}
	value, rev, err := store.Get(ctx, key)
	switch {
	case errors.Is(err, record.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("read delivery state: %w", err)
	default:
		if err := json.Unmarshal(value, &s.doc); err != nil {
			return nil, fmt.Errorf("read delivery state of %s: %w: %w", key, errState, err)
		}
		if s.doc.Format > documentFormat {
			return nil, fmt.Errorf("%w: delivery of %s has format %d, this version knows %d: written by a newer stagelog",
				errState, key, s.doc.Format, documentFormat)
		}
		s.rev = rev
	}
	s.doc.Format, s.doc.Owner = documentFormat, owner
	return s, s.write(ctx, s.doc)
}

// errState is the error of a document that cannot be used; a retry does not help.
var errState = errors.New("delivery state cannot be used")

// write writes the document and retries until it succeeds. The error wraps record.ErrConflict when another
// worker has taken over.
func (s *state) write(ctx context.Context, doc document) error {
	value := doc.encode()
	return untilDone(ctx, s.failures, func() error {
		rev, err := s.store.Put(ctx, s.key, value, s.rev)
		if errors.Is(err, record.ErrConflict) {
			// An earlier try may have succeeded although its answer was lost.
			current, currentRev, readErr := s.store.Get(ctx, s.key)
			switch {
			case readErr != nil && !errors.Is(readErr, record.ErrNotFound):
				return fmt.Errorf("read delivery state: %w", readErr)
			case readErr == nil && bytes.Equal(current, value):
				rev, err = currentRev, nil
			}
		}
		if err != nil {
			return fmt.Errorf("write delivery state: %w", err)
		}
		s.doc, s.rev = doc, rev
		return nil
	})
}

// encode leaves the characters of HTML as they are: a pending flush of 500 partitions must stay
// below NATS's default max_payload.
func (d document) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		panic("BUG: delivery state: " + err.Error())
	}
	return b.Bytes()
}

// decide writes the pending flush.
func (s *state) decide(ctx context.Context, in *pendingFlush) error {
	doc := s.doc
	doc.Pending = in
	return s.write(ctx, doc)
}

// commit writes that everything up to last is delivered, and that no flush is pending.
func (s *state) commit(ctx context.Context, last uint64) error {
	doc := s.doc
	doc.Delivered, doc.Pending = last, nil
	return s.write(ctx, doc)
}

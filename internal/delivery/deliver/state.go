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
const documentFormat = 2 // 1 knew no conversion

// document is the state of a shard's delivery. It is written only with its current
// revision, so each write is at once a decision, its commit, and the proof that no other
// worker has taken over.
//
// What recovery relies on: every object that may ever have been put for the range of the
// intent is in Objects. Transforming again may give other kinds of objects than before,
// since the function, the directory or the destination can have changed. So
//
//   - an object of the intent keeps its bucket, key and compression, and the cut its
//     conversion, whatever the destination says now;
//   - an object of the intent that has no records now is put empty: it may stand in the
//     bucket with records that are now in another object;
//   - an object that is not in the intent gets a name from the destination of now, and
//     the intent is written again with it before it is put.
type document struct {
	Format int `json:"format"`
	// Owner tells one worker's writes from another's, also when they are otherwise equal.
	Owner     string  `json:"owner"`
	Delivered uint64  `json:"delivered"` // every frame up to here is done with
	Intent    *intent `json:"intent"`
}

// intent is a cut that was decided on.
type intent struct {
	First   uint64    `json:"first"`
	Last    uint64    `json:"last"`
	Decided time.Time `json:"decided"`
	Objects []target  `json:"objects"`
	// Conversion is the cut's; nil is none.
	Conversion *Conversion `json:"conversion,omitempty"`
}

// target is an object of an intent.
type target struct {
	// Part is the kind of object and, behind NULs, the values of its partition keys.
	Part        string `json:"part"`
	Bucket      string `json:"bucket"`
	Key         string `json:"key"`
	Compression string `json:"compression,omitempty"` // or layout.Parquet
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
			return nil, fmt.Errorf("%w: delivery of %s has format %d, this version knows %d: it was written by a newer stagelog",
				errState, key, s.doc.Format, documentFormat)
		}
		s.rev = rev
	}
	s.doc.Format, s.doc.Owner = documentFormat, owner
	return s, s.write(ctx, s.doc)
}

// errState: the document cannot be used, and trying again will not change that.
var errState = errors.New("delivery state cannot be used")

// write writes the document until it works. It wraps record.ErrConflict when another
// worker has taken over.
func (s *state) write(ctx context.Context, doc document) error {
	value := doc.encode()
	return untilDone(ctx, s.failures, func() error {
		rev, err := s.store.Put(ctx, s.key, value, s.rev)
		if errors.Is(err, record.ErrConflict) {
			// A try before may have worked without telling.
			stands, standsRev, readErr := s.store.Get(ctx, s.key)
			switch {
			case readErr != nil && !errors.Is(readErr, record.ErrNotFound):
				return fmt.Errorf("read delivery state: %w", readErr)
			case readErr == nil && bytes.Equal(stands, value):
				rev, err = standsRev, nil
			}
		}
		if err != nil {
			return fmt.Errorf("write delivery state: %w", err)
		}
		s.doc, s.rev = doc, rev
		return nil
	})
}

// encode leaves the characters of HTML as they are: an intent of 500 partitions must stay
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

// decide writes the intent.
func (s *state) decide(ctx context.Context, in *intent) error {
	doc := s.doc
	doc.Intent = in
	return s.write(ctx, doc)
}

// commit writes that everything up to last is delivered.
func (s *state) commit(ctx context.Context, last uint64) error {
	doc := s.doc
	doc.Delivered, doc.Intent = last, nil
	return s.write(ctx, doc)
}

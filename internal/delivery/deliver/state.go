package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/record"
)

// documentFormat is the newest format of the document that this version supports.
const documentFormat = 3 // 2 had no checksums of frames, 1 no conversion

// document is the delivery state of a shard. It is written only with its current revision, so
// a successful write also proves that no other worker has taken over.
//
// Recovery relies on this invariant: every object that may ever have been put for the range of
// the pending flush is listed in Objects. Transforming the range again may produce other kinds of
// objects, because the function, the usage plan index or the destination may have changed. So
//
//   - an object of the pending flush keeps its bucket, key and compression, and the flush its
//     conversion, whatever the destination is now;
//   - an object of the pending flush that has no records now is put empty: the bucket may hold an
//     earlier version with records that are now in another object;
//   - an object that is not in the pending flush is named by the current destination, and the
//     pending flush is written again with it before it is put.
type document struct {
	Format int `json:"format"`
	// Owner distinguishes the writes of workers that are otherwise equal.
	Owner     string        `json:"owner"`
	Delivered uint64        `json:"delivered"` // sequence of the last delivered frame
	Pending   *pendingFlush `json:"intent"`
	// Known is the sequence of a frame that stays in the log, and Sum its record.FrameSum: a log that
	// has another frame at that place is another log. 0 means that there is none.
	Known uint64 `json:"known,omitempty"`
	Sum   uint32 `json:"sum,omitempty"`
	// Epoch is part of the objects' names. It changes whenever sequence numbers may name other frames
	// than before, so that no object is overwritten by one with other records.
	Epoch string `json:"epoch,omitempty"`
}

// pendingFlush describes a flush whose objects may have been put in part.
type pendingFlush struct {
	First   uint64    `json:"first"`
	Last    uint64    `json:"last"`
	Decided time.Time `json:"decided"`
	Objects []target  `json:"objects"`
	// Sum is a checksum of the record.FrameSums of all frames. 0 means unknown.
	Sum uint32 `json:"sum,omitempty"`
	// Conversion of the flush; nil means none.
	Conversion *Conversion `json:"conversion,omitempty"`
}

// target is an object of a pending flush.
type target struct {
	// Part is the kind of object, followed by the values of its partition keys, separated by NULs.
	Part        string `json:"part"`
	Bucket      string `json:"bucket"`
	Key         string `json:"key"`
	Compression string `json:"compression,omitempty"` // or objectkey.Parquet
}

// stateKey returns the key of the shard's document.
func stateKey(stream string, shard int) string { return fmt.Sprintf("%s/%d", stream, shard) }

// leaseKey returns the key of the shard's lease.
func leaseKey(stream string, shard int) string { return fmt.Sprintf("%s/%d/lease", stream, shard) }

// Create writes the document of a new shard. Call it before the shard's log has frames: a log that has
// frames but no document has lost it.
func Create(ctx context.Context, store record.Store, stream string, shard int) error {
	doc := document{Format: documentFormat}
	if _, err := store.Put(ctx, stateKey(stream, shard), doc.encode(), 0); err != nil && !errors.Is(err, record.ErrConflict) {
		return fmt.Errorf("create delivery state of %s/%d: %w", stream, shard, err)
	}
	return nil
}

// Forget removes the document of a deleted stream's shard. Call it before deleting the shard's
// log: a document left behind would make a new stream of that name skip its first records.
func Forget(ctx context.Context, store record.Store, stream string, shard int) error {
	if err := store.Delete(ctx, stateKey(stream, shard)); err != nil {
		return fmt.Errorf("delete delivery state of %s/%d: %w", stream, shard, err)
	}
	return nil
}

// state is the document as this worker last wrote it. It is used by one goroutine at a time.
type state struct {
	store    record.Store
	key      string
	failures *failurelog.Log
	doc      document
	rev      uint64
	missing  bool // there was no usable document
}

// take reads the document and makes this worker its owner, which stops any other. It retries
// only the write.
func take(ctx context.Context, store record.Store, key, owner string, failures *failurelog.Log) (*state, error) {
	s := &state{store: store, key: key, failures: failures}
	value, rev, err := store.Get(ctx, key)
	switch {
	case errors.Is(err, record.ErrNotFound):
		s.missing = true
	case err != nil:
		return nil, fmt.Errorf("read delivery state: %w", err)
	default:
		s.rev = rev
		if json.Unmarshal(value, &s.doc) != nil || s.doc.Format < 1 {
			s.doc, s.missing = document{}, true
		}
		if s.doc.Format > documentFormat {
			return nil, fmt.Errorf("%w: format %d of %s is newer than %d, the newest that this version supports; upgrade stagelog",
				errState, s.doc.Format, key, documentFormat)
		}
	}
	s.doc.Format, s.doc.Owner = documentFormat, owner
	if s.missing {
		return s, nil // written by compare, which reports it first
	}
	return s, s.write(ctx, s.doc)
}

// errState marks a document that cannot be used; retrying does not help.
var errState = errors.New("unusable delivery state")

// write writes the document and retries until it succeeds. The error wraps record.ErrConflict if
// another worker has taken over.
func (s *state) write(ctx context.Context, doc document) error {
	value := doc.encode()
	return untilDone(ctx, s.failures, func() error {
		rev, err := s.store.Put(ctx, s.key, value, s.rev)
		if errors.Is(err, record.ErrConflict) {
			// An earlier attempt may have succeeded although its response was lost.
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

// encode marshals the document without escaping HTML characters: a pending flush of 500 partitions
// must stay below NATS's default max_payload.
func (d document) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		panic("BUG: delivery state: " + err.Error())
	}
	return b.Bytes()
}

// decide records the pending flush of f.
func (s *state) decide(ctx context.Context, f *flush, in *pendingFlush) error {
	doc := s.doc
	doc.Pending = in
	if doc.Sum == 0 {
		doc.Known, doc.Sum = f.known, f.knownSum
	}
	return s.write(ctx, doc)
}

// commit records that everything up to last is delivered and that no flush is pending. sum is the
// record.FrameSum of that frame.
func (s *state) commit(ctx context.Context, last uint64, sum uint32) error {
	doc := s.doc
	doc.Delivered, doc.Pending = last, nil
	doc.Known, doc.Sum = last, sum
	return s.write(ctx, doc)
}

// restart records that delivery goes on after the frame delivered, without a pending flush and with
// new object names. sum is the record.FrameSum of the frame known; 0 means that none is known.
func (s *state) restart(ctx context.Context, delivered, known uint64, sum uint32) error {
	doc := s.doc
	doc.Delivered, doc.Pending = delivered, nil
	if doc.Known, doc.Sum = known, sum; sum == 0 {
		doc.Known = 0
	}
	doc.Epoch = uuid.NewString()
	return s.write(ctx, doc)
}

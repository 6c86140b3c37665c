// Package record is the word for what a stream carries: a record is the bytes of one
// PutRecord, a batch is records that arrived together, and a frame is how a batch is
// stored. It also holds the limits that every room agrees on, the id that a caller is
// given for a record, and the sentinel errors that the rooms beside the store name.
//
// The package is pure: no I/O, no clock, no state.
package record

import (
	"errors"
	"time"
)

// Limits of one record and one batch.
const (
	// MaxBytes is the most bytes of one record, before base64: 1,000 KiB (Firehose's quota).
	MaxBytes = 1_024_000
	// MaxBatchRecords is the most records of one PutRecordBatch (Firehose's quota).
	MaxBatchRecords = 500
	// MaxBatchBytes is the most bytes of one PutRecordBatch, summed over its records,
	// before base64: 4 MiB (Firehose's quota).
	MaxBatchBytes = 4 << 20
	// MaxFrameBytes is the most bytes of one stored frame. It holds any one record and
	// stays below NATS's default max_payload of 1,048,576 with room for the headers.
	MaxFrameBytes = 1_040_000
)

// Errors of the durable store, here so that every room can name them. The store returns
// errors that wrap them.
var (
	// ErrNotFound: there is no such key.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the revision is not the current one, so somebody else has written.
	ErrConflict = errors.New("revision is not current")
	// ErrFull: the disk or the quota is reached. Nothing was stored; it may be tried again later.
	ErrFull = errors.New("buffer is full")
	// ErrFrame: the bytes are not a frame, or not the frame that was written.
	ErrFrame = errors.New("not a valid frame")
)

// Batch is records that arrived together, in order.
type Batch struct {
	Arrived time.Time // stored to the millisecond
	Records [][]byte
}

// Package record defines what a stream carries: a record is the data of one PutRecord, a batch is
// a group of records that arrived together, and a frame is the stored form of a batch. It also
// defines the limits that all packages share, the record id returned to callers, and the sentinel
// errors of the store.
//
// The package is pure: no I/O, no clock, no state.
package record

import (
	"errors"
	"time"
)

// Limits of one record and one batch.
const (
	// MaxBytes limits one record, before base64: 1,000 KiB (Firehose's quota).
	MaxBytes = 1_024_000
	// MaxBatchRecords limits the records of one PutRecordBatch (Firehose's quota).
	MaxBatchRecords = 500
	// MaxBatchBytes limits the total size of the records of one PutRecordBatch, before base64:
	// 4 MiB (Firehose's quota).
	MaxBatchBytes = 4 << 20
	// MaxFrameBytes limits one stored frame. It fits any single record, and leaves room for the
	// headers below NATS's default max_payload of 1,048,576.
	MaxFrameBytes = 1_040_000
)

// Errors of the durable store, defined here so that all packages can compare them. The store
// returns errors that wrap them.
var (
	// ErrNotFound means that there is no such key.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that the revision is not the current one: another writer was faster.
	ErrConflict = errors.New("revision is not current")
	// ErrFull means that the disk or the quota is full. Nothing was stored; retry later.
	ErrFull = errors.New("buffer is full")
	// ErrReplaced means that a log no longer has frames that it had.
	ErrReplaced = errors.New("the log was replaced or shortened")
	// ErrFrame means that the bytes are not a frame, or a damaged one.
	ErrFrame = errors.New("not a valid frame")
)

// Batch holds records that arrived together, in order.
type Batch struct {
	Arrived time.Time // stored to the millisecond
	Records [][]byte
}

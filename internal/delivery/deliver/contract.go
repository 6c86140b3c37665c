package deliver

import (
	"context"
	"io"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/record"
)

// Destination describes the S3 destination of a stream in the newest version of its configuration.
type Destination struct {
	Stream    string
	StreamARN string
	Version   int // of the configuration; part of the object names

	Bucket      string
	Prefix      string // "" means yyyy/MM/dd/HH/
	ErrorPrefix string // "" means below Prefix
	// Size is the number of bytes, before compression, that closes a flush. By default 5 MiB.
	Size int64
	// Interval is the age that closes a flush. 0 means Firehose's zero buffering: one second.
	Interval      time.Duration
	Compression   string         // a CompressionFormat; "" is UNCOMPRESSED
	FileExtension string         // replaces the compression's unless ""
	Zone          *time.Location // of prefixes and names; nil is UTC
	Backup        *Backup        // second destination of every source record; nil means none
	// Partitioning writes one object for each combination of values of the partition keys that
	// Prefix contains.
	Partitioning bool
	// AppendDelimiter appends a newline to each good record that does not end in one.
	AppendDelimiter bool
	Conversion      *Conversion // of good records to Parquet; nil means none

	FunctionARN string // "" delivers records unchanged
	// Retries is how many times a failed call of the function is retried before its records
	// go to the error output.
	Retries int
	// FunctionBytes limits the bytes of records that are gathered from several frames for one call of the
	// function; FunctionInterval limits their age. 0 calls the function once for each frame.
	FunctionBytes    int64
	FunctionInterval time.Duration
}

// Backup is the destination of the unchanged source records, flushed together with the others.
type Backup struct {
	Bucket, Prefix, ErrorPrefix, Compression string
}

// Conversion describes the conversion of good records to Parquet files (Firehose's record format conversion).
type Conversion struct {
	Columns     []parquet.Column       `json:"columns,omitempty"`
	Compression string                 `json:"compression,omitempty"` // of the Parquet pages
	Table       objectkey.CatalogTable `json:"table"`                 // source of the columns
	// Code is the reason why there are no columns, or "". If set, every good record goes to the error output with it.
	Code    record.ErrorCode `json:"code,omitempty"`
	Message string           `json:"message,omitempty"`
}

// Log is the durable log of the shard. Its frames are numbered from 1. A number that is missing, or
// whose frame is a record.LostFrame, is one that storage has lost.
type Log interface {
	// Read calls fn with each frame, in order, starting at sequence from, and waits for new ones.
	// It returns when ctx ends, or with fn's error unchanged. If no frame arrived during a
	// tick, it calls fn with a nil frame. The frame is valid only during fn. The error wraps
	// record.ErrReplaced if the log no longer has the frames that were read.
	Read(ctx context.Context, from uint64, tick time.Duration, fn func(seq uint64, frame []byte) error) error
	// Range returns the oldest and the newest sequence. An empty log has last = first-1; last is 0 if
	// it never had a frame.
	Range(ctx context.Context) (first, last uint64, err error)
	// Frame returns a copy of one frame. The error wraps record.ErrNotFound if it is missing.
	Frame(ctx context.Context, seq uint64) ([]byte, error)
	// Records returns the number of acknowledged records in the frames from first to last, and false
	// if it is not known for each of them.
	Records(first, last uint64) (n int64, known bool)
	// Trim deletes the frames before upTo. That frame stays, as proof that the log is still the same
	// one. Trim may be lazy and may be repeated.
	Trim(ctx context.Context, upTo uint64) error
}

// Sink stores objects. Every error is treated as temporary and the put is retried. After an
// error the object may or may not exist.
type Sink interface {
	// Put stores one object of m.Size bytes and returns once it is durable. Calling it again
	// replaces the object. It may run in parallel.
	Put(ctx context.Context, bucket, key string, body io.ReadSeeker, m record.Meta) error
	// Exists reports whether there is such an object.
	Exists(ctx context.Context, bucket, key string) (bool, error)
}

// Transformer calls the stream's function.
type Transformer interface {
	// Transform returns one Result for each record, in order, appended to out[:0]. After an error
	// the call is retried, unless the error is a *record.CallError that is not Retryable. When the
	// retries are used up, every record fails with the code of the *record.CallError or, by default,
	// record.CodeFunctionError. Transform may run in parallel, may receive the same records again in
	// other batches, and must not keep b.
	Transform(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error)
}

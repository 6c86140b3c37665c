package deliver

import (
	"context"
	"io"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/record"
)

// Destination is the S3 destination of a stream, by the newest version of its configuration.
type Destination struct {
	Stream    string
	StreamARN string
	Version   int // of the configuration; it is part of the object names

	Bucket      string
	Prefix      string // "" is yyyy/MM/dd/HH/
	ErrorPrefix string // "" is below Prefix
	// Size is the number of bytes, before compression, that closes a flush. By default 5 MiB.
	Size int64
	// Interval is the age that closes a flush. 0 is Firehose's zero buffering: a second.
	Interval      time.Duration
	Compression   string         // a CompressionFormat; "" is UNCOMPRESSED
	FileExtension string         // replaces the compression's when not ""
	Zone          *time.Location // of prefixes and names; nil is UTC
	Backup        *Backup        // where every source record goes too; nil is nowhere
	// Partitioning puts records into one object per value of the partition keys that
	// Prefix names.
	Partitioning bool
	// AppendDelimiter puts a newline after each good record that does not end in one.
	AppendDelimiter bool
	Conversion      *Conversion // of good records to Parquet; nil is none

	FunctionARN string // "" delivers records as they are
	// Retries is how often a failed call of the function is repeated before its records
	// go to the error output.
	Retries int
	// FunctionBytes gathers the records of several frames for one call of the function, up
	// to so many bytes, for FunctionInterval at most. 0 calls it with each frame.
	FunctionBytes    int64
	FunctionInterval time.Duration
}

// Backup is the destination of the unchanged source records, flushed together with the others.
type Backup struct {
	Bucket, Prefix, ErrorPrefix, Compression string
}

// Conversion makes Parquet files of good records: Firehose's record format conversion.
type Conversion struct {
	Columns     []parquet.Column       `json:"columns,omitempty"`
	Compression string                 `json:"compression,omitempty"` // of the files' pages
	Table       objectkey.CatalogTable `json:"table"`                 // where the columns are from
	// Code, when it is not "", says why there are no columns. Every good record goes to the error output with it then.
	Code    record.ErrorCode `json:"code,omitempty"`
	Message string           `json:"message,omitempty"`
}

// Log is the durable frames of the shard, numbered from 1 without gaps.
type Log interface {
	// Read calls fn with each frame from sequence from on, in order, waiting for new ones,
	// until ctx ends or fn returns an error, which it returns as it is. When no frame came
	// for a tick it calls fn with a nil frame. The frame is valid only during fn.
	Read(ctx context.Context, from uint64, tick time.Duration, fn func(seq uint64, frame []byte) error) error
	// Last is the newest sequence, 0 when there never was a frame.
	Last(ctx context.Context) (uint64, error)
	// Trim forgets frames up to upTo. It may be lazy and may be repeated.
	Trim(ctx context.Context, upTo uint64) error
}

// Sink stores objects. Every error is taken as passing, and the put repeated. After an
// error the object may be there or not.
type Sink interface {
	// Put stores one object of m.Size bytes and returns once it is durable. Repeating it
	// replaces the object. It may run in parallel.
	Put(ctx context.Context, bucket, key string, body io.ReadSeeker, m record.Meta) error
}

// Transformer is the stream's function.
type Transformer interface {
	// Transform returns one Result for each record, in order, appended to out[:0]. An error means
	// that the call as a whole failed: it is repeated, except when it is a *record.CallError that is
	// not Retryable, and finally every record of it fails with the code of the *record.CallError, or
	// with record.CodeFunctionError. It may run in parallel, and the same records may come again, in
	// other batches. It may not keep b.
	Transform(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error)
}

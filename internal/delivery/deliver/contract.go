package deliver

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/record"
)

// Destination is where and how a stream is delivered: its S3 destination, as the newest
// version of its configuration says.
type Destination struct {
	Stream    string
	StreamARN string
	Version   int // of the configuration; it is part of the object names

	Bucket      string
	Prefix      string // "" is yyyy/MM/dd/HH/
	ErrorPrefix string // "" is below Prefix
	// Size is how many bytes, before compression, close a cut. By default 5 MiB.
	Size int64
	// Interval is the age that closes a cut. 0 is Firehose's zero buffering: a second.
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

// Backup is where source records go, as they came, cut together with the others.
type Backup struct {
	Bucket, Prefix, ErrorPrefix, Compression string
}

// Conversion makes Parquet files of good records: Firehose's record format conversion.
type Conversion struct {
	Columns     []parquet.Column       `json:"columns,omitempty"`
	Compression string                 `json:"compression,omitempty"` // of the files' pages
	Table       objectkey.CatalogTable `json:"table"`                 // where the columns are from
	// Code, when it is not "", says why there are no columns. Every good record goes to the error output with it then.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
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
	// Transform answers one Result per record, in order, appended to out[:0]. An error
	// means that the call as a whole failed: it is repeated, and finally every record of
	// it fails with the error's code if it is a *CallError. It may run in parallel, and the
	// same records may come again, in other batches. It may not keep b.
	Transform(ctx context.Context, call Call, b record.Batch, out []Result) ([]Result, error)
}

// Call is what a Transformer may want to know beside the records.
type Call struct {
	StreamARN   string
	FunctionARN string
	// IDs gives the id of record i, the same whenever it comes.
	IDs func(i int) string
	// Arrived gives the arrival of record i; b.Arrived is the oldest.
	Arrived func(i int) time.Time
	// Scratch is memory that the Transformer may build its results in: it may replace and
	// grow it. It is the call's alone until the results have been used.
	Scratch *[]byte
}

// Status is what became of a record.
type Status uint8

// The statuses, as a function names them: Ok, Dropped, ProcessingFailed.
const (
	OK Status = iota
	Dropped
	Failed
)

// Result is the answer for one record.
type Result struct {
	Status Status
	// Data is what is delivered of an OK record. It may alias the record or the scratch.
	Data []byte
	// Code and Message say why a record Failed; by default those of CodeProcessingFailed.
	// They must not hold the record's content.
	Code, Message string
	// Partition is the partition keys of an OK record.
	Partition map[string]string
	// Attempts is how many calls it took, 0 for this one's.
	Attempts int
}

// CallError is a failed call with the code and message that its records get in the error
// output, if it stays failed.
type CallError struct {
	Code, Message string
	Err           error // what happened; may be nil
}

// Error is the code and what happened.
func (e *CallError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Err)
	}
	return e.Code + ": " + e.Message
}

// Unwrap is what happened.
func (e *CallError) Unwrap() error { return e.Err }

// Codes of failed records, and Firehose's messages for them.
const (
	CodeFunctionError    = "Lambda.FunctionError"
	CodeTimedOut         = "Lambda.FunctionTimedOut"
	CodeLimitExceeded    = "Lambda.InvokeLimitExceeded"
	CodeMissingRecord    = "Lambda.MissingRecordId"
	CodeDuplicatedRecord = "Lambda.DuplicatedRecordId"
	CodeProcessingFailed = "Lambda.ProcessingFailedStatus"
	CodeInvalidReturn    = "Lambda.InvalidReturnFormat"
	CodePartitionKeys    = "DynamicPartitioning.MetadataExtractionFailed"
	// CodeTooManyPartitions is for the records beyond 500 active partitions.
	CodeTooManyPartitions = "DynamicPartitioning.ActivePartitionsLimitExceeded"
	// CodeNoTable is for all records, when the table of the conversion's schema is not in the catalog.
	CodeNoTable       = "DataFormatConversion.EntityNotFound"
	CodeInvalidSchema = "DataFormatConversion.InvalidSchema"
	CodeMalformedData = "DataFormatConversion.MalformedData"
	// CodeCorruptFrame is ours: the stored frame cannot be read, and is kept whole.
	CodeCorruptFrame = "Stagelog.CorruptFrame"

	MessageFunctionError     = "The Lambda function was successfully invoked but it returned an error result."
	MessageTimedOut          = "The Lambda function invocation timed out. Increase the Timeout setting in the Lambda function."
	MessageMissingRecord     = "One or more record Ids were not returned. Ensure that the Lambda function returns all received record Ids."
	MessageDuplicatedRecord  = "Multiple records were returned with the same record Id. Ensure that the Lambda function returns a unique record Id for each record."
	MessageProcessingFailed  = "ProcessingFailed status set for record"
	MessageInvalidReturn     = "The data field cannot be null when the SourceType is DirectPut or KinesisStreamAsSource and processing result is Ok. The value field cannot be null when the SourceType is MSKAsSource and processing result is Ok."
	MessagePartitionKeys     = "partitionKeys values must not be null or empty"
	MessageNoTable           = "The specified table/database could not be found. Please ensure that the table/database exists and that the values provided in the schema configuration are correct, especially with regards to casing."
	MessageTooManyPartitions = "The number of active partitions is over the limit of 500"
)

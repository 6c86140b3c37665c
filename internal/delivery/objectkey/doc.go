// Package objectkey is the word for where a delivered record lives in the bucket: prefix
// expressions with their timestamps in Java's patterns, object names, the extension and
// encoding of each compression, and the JSON envelope of a record in the error output.
// All of it is Firehose's, so that what reads Firehose's objects reads ours.
//
// The package is pure: no I/O, no clock, no randomness of its own. A name is a function
// of what it is given, so that a put that is repeated after a crash overwrites itself.
package objectkey

// Invalid is a prefix or a pair of prefixes that Firehose refuses. Message is Firehose's
// own where it is known; it goes into an InvalidArgumentException as it is.
type Invalid struct {
	Message string
}

// Error is the message.
func (e *Invalid) Error() string { return e.Message }

// The values of !{firehose:error-output-type} that this chain writes.
const (
	// ConversionFailed is for records that do not fit the schema of their format conversion.
	ConversionFailed = "format-conversion-failed"
	// ProcessingFailed is for records that the function failed on.
	ProcessingFailed = "processing-failed"
	// PartitioningFailed is for records without the partition keys that the prefix names,
	// or beyond the most partitions that may be active.
	PartitioningFailed = "dynamic-partitioning-failed"
)

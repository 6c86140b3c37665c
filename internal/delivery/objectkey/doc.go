// Package objectkey decides where delivered records are stored in the bucket: prefix
// expressions with timestamps in Java's patterns, object names, the extension and
// encoding of each compression, and the JSON envelope of a record in the error output.
// All of it matches Firehose, so programs that read Firehose's objects can read ours.
//
// The package has no I/O, no clock and no randomness of its own. A name depends only on
// its arguments, so a put that is repeated after a crash overwrites the same object.
package objectkey

// Invalid reports a prefix or a pair of prefixes that Firehose rejects. Message is
// Firehose's own text where it is known, ready for an InvalidArgumentException.
type Invalid struct {
	Message string
}

// Error returns the message.
func (e *Invalid) Error() string { return e.Message }

// The values of !{firehose:error-output-type} that this pipeline writes.
const (
	// ConversionFailed is for records that do not fit the schema of their format conversion.
	ConversionFailed = "format-conversion-failed"
	// ProcessingFailed is for records that the function failed on.
	ProcessingFailed = "processing-failed"
	// PartitioningFailed is for records without the partition keys in the prefix, or beyond the
	// limit of active partitions.
	PartitioningFailed = "dynamic-partitioning-failed"
)

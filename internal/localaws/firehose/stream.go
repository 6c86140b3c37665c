package firehose

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Statuses of a stream. Creation is immediate; DELETING lasts while undelivered records are discarded.
const (
	StatusActive   = "ACTIVE"
	StatusDeleting = "DELETING"
)

// destinationID is the id of the only destination of every stream, as on AWS.
const destinationID = "destinationId-000000000001"

// Stream is the definition of a delivery stream. It is immutable: a change creates another Stream.
type Stream struct {
	Name           string
	ARN            string
	Status         string
	VersionID      string // a number that increases by one with every UpdateDestination; part of object names
	Created        time.Time
	Updated        time.Time // zero until the first UpdateDestination
	ThroughputHint int       `json:",omitempty"` // MB/s, set by the user, informational
	Destination    ExtendedS3Destination
	Tags           []Tag `json:",omitempty"` // by key
}

// Version returns VersionID as a number.
func (s Stream) Version() int {
	n, _ := strconv.Atoi(s.VersionID) // always a number
	return n
}

// Tag is a label of a stream.
type Tag struct {
	Key   string
	Value string
}

// BufferingHints say when an object is closed, whichever comes first.
type BufferingHints struct {
	SizeInMBs         int // of 1,048,576 bytes, before compression
	IntervalInSeconds int
}

// Encryption is the encryption of objects, which is always that of the bucket.
type Encryption struct{ NoEncryptionConfig string }

// CloudWatchLogging is stored for Describe only. Delivery errors go to this process's log.
type CloudWatchLogging struct {
	Enabled       bool
	LogGroupName  string `json:",omitempty"`
	LogStreamName string `json:",omitempty"`
}

// S3Destination holds the settings common to all destinations in S3, with the defaults filled in. "" is
// unset. The JSON is the API's.
type S3Destination struct {
	RoleARN                  string
	BucketARN                string
	Prefix                   string `json:",omitempty"`
	ErrorOutputPrefix        string `json:",omitempty"`
	BufferingHints           BufferingHints
	CompressionFormat        string // UNCOMPRESSED, GZIP, ZIP, Snappy or HADOOP_SNAPPY
	EncryptionConfiguration  Encryption
	CloudWatchLoggingOptions CloudWatchLogging
}

// Bucket returns the name of the bucket.
func (d S3Destination) Bucket() string {
	return d.BucketARN[strings.LastIndexByte(d.BucketARN, ':')+1:]
}

// Interval returns the buffering interval.
func (d S3Destination) Interval() time.Duration {
	return time.Duration(d.BufferingHints.IntervalInSeconds) * time.Second
}

// SizeBytes returns the buffering size in bytes.
func (d S3Destination) SizeBytes() int64 { return int64(d.BufferingHints.SizeInMBs) << 20 }

// ExtendedS3Destination is the destination of a stream, with the defaults filled in.
type ExtendedS3Destination struct {
	S3Destination
	ProcessingConfiguration           *Processing          `json:",omitempty"`
	S3BackupMode                      string               // Disabled or Enabled
	S3BackupDescription               *S3Destination       `json:",omitempty"` // used with S3BackupMode Enabled
	DataFormatConversionConfiguration *FormatConversion    `json:",omitempty"`
	DynamicPartitioningConfiguration  *DynamicPartitioning `json:",omitempty"`
	FileExtension                     string               `json:",omitempty"`
	CustomTimeZone                    string               `json:",omitempty"`
}

// DynamicPartitioning puts records under prefixes by keys that the function returns.
type DynamicPartitioning struct {
	Enabled      bool
	RetryOptions RetryOptions
}

// RetryOptions bound the retries of delivery on AWS. Here delivery retries until it succeeds.
type RetryOptions struct{ DurationInSeconds int }

// Processing holds the steps that process records before delivery, in order.
type Processing struct {
	Enabled    bool
	Processors []Processor `json:",omitempty"`
}

// Processor is one step of Processing.
type Processor struct {
	Type       string
	Parameters []Parameter `json:",omitempty"`
}

// Parameter is one setting of a Processor.
type Parameter struct{ ParameterName, ParameterValue string }

func (p Processor) get(name string) (string, bool) {
	for _, param := range p.Parameters {
		if param.ParameterName == name {
			return param.ParameterValue, true
		}
	}
	return "", false
}

// Lambda is the function that processes a stream's records.
type Lambda struct {
	ARN      string // with its qualifier, if any
	Retries  int    // of a failed invocation, beyond the first try
	Bytes    int64  // of records in one invocation
	Interval time.Duration
}

// Lambda returns the destination's function, and whether it has one.
func (d ExtendedS3Destination) Lambda() (l Lambda, ok bool) {
	p, ok := d.enabled("Lambda")
	if !ok {
		return Lambda{}, false
	}
	// The values were validated when they were set.
	l.ARN, _ = p.get("LambdaArn")
	retries, _ := p.get("NumberOfRetries")
	l.Retries, _ = strconv.Atoi(retries)
	size, _ := p.get("BufferSizeInMBs")
	mb, _ := strconv.ParseFloat(size, 64)
	l.Bytes = int64(mb * (1 << 20))
	interval, _ := p.get("BufferIntervalInSeconds")
	seconds, _ := strconv.Atoi(interval)
	l.Interval = time.Duration(seconds) * time.Second
	return l, true
}

// AppendsDelimiter reports whether a newline is appended to each record.
func (d ExtendedS3Destination) AppendsDelimiter() bool {
	_, ok := d.enabled("AppendDelimiterToRecord")
	return ok
}

// Backup returns the destination of unprocessed source records; nil for none.
func (d ExtendedS3Destination) Backup() *S3Destination {
	if d.S3BackupMode != "Enabled" {
		return nil
	}
	return d.S3BackupDescription
}

// Partitioning reports whether objects are partitioned by keys of the records.
func (d ExtendedS3Destination) Partitioning() bool {
	return d.DynamicPartitioningConfiguration != nil && d.DynamicPartitioningConfiguration.Enabled
}

// Conversion returns the conversion of records to Parquet; nil for none.
func (d ExtendedS3Destination) Conversion() *FormatConversion {
	if c := d.DataFormatConversionConfiguration; c != nil && c.Enabled {
		return c
	}
	return nil
}

// Zone returns the time zone of prefixes and object names.
func (d ExtendedS3Destination) Zone() *time.Location {
	if d.CustomTimeZone == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(d.CustomTimeZone)
	if err != nil {
		return time.UTC // it was valid when it was set; the machine's zones have changed
	}
	return zone
}

func (d ExtendedS3Destination) enabled(kind string) (Processor, bool) {
	if d.ProcessingConfiguration == nil || !d.ProcessingConfiguration.Enabled {
		return Processor{}, false
	}
	i := slices.IndexFunc(d.ProcessingConfiguration.Processors, func(p Processor) bool { return p.Type == kind })
	if i < 0 {
		return Processor{}, false
	}
	return d.ProcessingConfiguration.Processors[i], true
}

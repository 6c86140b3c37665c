package firehose

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Statuses of a stream. Creating and deleting take no time here, so others see ACTIVE, or
// DELETING for as long as the records that wait are discarded.
const (
	StatusActive   = "ACTIVE"
	StatusDeleting = "DELETING"
)

// destinationID is that of every stream's only destination, as on AWS.
const destinationID = "destinationId-000000000001"

// Stream is the definition of a delivery stream. It is a value: a changed stream is another
// one, and nothing in it is written after it was handed out.
type Stream struct {
	Name           string
	ARN            string
	Status         string
	VersionID      string // a number that grows by one with every UpdateDestination; it is part of object names
	Created        time.Time
	Updated        time.Time // zero until the first UpdateDestination
	ThroughputHint int       `json:",omitempty"` // MB/s, told by the user, for information
	Destination    ExtendedS3Destination
	Tags           []Tag `json:",omitempty"` // by key
}

// Version is VersionID as a number.
func (s Stream) Version() int {
	n, _ := strconv.Atoi(s.VersionID) // ours: it is a number
	return n
}

// Tag is a label that the user gave.
type Tag struct {
	Key   string
	Value string
}

// BufferingHints say when an object is closed, whichever comes first.
type BufferingHints struct {
	SizeInMBs         int // of 1,048,576 bytes, before compression
	IntervalInSeconds int
}

// Encryption of objects: the bucket's own, always.
type Encryption struct{ NoEncryptionConfig string }

// CloudWatchLogging is kept for Describe. Errors of delivery are in this process's log.
type CloudWatchLogging struct {
	Enabled       bool
	LogGroupName  string `json:",omitempty"`
	LogStreamName string `json:",omitempty"`
}

// S3Destination is what every destination in S3 has, with the defaults filled in. "" is
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

// Bucket is the bucket's name.
func (d S3Destination) Bucket() string {
	return d.BucketARN[strings.LastIndexByte(d.BucketARN, ':')+1:]
}

// Interval is the buffering interval.
func (d S3Destination) Interval() time.Duration {
	return time.Duration(d.BufferingHints.IntervalInSeconds) * time.Second
}

// SizeBytes is the buffering size in bytes.
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

// Processing is what is done to records before delivery, in order.
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

// Lambda is the function that a stream's records go through.
type Lambda struct {
	ARN      string // with its qualifier, if any
	Retries  int    // of a failed invocation, beyond the first try
	Bytes    int64  // of records gathered for one invocation
	Interval time.Duration
}

// Lambda is the destination's function; ok is false when it has none.
func (d ExtendedS3Destination) Lambda() (l Lambda, ok bool) {
	p, ok := d.enabled("Lambda")
	if !ok {
		return Lambda{}, false
	}
	// The values were checked when they were set.
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

// AppendsDelimiter says whether a newline goes after each record.
func (d ExtendedS3Destination) AppendsDelimiter() bool {
	_, ok := d.enabled("AppendDelimiterToRecord")
	return ok
}

// Backup is where source records go as they came; nil is nowhere.
func (d ExtendedS3Destination) Backup() *S3Destination {
	if d.S3BackupMode != "Enabled" {
		return nil
	}
	return d.S3BackupDescription
}

// Partitioning says whether objects are partitioned by keys of the records.
func (d ExtendedS3Destination) Partitioning() bool {
	return d.DynamicPartitioningConfiguration != nil && d.DynamicPartitioningConfiguration.Enabled
}

// Conversion is the conversion of records to Parquet; nil when there is none.
func (d ExtendedS3Destination) Conversion() *FormatConversion {
	if c := d.DataFormatConversionConfiguration; c != nil && c.Enabled {
		return c
	}
	return nil
}

// Zone is the time zone of prefixes and object names.
func (d ExtendedS3Destination) Zone() *time.Location {
	if d.CustomTimeZone == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(d.CustomTimeZone)
	if err != nil {
		return time.UTC // it was checked when it was set; the machine's zones have changed
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

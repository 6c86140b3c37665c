// Package config reads stagelog.yaml, the one file that describes a pipeline, for AWS and for one machine.
//
// Parse reports every problem at once, each with its line, the path of the value, what was expected and the nearest
// right name, and returns either a valid Pipeline with its defaults filled in, or Problems. What is valid but unwise is
// in Pipeline.Warnings.
//
// A text may be "env:NAME": the value of an environment variable. No message contains such a value, or an API key.
package config

import (
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/record"
)

// Defaults of a pipeline.
const (
	DefaultRegion      = "us-east-1"
	DefaultAccount     = "000000000000"
	DefaultFormat      = "usage"
	DefaultPrefix      = "logs/"
	DefaultErrorPrefix = "errors/!{firehose:error-output-type}/"
	DefaultInterval    = 60 * time.Second
	DefaultSize        = 5 * mebibyte

	DefaultArchitecture = "arm64" // of the function in AWS
	DefaultMemory       = 256     // MiB
	DefaultLogDays      = 30
)

const mebibyte int64 = 1 << 20

// Compression formats as Firehose's API names them.
const (
	Uncompressed = objectkey.Uncompressed
	GZIP         = objectkey.Gzip
	ZIP          = objectkey.Zip
	Snappy       = objectkey.Snappy
	HadoopSnappy = objectkey.HadoopSnappy
)

// Pipeline holds a valid stagelog.yaml with its defaults filled in. It is read-only.
type Pipeline struct {
	Name    string // the stream is amazon-apigateway-NAME
	Bucket  string
	Readers []string // AWS accounts, 12 digits, that may list and read the delivered objects
	Preset  string   // "" or "apiable"
	Region  string   // of the machine's AWS endpoint and of the resources in AWS
	Account string   // 12 digits: the account of the machine's AWS endpoint

	// Whether the file has the Region and the account. In AWS the credentials decide, and must agree with given values.
	RegionGiven, AccountGiven bool

	Stages     []record.StageRef // the stages in AWS that log to the stream; names here need not be in Local
	Format     string            // the access log format itself
	FormatName string            // its preset's name, or "custom"
	APIKey     string            // how the API key's value is treated: mask, hash, drop or keep
	Names      OutputNames
	Deliver    Deliver
	AWS        AWS
	Local      *Local // nil when the file has no local section

	warnings Problems
}

// LocalStages returns the stages of the local section that log to the stream: all, or those that are among Stages.
func (p *Pipeline) LocalStages() []record.StageRef {
	all := p.Local.Stages()
	if len(p.Stages) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(st record.StageRef) bool { return !slices.Contains(p.Stages, st) })
}

// OutputNames holds the names of the fields that enrichment adds; "" omits one.
type OutputNames struct {
	UsagePlan   string
	Customer    string
	UsagePlanID string
}

// Deliver holds the settings of delivery.
type Deliver struct {
	Interval    time.Duration // Firehose's IntervalInSeconds: whole seconds, 0 to 900
	Size        int64         // bytes; Firehose's SizeInMBs: whole MiB, 1 to 128
	Parquet     bool          // objects are Parquet files: Firehose's format conversion; Compression is then that of their pages
	Compression string        // as Firehose's API names it; in Parquet files Snappy, GZIP or UNCOMPRESSED
	Prefix      string
	ErrorPrefix string
}

// ErrorOutput returns the common prefix of the keys of all error objects: the error prefix up to its first expression, which
// may be "". Without an error prefix it returns Firehose's default.
func (d Deliver) ErrorOutput() string {
	if d.ErrorPrefix == "" {
		return d.Logs() + "processing-failed/"
	}
	fixed, _, _ := strings.Cut(d.ErrorPrefix, "!{")
	return fixed
}

// Logs returns the common prefix of the keys of all delivered objects.
func (d Deliver) Logs() string {
	fixed, _, _ := strings.Cut(d.Prefix, "!{")
	return fixed
}

// CompressionFormat returns the compression of whole objects by Firehose's name: Parquet files compress their own pages.
func (d Deliver) CompressionFormat() string {
	if d.Parquet {
		return Uncompressed
	}
	return d.Compression
}

// ParquetCompression returns the compression of a Parquet file's pages by its name in Firehose's ParquetSerDe.
func (d Deliver) ParquetCompression() string { return strings.ToUpper(d.Compression) }

// Columns returns the columns of the Parquet files and of their table in the Glue Data Catalog: the format's fields in
// their order, then those that enrichment adds, in lower case as the catalog has them. All are text: API Gateway writes
// "-" for a missing value, which in a numeric column would send the record to the error output.
func (p *Pipeline) Columns() []string {
	names := append(accesslog.Parse(p.Format).Names(), p.Names.UsagePlan, p.Names.Customer, p.Names.UsagePlanID)
	var columns []string
	for _, name := range names {
		if name = strings.ToLower(name); name != "" && !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	return columns
}

// Database returns the name of the pipeline's database in the Glue Data Catalog; LinesTable is its table.
func (p *Pipeline) Database() string {
	return "stagelog_" + strings.ToLower(strings.ReplaceAll(p.Name, "-", "_"))
}

// PartitionColumn names the column of the table's partitions, the dates. No field may have this name.
const PartitionColumn = "date"

// LinesTable names the table that has the columns of Columns.
const LinesTable = "lines"

// Stream returns the name of the delivery stream. API Gateway requires the prefix.
func (p *Pipeline) Stream() string { return streamPrefix + p.Name }

// Function returns the name of the enrichment function.
func (p *Pipeline) Function() string { return "stagelog-" + p.Name }

const streamPrefix = "amazon-apigateway-"

// Warnings returns warnings about valid but unwise values, in the order of the file.
func (p *Pipeline) Warnings() Problems { return p.warnings }

// Bare returns a pipeline of defaults, without name, bucket and stages. With it `stagelog up` starts with no pipeline
// configured, and clients create what they need.
func Bare() *Pipeline { return defaults() }

func defaults() *Pipeline {
	format, _ := accesslog.Preset(DefaultFormat)
	return &Pipeline{
		Region: DefaultRegion, Account: DefaultAccount,
		Format: format, FormatName: DefaultFormat, APIKey: "mask",
		Names:   OutputNames{UsagePlan: "usage_plan", Customer: "customer", UsagePlanID: "usage_plan_id"},
		Deliver: Deliver{Interval: DefaultInterval, Size: DefaultSize, Compression: GZIP, Prefix: DefaultPrefix, ErrorPrefix: DefaultErrorPrefix},
		AWS:     AWS{Memory: DefaultMemory, LogDays: DefaultLogDays, Monitoring: Monitoring{Alarms: true}},
	}
}

// usePreset replaces the defaults with those of a preset.
func (p *Pipeline) usePreset(name string) {
	if name != "apiable" {
		return
	}
	p.Preset = name
	p.Format, p.FormatName = accesslog.Apiable, "apiable"
	p.Names = OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"}
	p.Deliver.Prefix, p.Deliver.ErrorPrefix = "apiable/aws/logs/", "apiable/aws/errors/!{firehose:error-output-type}/"
}

package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// What a pipeline has where the file says nothing.
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
	Uncompressed = "UNCOMPRESSED"
	GZIP         = "GZIP"
	ZIP          = "ZIP"
	Snappy       = "Snappy"
	HadoopSnappy = "HADOOP_SNAPPY"
)

// Pipeline is a stagelog.yaml that was found right, with its defaults filled in. It does not change.
type Pipeline struct {
	Name    string // the stream is amazon-apigateway-NAME
	Bucket  string
	Readers []string // AWS accounts, 12 digits, that may list and read the delivered objects
	Preset  string   // "" or "apiable"
	Region  string   // of the machine's AWS endpoint and of the resources in AWS
	Account string   // 12 digits: the account of the machine's AWS endpoint

	// Whether the file says the Region and the account, or they are the defaults. In AWS
	// what the credentials say counts, and must agree with what is given.
	RegionGiven, AccountGiven bool

	Stages     []StageRef // the stages in AWS that log to the stream; names here need not be in Local
	Format     string     // the access log format itself
	FormatName string     // its preset's name, or "custom"
	APIKey     string     // what becomes of the API key's value: mask, hash, drop or keep
	Names      OutputNames
	Deliver    Deliver
	AWS        AWS
	Local      *Local // nil when the file has no local section

	warnings Mistakes
}

// StageRef names one stage of one API.
type StageRef struct{ API, Stage string }

// String is "api/stage", as the file has it.
func (s StageRef) String() string { return s.API + "/" + s.Stage }

// OutputNames are the fields that enrichment adds; "" leaves one out.
type OutputNames struct {
	UsagePlan   string
	Customer    string
	UsagePlanID string
}

// Deliver says when and where objects are put.
type Deliver struct {
	Interval    time.Duration // Firehose's IntervalInSeconds: whole seconds, 0 to 900
	Size        int64         // bytes; Firehose's SizeInMBs: whole MiB, 1 to 128
	Parquet     bool          // objects are Parquet files: Firehose's format conversion; Compression is then that of their pages
	Compression string        // as Firehose's API names it; in Parquet files Snappy, GZIP or UNCOMPRESSED
	Prefix      string
	ErrorPrefix string
}

// ErrorOutput is what the keys of all error objects begin with: the error prefix up to its first
// expression, which may be nothing, or where Firehose puts them when there is no prefix.
func (d Deliver) ErrorOutput() string {
	if d.ErrorPrefix == "" {
		return d.Logs() + "processing-failed/"
	}
	fixed, _, _ := strings.Cut(d.ErrorPrefix, "!{")
	return fixed
}

// Logs is what the keys of all delivered objects begin with.
func (d Deliver) Logs() string {
	fixed, _, _ := strings.Cut(d.Prefix, "!{")
	return fixed
}

// CompressionFormat is that of whole objects, in Firehose's words: Parquet files compress their own pages.
func (d Deliver) CompressionFormat() string {
	if d.Parquet {
		return Uncompressed
	}
	return d.Compression
}

// ParquetCompression is that of a Parquet file's pages, in the words of Firehose's ParquetSerDe.
func (d Deliver) ParquetCompression() string { return strings.ToUpper(d.Compression) }

// Columns are those of the Parquet files and of their table in the Glue Data Catalog: the format's fields in their
// order, then those that enrichment adds, in lower case as the catalog has them. All are text: API Gateway writes "-"
// where it has no value, and one in a column of numbers would send its record to the error output.
func (p *Pipeline) Columns() ([]string, error) {
	format, err := accesslog.Parse(p.Format)
	if err != nil {
		return nil, fmt.Errorf("the pipeline's format: %w", err)
	}
	names := append(format.Names(), p.Names.UsagePlan, p.Names.Customer, p.Names.UsagePlanID)
	var columns []string
	for _, name := range names {
		if name = strings.ToLower(name); name != "" && !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	return columns, nil
}

// Database is the pipeline's in the Glue Data Catalog; LinesTable is its table.
func (p *Pipeline) Database() string {
	return "stagelog_" + strings.ToLower(strings.ReplaceAll(p.Name, "-", "_"))
}

// LinesTable is the table whose columns are those of Columns.
const LinesTable = "lines"

// Stream is the name of the delivery stream. API Gateway logs to no stream whose name begins otherwise.
func (p *Pipeline) Stream() string { return streamPrefix + p.Name }

// Function is the name of the enrichment function.
func (p *Pipeline) Function() string { return "stagelog-" + p.Name }

// Fields says which field of a log line holds what. What the format lacks is looked for under
// the classic names: a stream that was made by hand may bring such lines, and a key's value is
// to be masked there, too.
func (p *Pipeline) Fields() (accesslog.Fields, error) {
	classic, err := accesslog.Parse(accesslog.Classic)
	if err != nil {
		return accesslog.Fields{}, fmt.Errorf("BUG: the classic format: %w", err)
	}
	fields, defaults := accesslog.Fields{}, classic.Fields()
	if p.Format != "" {
		format, err := accesslog.Parse(p.Format)
		if err != nil {
			return accesslog.Fields{}, fmt.Errorf("the pipeline's format: %w", err)
		}
		fields = format.Fields()
	}
	for _, f := range []struct {
		field *string
		value string
	}{{&fields.KeyID, defaults.KeyID}, {&fields.APIID, defaults.APIID}, {&fields.Stage, defaults.Stage}, {&fields.APIKey, defaults.APIKey}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return fields, nil
}

const streamPrefix = "amazon-apigateway-"

// Warnings is what is right and unwise, in the order of the file.
func (p *Pipeline) Warnings() Mistakes { return p.warnings }

// Bare is a pipeline that describes nothing: no name, no bucket, no stages, all defaults. With it the machine's AWS
// endpoint starts empty, and clients create what they need.
func Bare() *Pipeline { return defaults() }

func defaults() *Pipeline {
	format, _ := accesslog.Preset(DefaultFormat)
	return &Pipeline{
		Region: DefaultRegion, Account: DefaultAccount,
		Format: format, FormatName: DefaultFormat, APIKey: "mask",
		Names:   OutputNames{UsagePlan: "usage_plan", Customer: "customer", UsagePlanID: "usage_plan_id"},
		Deliver: Deliver{Interval: DefaultInterval, Size: DefaultSize, Compression: GZIP, Prefix: DefaultPrefix, ErrorPrefix: DefaultErrorPrefix},
		AWS:     AWS{Memory: DefaultMemory, LogDays: DefaultLogDays},
	}
}

// usePreset changes the defaults to those of a preset.
func (p *Pipeline) usePreset(name string) {
	if name != "apiable" {
		return
	}
	p.Preset = name
	p.Format, p.FormatName = accesslog.Apiable, "apiable"
	p.Names = OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"}
	p.Deliver.Prefix, p.Deliver.ErrorPrefix = "apiable/aws/logs/", "apiable/aws/errors/!{firehose:error-output-type}/"
}

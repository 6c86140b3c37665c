// Package price estimates the monthly cost of a pipeline in AWS.
package price

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

const (
	kilobyte      = 1 << 10
	megabyte      = 1 << 20
	gigabyte      = 1 << 30
	firehoseRound = 5 * kilobyte   // Firehose rounds each record up to a multiple of it
	month         = 30 * 24 * 3600 // seconds
)

// Assumptions about values that are not known in advance.
const (
	addedBytes   = 80    // added to a record by enrichment
	callSeconds  = 0.020 // of an invocation with up to lambdaBuffer bytes of records
	callLogBytes = 400   // of Lambda's three log lines per invocation
	lambdaBuffer = record.DefaultFunctionSizeMiB * megabyte

	// multipartBelow is the buffering interval below which Firehose puts objects as multipart uploads:
	// https://docs.aws.amazon.com/firehose/latest/dev/buffering-hints.html
	multipartBelow = time.Minute
)

// ratio is the compression ratio of access logs.
var ratio = map[string]float64{
	config.Uncompressed: 1, config.GZIP: 8, config.ZIP: 8, config.Snappy: 4, config.HadoopSnappy: 4,
}

// Estimate is the cost of a number of requests per month.
type Estimate struct {
	Requests    int64       `json:"requests_a_month"`
	Region      string      `json:"region"`
	PricesOf    string      `json:"prices_of"` // Region and date of the list prices
	Components  []Component `json:"components"`
	Total       float64     `json:"total_usd"`
	PerMillion  float64     `json:"usd_per_million_requests"`
	RecordBytes int         `json:"assumed_record_bytes"`
	Assumptions []string    `json:"assumptions"`
	Unsure      []string    `json:"unsure"` // not included, because it depends on what is not known
}

// Component is one item of AWS's bill.
type Component struct {
	Name string  `json:"name"`
	USD  float64 `json:"usd"`
	How  string  `json:"how"` // explains the amount
}

// New estimates the cost of a month with the given number of evenly distributed requests.
func New(p *config.Pipeline, region, architecture string, requests int64) Estimate {
	of, known := listed[region]
	from := region
	if !known {
		of, from = listed[fallback], fallback
	}
	e := Estimate{Requests: requests, Region: region, PricesOf: from + ", " + Date, RecordBytes: recordBytes(p.Format)}
	e.Assumptions = assumptions(e.RecordBytes, p)
	n := float64(requests)
	e.add("API Gateway", 0, "access logs are free; the price of requests does not change")

	billed := n * math.Ceil(float64(e.RecordBytes)/firehoseRound) * firehoseRound / gigabyte
	e.add("Firehose", billed*of.firehoseGB, "%.2f GB; a record of %d bytes is billed as %d KB", billed, e.RecordBytes,
		(e.RecordBytes+firehoseRound-1)/firehoseRound*5)

	if p.Deliver.Parquet {
		e.add("Format conversion", billed*of.conversionGB, "the same %.2f GB, to Parquet", billed)
	}

	calls := deliveries(n, n*float64(e.RecordBytes)/lambdaBuffer, math.Min(record.DefaultFunctionInterval.Seconds(), p.Deliver.Interval.Seconds()))
	second := of.lambdaX86
	if architecture == "arm64" {
		second = of.lambdaArm
	}
	e.add("Lambda", calls*(of.lambdaCall+callSeconds*float64(p.AWS.Memory)/1024*second), "%.0f invocations of %d MB on %s", calls, p.AWS.Memory, architecture)

	out := n * float64(e.RecordBytes+addedBytes)
	objects := deliveries(n, out/float64(p.Deliver.Size), p.Deliver.Interval.Seconds())
	puts, parts := objects, ""
	if p.Deliver.Interval < multipartBelow {
		puts, parts = 3*objects, ", as multipart uploads of three requests"
	}
	e.add("S3 writes", puts*of.s3Put, "%.0f objects, one per %.0f s or %d MiB%s", objects, p.Deliver.Interval.Seconds(), p.Deliver.Size/megabyte, parts)
	writes, reads := math.Min(calls, month/usageplan.WritesEvery.Seconds()), math.Min(calls, month/usageplan.DefaultEvery.Seconds())
	e.add("S3 usage plans", writes*of.s3Put+reads*of.s3Get, "the function's copy of the usage plans and customers: %.0f writes and %.0f reads", writes, reads)
	months, kept := 1.0, "after the first month; each further month adds the same"
	if p.AWS.ExpireDays > 0 {
		months, kept = float64(p.AWS.ExpireDays)/30, fmt.Sprintf("kept for %d days", p.AWS.ExpireDays)
	}
	stored := out / ratio[p.Deliver.Compression] * months / gigabyte
	e.add("S3 storage", stored*of.s3GBMonth, "%.2f GB %s", stored, kept)
	// The bucket's owner pays for requests of readers in other accounts.
	if readers := len(p.Readers); readers > 0 {
		e.add("S3 reads", objects*float64(readers)*of.s3Get, "each object once per reader (%d)", readers)
		e.add("Data transfer", 0, "free within the Region; you pay for transfer to readers elsewhere")
	}
	logs := calls * callLogBytes / gigabyte
	e.add("CloudWatch Logs", logs*of.cloudWatchGB, "%.3f GB of function logs", logs)
	e.addMonitoring(p, of)
	if p.AWS.KMSKey != "" {
		requests := puts + writes + reads + objects*float64(len(p.Readers))
		e.add("KMS", requests*of.kmsRequest, "at most %.0f requests to encrypt and decrypt objects; far fewer with the S3 Bucket Key that deploy turns on", requests)
	}
	e.Unsure = unsure(p)
	if requests > 0 {
		e.PerMillion = e.Total / n * 1e6
	}
	return e
}

// addMonitoring adds the alarms and the dashboard. Firehose's and Lambda's own metrics are free.
func (e *Estimate) addMonitoring(p *config.Pipeline, of prices) {
	if n := desired.AlarmCount(p); n > 0 {
		e.add("Alarms", float64(n)*of.alarmMonth, "%d CloudWatch alarms; alarms: false below aws: in stagelog.yaml saves this. The metrics are free", n)
	}
	if p.AWS.Dashboard {
		e.add("Dashboard", of.dashboard, "one CloudWatch dashboard; dashboard: false saves this")
	}
}

// unsure names the costs that the estimate does not include.
func unsure(p *config.Pipeline) []string {
	all := []string{
		"API Gateway bills each started 10 MB of a streamed response as one request, so its bill can have more requests than there are records", // https://aws.amazon.com/api-gateway/pricing/
		"each further instance of the function that runs at the same time reads the usage plans once per minute",
		"the function's metric of failed records costs up to $0.30 per month, for the hours in which records fail",
	}
	if len(p.Readers) > 0 {
		all = append(all, "readers may list the bucket and get objects more often, and transfer to other Regions is billed")
	}
	if p.AWS.KMSKey != "" {
		all = append(all, "the KMS key itself costs $1 per month unless it is used for other things already")
	}
	return all
}

func (e *Estimate) add(name string, usd float64, how string, args ...any) {
	e.Components = append(e.Components, Component{name, usd, fmt.Sprintf(how, args...)})
	e.Total += usd
}

// deliveries returns the number of deliveries per month of a buffer that is delivered when it is
// full or after the given seconds. full is the number of full buffers. Requests are evenly
// distributed, and empty buffers are not delivered.
func deliveries(requests, full, seconds float64) float64 {
	return math.Ceil(math.Max(full, math.Min(requests, month/math.Max(1, seconds))))
}

// recordBytes returns the length of a line of the format, with the catalogue's examples as values.
func recordBytes(format string) int {
	parsed := accesslog.Parse(strings.TrimSpace(format))
	line := parsed.AppendLine(nil, func(name string) (string, bool) {
		v, ok := accesslog.Explain(name)
		return v.Example, ok
	})
	return len(line) + 1 // deploy adds a newline
}

func assumptions(record int, p *config.Pipeline) []string {
	of := fmt.Sprintf("records of %d bytes, plus %d bytes from enrichment", record, addedBytes)
	if by := ratio[p.Deliver.Compression]; by > 1 {
		of += fmt.Sprintf(", compressed %.0f:1 with %s", by, p.Deliver.Compression)
	}
	return []string{
		"requests evenly distributed over a month of 30 days",
		of,
		fmt.Sprintf("%.0f ms per invocation", callSeconds*1000),
	}
}

// Text formats the estimate as a table.
func (e Estimate) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Estimated cost of %s requests per month: $%.2f ($%.2f per million)\n", count(e.Requests), e.Total, e.PerMillion)
	for _, c := range e.Components {
		fmt.Fprintf(&b, "  %-16s $%8.4f  %s\n", c.Name, c.USD, c.How)
	}
	fmt.Fprintf(&b, "  Assumptions: %s.\n", strings.Join(e.Assumptions, "; "))
	fmt.Fprintf(&b, "  Unsure and not included:\n    %s.\n", strings.Join(e.Unsure, ";\n    "))
	fmt.Fprintf(&b, "  List prices of %s, without free tiers", e.PricesOf)
	if _, known := listed[e.Region]; !known {
		fmt.Fprintf(&b, "; those of %s are not known and may be higher", e.Region)
	}
	b.WriteString(".\n")
	return b.String()
}

// count formats a number with commas.
func count(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

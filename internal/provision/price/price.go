// Package price estimates what a pipeline costs a month in AWS.
package price

import (
	"fmt"
	"math"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/pipeline"
)

// Date is when the list prices below were written down. AWS's own pages are what counts.
const Date = "2026-11-23"

// listed is the Region of the list prices. Others differ by up to about a fifth.
const listed = "us-east-1"

// List prices in US dollars, of on-demand use without free tiers and discounts:
// https://aws.amazon.com/firehose/pricing/, /lambda/pricing/, /s3/pricing/, /cloudwatch/pricing/
const (
	firehoseGB    = 0.029        // of Direct PUT, the first 500 TB a month
	lambdaCall    = 0.20 / 1e6   // an invocation
	lambdaArm     = 0.0000133334 // a GB-second on arm64
	lambdaX86     = 0.0000166667 // and on x86_64
	s3Put         = 0.005 / 1e3  // a PUT into S3 Standard
	s3GBMonth     = 0.023        // a GB kept for a month in S3 Standard, the first 50 TB
	cloudWatchGB  = 0.50         // of log ingested
	kilobyte      = 1024
	gigabyte      = 1 << 30
	firehoseRound = 5 * kilobyte // Firehose bills each record in steps of this
)

// What is assumed, as it cannot be known.
const (
	month         = 30 * 24 * 3600.0 // seconds
	fieldBytes    = 12               // the value of a variable of the format, on average
	addedBytes    = 80               // by enrichment
	compression   = 8                // gzip of access logs; Snappy has about half of it
	callSeconds   = 0.020            // one invocation with up to 1 MB of records
	callLogBytes  = 400              // Lambda's own three lines about it
	lambdaBuffer  = 1 << 20          // what Firehose gathers for one invocation
	lambdaSeconds = 60.0             // or for how long
)

// Estimate is what a number of requests costs in a month.
type Estimate struct {
	Requests    int64       `json:"requests_a_month"`
	Region      string      `json:"region"`
	PricesOf    string      `json:"prices_of"` // the Region and the date of the list prices
	Components  []Component `json:"components"`
	Total       float64     `json:"total_usd"`
	PerMillion  float64     `json:"usd_per_million_requests"`
	RecordBytes int         `json:"assumed_record_bytes"`
}

// Component is one thing that AWS bills.
type Component struct {
	Name string  `json:"name"`
	USD  float64 `json:"usd"`
	How  string  `json:"how"` // what it is made of
}

// New estimates a month with that many requests, spread evenly. API Gateway has no price of its
// own for access logs, and readers pay for their reading.
func New(p *pipeline.Pipeline, region, architecture string, requests int64) Estimate {
	e := Estimate{Requests: requests, Region: region, PricesOf: listed + ", " + Date, RecordBytes: recordBytes(p.Format)}
	n := float64(requests)
	raw := n * float64(e.RecordBytes)
	stored := n * float64(e.RecordBytes+addedBytes)
	if p.Deliver.Compression != pipeline.Uncompressed {
		stored /= compression
	}
	billed := n * math.Ceil(float64(e.RecordBytes)/firehoseRound) * firehoseRound
	e.add("Firehose", billed/gigabyte*firehoseGB, "%.2f GB, as each record of %d bytes counts as 5 KB", billed/gigabyte, e.RecordBytes)

	calls := deliveries(n, raw, lambdaBuffer, math.Min(lambdaSeconds, p.Deliver.Interval.Seconds()))
	memory, second := float64(p.AWS.Memory)/1024, lambdaX86
	if architecture == "arm64" {
		second = lambdaArm
	}
	e.add("Lambda", calls*(lambdaCall+callSeconds*memory*second), "%.0f invocations of %d MB, %.0f ms each", calls, p.AWS.Memory, callSeconds*1000)

	objects := deliveries(n, stored*decompressed(p), float64(p.Deliver.Size), p.Deliver.Interval.Seconds())
	e.add("S3 requests", objects*s3Put, "%.0f objects, one every %s or %d MiB", objects, p.Deliver.Interval, p.Deliver.Size>>20)

	months, kept := 1.0, "the first month's; each further month adds as much"
	if p.AWS.ExpireDays > 0 {
		months, kept = float64(p.AWS.ExpireDays)/30, fmt.Sprintf("kept for %d days", p.AWS.ExpireDays)
	}
	e.add("S3 storage", stored*months/gigabyte*s3GBMonth, "%.2f GB, %s", stored*months/gigabyte, kept)
	e.add("CloudWatch Logs", calls*callLogBytes/gigabyte*cloudWatchGB, "%.3f GB of the function's log", calls*callLogBytes/gigabyte)
	if requests > 0 {
		e.PerMillion = e.Total / n * 1e6
	}
	return e
}

func (e *Estimate) add(name string, usd float64, how string, args ...any) {
	e.Components = append(e.Components, Component{name, usd, fmt.Sprintf(how, args...)})
	e.Total += usd
}

// deliveries is how often something is handed on that goes by size or by age, with requests that
// come evenly: none goes empty.
func deliveries(requests, bytes, size, seconds float64) float64 {
	bySize := bytes / size
	byAge := math.Min(requests, month/math.Max(1, seconds))
	return math.Ceil(math.Max(bySize, byAge))
}

// decompressed is how many times as large objects are before they are compressed: the
// buffering hint counts what comes in.
func decompressed(p *pipeline.Pipeline) float64 {
	if p.Deliver.Compression == pipeline.Uncompressed {
		return 1
	}
	return compression
}

// recordBytes is about what a line of the format has.
func recordBytes(format string) int {
	parsed, err := accesslog.Parse(format)
	if err != nil {
		return len(format)
	}
	n := len(strings.TrimSpace(format))
	for _, v := range parsed.Variables() {
		n += fieldBytes - len(v)
	}
	return n
}

// Text is the estimate as a table.
func (e Estimate) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Estimated cost of %s requests a month: $%.2f ($%.2f per million)\n", count(e.Requests), e.Total, e.PerMillion)
	for _, c := range e.Components {
		fmt.Fprintf(&b, "  %-16s $%8.4f  %s\n", c.Name, c.USD, c.How)
	}
	fmt.Fprintf(&b, "  list prices of %s without free tiers", e.PricesOf)
	if e.Region != listed {
		fmt.Fprintf(&b, "; %s may differ by a fifth", e.Region)
	}
	b.WriteByte('\n')
	return b.String()
}

// count is a number with commas.
func count(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

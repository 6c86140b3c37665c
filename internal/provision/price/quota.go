package price

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Quota is the quota of a Direct PUT stream: what it takes per second, in all of its PutRecord and PutRecordBatch calls.
type Quota struct {
	MiB      float64 `json:"mib_per_second"`
	Requests float64 `json:"requests_per_second"`
	Records  float64 `json:"records_per_second"`
}

// defaultQuota returns the default of a Region: https://docs.aws.amazon.com/firehose/latest/dev/limits.html
func defaultQuota(region string) Quota {
	if slices.Contains([]string{"us-east-1", "us-west-2", "eu-west-1"}, region) {
		return Quota{5, 2000, 500_000}
	}
	return Quota{1, 1000, 100_000}
}

// quotaForm is the form for raising the quota, which Service Quotas does not list.
const quotaForm = "https://support.console.aws.amazon.com/support/home#/case/create?issueType=service-limit-increase&limitType=kinesis-firehose-limits"

// Rate compares the traffic of the pipeline's stages with the default quota of its stream.
type Rate struct {
	Unknown   string     `json:"unknown,omitempty"` // why the traffic is not known
	Since     *time.Time `json:"since,omitempty"`
	Busiest   *time.Time `json:"busiest_minute,omitempty"` // nil without requests
	PerSecond float64    `json:"requests_per_second"`      // on average in the busiest minute
	MiB       float64    `json:"mib_per_second"`           // the same, with records of the assumed size
	Quota     Quota      `json:"default_quota"`
	// Raise is the quota in MiB/s to request, twice of what the busiest minute needs; 0 if the default is enough. The other two
	// quotas are raised in proportion.
	Raise float64 `json:"raise_to_mib_per_second"`
}

// tight is the share of the quota above which it should be raised: within a minute, the rate varies.
const tight = 0.5

// NewRate returns the rate of a number of requests in the busiest minute. One request is one record; API Gateway may put each
// in a call of its own.
func NewRate(region string, recordBytes int, perMinute int64) Rate {
	r := Rate{PerSecond: float64(perMinute) / 60, Quota: defaultQuota(region)}
	r.MiB = r.PerSecond * float64(recordBytes) / megabyte
	used := max(r.MiB/r.Quota.MiB, r.PerSecond/r.Quota.Requests, r.PerSecond/r.Quota.Records)
	if used > tight {
		r.Raise = math.Ceil(2 * used * r.Quota.MiB)
	}
	return r
}

// Text describes the rate in a few lines.
func (r Rate) Text() string {
	quota := fmt.Sprintf("%.0f requests, %.0f records and %.0f MiB per second", r.Quota.Requests, r.Quota.Records, r.Quota.MiB)
	switch {
	case r.Unknown != "":
		return fmt.Sprintf("Traffic of the stages: unknown, because %s. By default the delivery stream accepts %s.\n", r.Unknown, quota)
	case r.Busiest == nil:
		return fmt.Sprintf("Traffic of the stages: none since %s. By default the delivery stream accepts %s.\n", r.Since.UTC().Format(time.DateOnly), quota)
	}
	text := fmt.Sprintf("Traffic of the stages: up to %.1f requests and %.2f MiB per second, in the minute from %s, the busiest since %s.\n  By default the delivery stream accepts %s.\n",
		r.PerSecond, r.MiB, r.Busiest.UTC().Format("2006-01-02 15:04 MST"), r.Since.UTC().Format(time.DateOnly), quota)
	if r.Raise > 0 {
		by := r.Raise / r.Quota.MiB
		text += fmt.Sprintf("  That is too little for short peaks, in which API Gateway would drop records. Unless it was raised already, request %.0f MiB per second, which includes\n"+
			"  %.0f requests and %.0f records per second: %s\n", r.Raise, by*r.Quota.Requests, by*r.Quota.Records, quotaForm)
	}
	return text
}

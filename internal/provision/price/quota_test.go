package price

import (
	"strings"
	"testing"
	"time"
)

func TestRateIsComparedWithQuota(t *testing.T) {
	for _, tt := range []struct {
		name      string
		region    string
		bytes     int
		perMinute int64
		raise     float64
	}{
		{"no traffic", "eu-central-1", 400, 0, 0},
		{"half of the requests", "eu-central-1", 400, 30_000, 0},           // 500 of 1,000 requests per second
		{"more than half of the requests", "eu-central-1", 400, 36_000, 2}, // 600 of 1,000: twice is 1,200, so 2 MiB/s
		{"the same in a large Region", "eu-west-1", 400, 36_000, 0},        // 600 of 2,000
		{"large records", "eu-central-1", 4096, 12_000, 2},                 // 200 × 4 KiB = 0.78 of 1 MiB/s
		{"far too much", "us-east-1", 400, 600_000, 50},                    // 10,000 of 2,000 requests: 2 × 5 × 5 MiB/s
	} {
		if got := NewRate(tt.region, tt.bytes, tt.perMinute); got.Raise != tt.raise {
			t.Errorf("%s: raise to %v MiB/s, want %v", tt.name, got.Raise, tt.raise)
		}
	}
}

func TestRateText(t *testing.T) {
	at := time.Date(2026, 11, 29, 14, 3, 0, 0, time.UTC)
	since := at.AddDate(0, 0, -7)
	r := NewRate("us-east-1", 512, 600_000)
	r.Busiest, r.Since = &at, &since
	for _, want := range []string{"10000.0 requests and 4.88 MiB per second", "2026-11-29 14:03 UTC", "since 2026-11-22", "2000 requests, 500000 records and 5 MiB", "request 50 MiB", "20000 requests and 5000000 records", "kinesis-firehose-limits"} {
		if !strings.Contains(r.Text(), want) {
			t.Errorf("the text lacks %q:\n%s", want, r.Text())
		}
	}
	unknown := NewRate("eu-central-1", 512, 0)
	unknown.Unknown = "access is denied"
	if text := unknown.Text(); !strings.Contains(text, "unknown, because access is denied") || !strings.Contains(text, "1000 requests, 100000 records and 1 MiB") {
		t.Errorf("without counts:\n%s", text)
	}
}

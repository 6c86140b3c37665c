package cli

import (
	"context"
	"time"

	"github.com/stagelog/stagelog/internal/lake/coverage"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/price"
	"github.com/stagelog/stagelog/internal/record"
)

// Periods in which the busiest minute is searched. CloudWatch returns the counts of about ten stages for a week in one page.
const (
	weekOfCounts = 7 * 24 * time.Hour
	dayOfCounts  = 24 * time.Hour
	fewStages    = 20
)

// trafficOf compares the traffic of stages, as counted by CloudWatch, with the quota of a delivery stream.
func trafficOf(ctx context.Context, s *awsSession, stages []record.StageRef, recordBytes int) price.Rate {
	rate := price.NewRate(s.Region, recordBytes, 0)
	if len(stages) == 0 {
		rate.Unknown = "the pipeline has no stages"
		return rate
	}
	back := weekOfCounts
	if len(stages) > fewStages {
		back = dayOfCounts
	}
	since := time.Now().Add(-back).Truncate(time.Minute)
	counts := coverage.CloudWatch{Gateway: s.Clients.APIGateway, Metric: s.Clients.CloudWatch, Explain: provision.Explain}
	metrics, err := counts.Metrics(ctx, stages)
	var at time.Time
	var requests int64
	if err == nil {
		at, requests, err = counts.BusiestMinute(ctx, metrics, since)
	}
	if err != nil {
		rate.Unknown = err.Error()
		return rate
	}
	rate = price.NewRate(s.Region, recordBytes, requests)
	rate.Since = &since
	if requests > 0 {
		rate.Busiest = &at
	}
	return rate
}

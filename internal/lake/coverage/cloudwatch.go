package coverage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// metricLimit is the maximum number of metrics per GetMetricData call.
	metricLimit = 500
	// countTimeout bounds the wait for counts that a report can do without.
	countTimeout = time.Minute
)

// CloudWatch reads CloudWatch's request counts of stages. Its errors are one line of text.
type CloudWatch struct {
	Gateway apigateway.GetRestApisAPIClient
	Metric  cloudwatch.GetMetricDataAPIClient
	Explain func(error) error // names the cause of an AWS error in its first line
}

// Metrics implements StageCounter. An API that is not a REST API of the account, such as an HTTP API, is looked up by id.
func (c CloudWatch) Metrics(ctx context.Context, stages []record.StageRef) ([]Metric, error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	names, shared := map[string]string{}, map[string]int{}
	pages := apigateway.NewGetRestApisPaginator(c.Gateway, &apigateway.GetRestApisInput{Limit: aws.Int32(usageLimit)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, c.inALine(fmt.Errorf("list the REST APIs: %w", err))
		}
		for _, api := range page.Items {
			name := metricName(aws.ToString(api.Name), aws.ToString(api.Id))
			names[aws.ToString(api.Id)] = name
			shared[name]++
		}
	}
	metrics := make([]Metric, len(stages))
	for i, s := range stages {
		metrics[i] = Metric{API: s.API, Stage: s.Stage}
		if name, ok := names[s.API]; ok {
			metrics[i] = Metric{API: name, ByName: true, Shared: shared[name], Stage: s.Stage}
		}
	}
	return metrics, nil
}

// metricName returns the value of CloudWatch's dimension ApiName: the API's name without non-ASCII characters or, if none are
// left, the API's id.
func metricName(name, id string) string {
	ascii := strings.Map(func(r rune) rune {
		if r > '\x7f' {
			return -1
		}
		return r
	}, name)
	if ascii == "" {
		return id
	}
	return ascii
}

// Sums implements StageCounter.
func (c CloudWatch) Sums(ctx context.Context, metrics []Metric, first, last time.Time, fn func(Metric, time.Time, int64) error) error {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	days := window{first, last.AddDate(0, 0, 1), 24 * time.Hour}
	for some := range slices.Chunk(metrics, metricLimit) {
		if err := c.sums(ctx, some, days, fn); err != nil {
			return c.inALine(fmt.Errorf("read CloudWatch's counts: %w", err))
		}
	}
	return nil
}

// BusiestMinute returns the minute since from in which all metrics together counted most requests, and their number. It is 0
// without requests. CloudWatch keeps counts per minute for 15 days.
func (c CloudWatch) BusiestMinute(ctx context.Context, metrics []Metric, from time.Time) (at time.Time, requests int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	minutes := map[time.Time]int64{}
	for some := range slices.Chunk(metrics, metricLimit) {
		err := c.sums(ctx, some, window{from, time.Now(), time.Minute}, func(_ Metric, minute time.Time, n int64) error {
			minute = minute.UTC()
			minutes[minute] += n
			return nil
		})
		if err != nil {
			return at, 0, c.inALine(fmt.Errorf("read CloudWatch's counts: %w", err))
		}
	}
	for minute, n := range minutes {
		if n > requests || n == requests && n > 0 && minute.After(at) {
			at, requests = minute, n
		}
	}
	return at, requests, nil
}

// window is a time range and the length of the periods that are counted in it.
type window struct {
	from, to time.Time
	period   time.Duration
}

func (c CloudWatch) sums(ctx context.Context, metrics []Metric, over window, fn func(Metric, time.Time, int64) error) error {
	in := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(over.from), EndTime: aws.Time(over.to)}
	of := map[string]Metric{}
	for i, m := range metrics {
		id := fmt.Sprintf("m%d", i)
		of[id] = m
		in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{
			Metric: countOf(m), Period: aws.Int32(int32(over.period.Seconds())), Stat: aws.String("Sum"),
		}})
	}
	// A page may have a part of a metric; a later page completes it.
	status := map[string]types.StatusCode{}
	pages := cloudwatch.NewGetMetricDataPaginator(c.Metric, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, r := range page.MetricDataResults {
			id := aws.ToString(r.Id)
			m, ok := of[id]
			if !ok || len(r.Timestamps) != len(r.Values) {
				return fmt.Errorf("the response has an unrequested metric: %q", id)
			}
			status[id] = r.StatusCode
			for i, at := range r.Timestamps {
				if err := fn(m, at, int64(math.Round(r.Values[i]))); err != nil {
					return err
				}
			}
		}
	}
	for id, m := range of {
		if got := status[id]; got != types.StatusCodeComplete {
			return fmt.Errorf("the response for %s/%s has status %q, want Complete", m.API, m.Stage, got)
		}
	}
	return nil
}

func countOf(m Metric) *types.Metric {
	api := "ApiId"
	if m.ByName {
		api = "ApiName"
	}
	return &types.Metric{Namespace: aws.String("AWS/ApiGateway"), MetricName: aws.String("Count"), Dimensions: []types.Dimension{
		{Name: &api, Value: aws.String(m.API)}, {Name: aws.String("Stage"), Value: aws.String(m.Stage)},
	}}
}

// inALine returns the cause of an error on one line and, if access is denied, the permissions that are needed.
func (c CloudWatch) inALine(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no response within %v", countTimeout)
	case awserr.Unsupported(err):
		return errors.New("this endpoint does not serve CloudWatch")
	}
	why, _, _ := strings.Cut(c.Explain(err).Error(), "\n")
	if awserr.Denied(err) {
		why += "; the comparison needs cloudwatch:GetMetricData on * and apigateway:GET on /restapis"
	}
	return errors.New(why)
}

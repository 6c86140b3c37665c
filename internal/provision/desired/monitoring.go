package desired

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/function"
)

// Alarm is a CloudWatch alarm on one metric with one dimension. Periods without data do not count as breaching: Firehose and
// Lambda send no metrics without traffic.
type Alarm struct {
	Name, Description string
	Namespace, Metric string
	Dimension, Of     string // name and value of the dimension
	Statistic         types.Statistic
	Comparison        types.ComparisonOperator
	Threshold         float64 // a whole number
	Breaching         int32   // periods of AlarmPeriod that breach the threshold before the alarm is raised ...
	Periods           int32   // ... among this number of periods
	Topic             string  // ARN of the SNS topic that is notified of the alarm and its end; "" keeps the actions of an existing alarm
}

const (
	// AlarmPeriod is the length of a period in seconds.
	AlarmPeriod = 300
	// NoDataIsOK is how every alarm treats periods without data.
	NoDataIsOK = "notBreaching"
)

// Condition describes in one line when the alarm is raised.
func (a Alarm) Condition() string { return a.ConditionOver(AlarmPeriod) }

// ConditionOver returns the condition with periods of another length in seconds.
func (a Alarm) ConditionOver(period int32) string {
	sign, ok := comparisonSigns[a.Comparison]
	if !ok {
		sign = string(a.Comparison)
	}
	return fmt.Sprintf("%s %s of %s=%s (%s) %s %v in %d of %d periods of %d s", a.Statistic, a.Metric, a.Dimension, a.Of, a.Namespace, sign, a.Threshold, a.Breaching, a.Periods, period)
}

// comparisonSigns has the sign of each comparison that alarms use.
var comparisonSigns = map[types.ComparisonOperator]string{types.ComparisonOperatorGreaterThanThreshold: ">", types.ComparisonOperatorLessThanThreshold: "<"}

// alarms returns the pipeline's alarms. The metrics are described in the Firehose developer guide, "Monitor Amazon Data Firehose
// with CloudWatch metrics", and in the Lambda developer guide, "Types of metrics for Lambda functions". Firehose has no
// metric for the records that a function fails, so the function sends its own.
func (s *Spec) alarms() []Alarm {
	const more, less = types.ComparisonOperatorGreaterThanThreshold, types.ComparisonOperatorLessThanThreshold
	name := func(of string) string { return s.Function() + "-" + of }
	stream := func(a Alarm) Alarm {
		a.Namespace, a.Dimension, a.Of = "AWS/Firehose", "DeliveryStreamName", s.Stream()
		return a
	}
	lambda := func(a Alarm) Alarm {
		a.Namespace, a.Dimension, a.Of = "AWS/Lambda", "FunctionName", s.Function()
		return a
	}
	late := s.lateAfter()
	failed := lambda(Alarm{
		Name: name("failed-records"), Description: "The enrichment function could not process records. They are in the error output of the bucket; the function's log has the reason.",
		Metric: function.FailedMetric, Statistic: types.StatisticSum, Comparison: more, Breaching: 1, Periods: 1,
	})
	failed.Namespace = function.MetricNamespace
	all := []Alarm{
		stream(Alarm{
			Name: name("late-delivery"), Description: fmt.Sprintf("The oldest record that is not in the bucket yet is more than %d minutes old. After 24 hours Firehose discards it.", int(late.Minutes())),
			Metric: "DeliveryToS3.DataFreshness", Statistic: types.StatisticMaximum, Comparison: more, Threshold: late.Seconds(), Breaching: 3, Periods: 3,
		}),
		stream(Alarm{
			Name: name("failed-delivery"), Description: "Firehose cannot put objects into the bucket. It retries for 24 hours, then the records are lost.",
			Metric: "DeliveryToS3.Success", Statistic: types.StatisticAverage, Comparison: less, Threshold: 1, Breaching: 3, Periods: 3,
		}),
		stream(Alarm{
			Name: name("failed-processing"), Description: "Calls of the enrichment function fail. Firehose repeats a call three times, then writes the records to the error output.",
			Metric: "ExecuteProcessing.Success", Statistic: types.StatisticAverage, Comparison: less, Threshold: 1, Breaching: 2, Periods: 3,
		}),
		failed,
		stream(Alarm{
			Name: name("throttled-records"), Description: "More records arrive than the stream's quota allows, and API Gateway may drop the rest. `stagelog plan` shows the quota to raise.",
			Metric: "ThrottledRecords", Statistic: types.StatisticSum, Comparison: more, Breaching: 1, Periods: 1,
		}),
		lambda(Alarm{
			Name: name("function-errors"), Description: "The enrichment function ends with errors or times out.",
			Metric: "Errors", Statistic: types.StatisticSum, Comparison: more, Breaching: 2, Periods: 3,
		}),
		lambda(Alarm{
			Name: name("function-throttles"), Description: "Lambda does not run the enrichment function at once, because the account's or the function's concurrency is used up.",
			Metric: "Throttles", Statistic: types.StatisticSum, Comparison: more, Breaching: 2, Periods: 3,
		}),
	}
	if s.Pipeline.Deliver.Parquet {
		all = append(all, stream(Alarm{
			Name: name("failed-conversion"), Description: "Firehose could not convert records to Parquet. They are in the error output of the bucket.",
			Metric: "FailedConversion.Records", Statistic: types.StatisticSum, Comparison: more, Breaching: 1, Periods: 1,
		}))
	}
	for i := range all {
		all[i].Topic = s.Pipeline.AWS.AlarmTopic
	}
	return all
}

// AlarmCount returns the number of alarms of a pipeline.
func AlarmCount(p *config.Pipeline) int {
	if !p.AWS.Alarms {
		return 0
	}
	return len((&Spec{Pipeline: p}).alarms())
}

// lateAfter returns the age of a record at which its delivery is late: twice as long as the stream buffers records, but at
// least 15 minutes, because Firehose may buffer for longer than its hints say.
func (s *Spec) lateAfter() time.Duration {
	return max(15*time.Minute, 2*(s.Pipeline.Deliver.Interval+s.FunctionInterval())).Round(time.Minute)
}

// Dashboard is a CloudWatch dashboard.
type Dashboard struct {
	Name string
	Body string // JSON
}

// DashboardName returns the name of the dashboard. It has the Region, because dashboards are global.
func (s *Spec) DashboardName() string { return s.Function() + "-" + s.Region }

// DashboardARN returns the ARN of the dashboard.
func (s *Spec) DashboardARN() string {
	return "arn:" + s.Partition + ":cloudwatch::" + s.Account + ":dashboard/" + s.DashboardName()
}

// DashboardOwner returns the text in the pipeline's dashboard that marks it as the pipeline's. Dashboards can have tags since
// 2026, but not those that CloudFormation creates.
func (s *Spec) DashboardOwner() string { return "stagelog: " + s.Owner() }

// widget is a part of a dashboard: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
type widget struct {
	Type       string         `json:"type"`
	X          int            `json:"x"`
	Y          int            `json:"y"`
	Width      int            `json:"width"`
	Height     int            `json:"height"`
	Properties map[string]any `json:"properties"`
}

func (s *Spec) dashboard() Dashboard {
	type source struct{ namespace, dimension, of string }
	stream := source{"AWS/Firehose", "DeliveryStreamName", s.Stream()}
	lambda, own := source{"AWS/Lambda", "FunctionName", s.Function()}, source{function.MetricNamespace, "FunctionName", s.Function()}
	widgets := []widget{{"text", 0, 0, 24, 2, map[string]any{
		"markdown": fmt.Sprintf("# %s\n%s to s3://%s/%s (%s)", s.Pipeline.Name, s.Stream(), s.Bucket(), s.Pipeline.Deliver.Prefix, s.DashboardOwner()),
	}}}
	graph := func(title, stat string, from source, metrics ...string) {
		var lines [][]any
		for _, m := range metrics {
			lines = append(lines, []any{from.namespace, m, from.dimension, from.of})
		}
		i := len(widgets) - 1
		widgets = append(widgets, widget{"metric", i % 3 * 8, 2 + i/3*6, 8, 6, map[string]any{
			"title": title, "stat": stat, "period": AlarmPeriod, "region": s.Region, "view": "timeSeries", "metrics": lines,
		}})
	}
	graph("Records", "Sum", stream, "IncomingRecords", "ThrottledRecords")
	graph("Age of the oldest record, in seconds", "Maximum", stream, "DeliveryToS3.DataFreshness")
	graph("Successful calls and puts, 1 is all", "Average", stream, "ExecuteProcessing.Success", "DeliveryToS3.Success")
	graph("Bytes", "Sum", stream, "IncomingBytes", "DeliveryToS3.Bytes")
	graph("Function", "Sum", lambda, "Invocations", "Errors", "Throttles")
	graph("Failed records", "Sum", own, function.FailedMetric)
	body, err := json.Marshal(map[string]any{"widgets": widgets})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return Dashboard{Name: s.DashboardName(), Body: string(body)}
}

// addMonitoring adds the alarms and the dashboard that the pipeline has.
func (d *Resources) addMonitoring() {
	if d.Spec.Pipeline.AWS.Alarms {
		d.Alarms = d.Spec.alarms()
	}
	if d.Spec.Pipeline.AWS.Dashboard {
		board := d.Spec.dashboard()
		d.Dashboard = &board
	}
}

// Monitored returns the same pipeline with every alarm and with the dashboard that it could have.
func (s *Spec) Monitored() *Spec {
	with, p := *s, *s.Pipeline
	p.AWS.Alarms, p.AWS.Dashboard, p.Deliver.Parquet = true, true, true
	with.Pipeline = &p
	return &with
}

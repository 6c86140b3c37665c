package function

import (
	"log/slog"
	"time"
)

// Name and namespace of the CloudWatch metric with the number of records that failed, by the dimension FunctionName.
const (
	MetricNamespace = "stagelog"
	FailedMetric    = "FailedRecords"
)

// FailedRecords returns the attributes that make a log line of a function in Lambda a value of FailedMetric. CloudWatch Logs
// reads it from the line, which needs no permission, and bills the metric only for hours in which records failed:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func FailedRecords(functionName string, n int, now time.Time) []slog.Attr {
	const dimension = "FunctionName"
	type metric struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	return []slog.Attr{
		slog.String(dimension, functionName), slog.Int(FailedMetric, n),
		slog.Any("_aws", struct {
			Timestamp         int64
			CloudWatchMetrics []directive
		}{now.UnixMilli(), []directive{{MetricNamespace, [][]string{{dimension}}, []metric{{FailedMetric, "Count"}}}}}),
	}
}

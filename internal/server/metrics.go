package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/usageplan"
)

// indexMetrics exports the counters of the usage plan index. The index itself does not import
// Prometheus because it also runs in the Lambda function.
type indexMetrics struct{ index *usageplan.Index }

// Describe implements prometheus.Collector.
func (m *indexMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *indexMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.index.Stats()
	send := func(kind prometheus.ValueType, name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("stagelog_index_"+name, help, nil, nil), kind, value)
	}
	send(prometheus.GaugeValue, "keys", "API keys in the usage plan index, including deleted keys that are still kept.", float64(s.Keys))
	send(prometheus.GaugeValue, "usage_plans", "Usage plans in the usage plan index, including deleted plans that are kept.", float64(s.Plans))
	send(prometheus.GaugeValue, "age_seconds", "Time since the last complete refresh of the usage plan index.", s.Age.Seconds())
	send(prometheus.GaugeValue, "pending_keys", "Unknown API keys waiting for a refresh.", float64(s.Pending))
	send(prometheus.CounterValue, "refreshes_total", "Successful refreshes of the usage plan index.", float64(s.Refreshes))
	send(prometheus.CounterValue, "refresh_failures_total", "Failed refreshes of the usage plan index; the last good index stays in use.", float64(s.Failures))
	send(prometheus.CounterValue, "unknown_lookups_total", "Lookups of unknown API keys.", float64(s.Unknown))
}

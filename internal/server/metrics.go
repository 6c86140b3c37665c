package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/usageplan"
)

// directoryMetrics exports the directory's own counters. The directory does not know
// Prometheus: it also runs in the Lambda, which has no room for it.
type directoryMetrics struct{ directory *usageplan.Directory }

// Describe implements prometheus.Collector.
func (m *directoryMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *directoryMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.directory.Stats()
	send := func(kind prometheus.ValueType, name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("stagelog_directory_"+name, help, nil, nil), kind, value)
	}
	send(prometheus.GaugeValue, "keys", "API keys in the directory, deleted ones that are remembered included.", float64(s.Keys))
	send(prometheus.GaugeValue, "usage_plans", "Usage plans in the directory, deleted ones that are remembered included.", float64(s.Plans))
	send(prometheus.GaugeValue, "age_seconds", "Time since the directory was last read whole.", s.Age.Seconds())
	send(prometheus.GaugeValue, "pending_keys", "Unknown API keys that wait for a refresh.", float64(s.Pending))
	send(prometheus.CounterValue, "refreshes_total", "Refreshes of the directory that went well.", float64(s.Refreshes))
	send(prometheus.CounterValue, "refresh_failures_total", "Refreshes of the directory that failed; the last good one is kept.", float64(s.Failures))
	send(prometheus.CounterValue, "unknown_total", "Look-ups of API keys that were not known.", float64(s.Unknown))
}

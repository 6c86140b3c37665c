package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the gateway's collectors. Only stages that exist become labels, so that callers
// cannot make up series.
type Metrics struct {
	requests  *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	throttled *prometheus.CounterVec
	unrouted  prometheus.Counter

	lines      prometheus.Counter
	lost       prometheus.Counter
	putRetries prometheus.Counter
	queueBytes prometheus.Gauge
}

// NewMetrics makes the collectors and registers them. With a nil Registerer they count all the same.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagelog_gateway_requests_total", Help: "Requests that reached a stage, by class of the status that was logged.",
		}, []string{"api", "stage", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stagelog_gateway_request_seconds", Help: "Time from a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"api", "stage"}),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagelog_gateway_throttled_total", Help: "Requests answered with 429, by what refused them: throttle or quota.",
		}, []string{"api", "stage", "by"}),
		unrouted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_unrouted_total", Help: "Requests for an API or a stage that does not exist.",
		}),
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_log_lines_total", Help: "Access log lines taken into the queue.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_log_lines_lost_total", Help: "Access log lines lost: the queue was full, or the stream will never take them.",
		}),
		putRetries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_log_put_failures_total", Help: "Batches of access log lines that a stream did not take whole, to be tried again.",
		}),
		queueBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stagelog_gateway_log_queue_bytes", Help: "Bytes of access log lines that wait for a stream.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.latency, m.throttled, m.unrouted, m.lines, m.lost, m.putRetries, m.queueBytes)
	}
	return m
}

// stageMetrics are one stage's series, looked up once.
type stageMetrics struct {
	byClass              [6]prometheus.Counter // 0: no valid status
	latency              prometheus.Observer
	throttled, overQuota prometheus.Counter
}

func (m *Metrics) stage(api, stage string) stageMetrics {
	s := stageMetrics{
		latency:   m.latency.WithLabelValues(api, stage),
		throttled: m.throttled.WithLabelValues(api, stage, "throttle"),
		overQuota: m.throttled.WithLabelValues(api, stage, "quota"),
	}
	for i, class := range [6]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		s.byClass[i] = m.requests.WithLabelValues(api, stage, class)
	}
	return s
}

func (s *stageMetrics) observe(status int, latency time.Duration) {
	class := status / 100
	if class < 0 || class >= len(s.byClass) {
		class = 0
	}
	s.byClass[class].Inc()
	s.latency.Observe(latency.Seconds())
}

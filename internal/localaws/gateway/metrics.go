package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics holds the gateway's collectors. Only existing stages become labels, so that callers cannot create
// series.
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

// NewMetrics creates the collectors, and registers them unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagelog_gateway_requests_total", Help: "Requests to a stage, by class of the logged status.",
		}, []string{"api", "stage", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stagelog_gateway_request_seconds", Help: "Time from the request to the end of the response.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"api", "stage"}),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagelog_gateway_throttled_total", Help: "Requests rejected with 429, by reason: throttle or quota.",
		}, []string{"api", "stage", "reason"}),
		unrouted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_unrouted_total", Help: "Requests for an API or a stage that does not exist.",
		}),
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_log_lines_total", Help: "Access log lines queued.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_log_lines_lost_total", Help: "Access log lines lost because the queue was full or the stream rejected them.",
		}),
		putRetries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_gateway_log_put_failures_total", Help: "Batches of access log lines that a stream did not accept, or accepted only in part.",
		}),
		queueBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stagelog_gateway_log_queue_bytes", Help: "Bytes of queued access log lines.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.latency, m.throttled, m.unrouted, m.lines, m.lost, m.putRetries, m.queueBytes)
	}
	return m
}

// stageMetrics holds the series of one stage.
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

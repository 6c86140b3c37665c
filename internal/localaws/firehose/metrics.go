package firehose

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts requests.
type Metrics struct{ requests *prometheus.CounterVec }

// NewMetrics makes the collectors and registers them with reg, if there is one.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stagelog_firehose_requests_total", Help: "Requests by operation and code; OK, or the code of the error."}, []string{"operation", "code"})}
	if reg != nil {
		reg.MustRegister(m.requests)
	}
	return m
}

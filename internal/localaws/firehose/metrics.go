package firehose

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what comes in.
type Metrics struct {
	requests *prometheus.CounterVec
	records  prometheus.Counter
	bytes    prometheus.Counter
	refused  prometheus.Counter
	frames   prometheus.Counter
	latency  prometheus.Histogram
}

// NewMetrics makes the collectors and registers them with reg, if there is one.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagelog_firehose_requests_total", Help: "Requests by operation and code; OK, or the code of the error."}, []string{"operation", "code"}),
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_firehose_records_total", Help: "Records accepted: they are on disk, synced."}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_firehose_bytes_total", Help: "Bytes of the records accepted, without base64."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_firehose_refused_records_total", Help: "Records that were well formed and could not be stored; the client was asked to come again."}),
		frames: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stagelog_firehose_frames_total", Help: "Frames stored: records divided by frames is how well requests share syncs."}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "stagelog_firehose_append_seconds", Help: "Time to store one frame, the sync included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.records, m.bytes, m.refused, m.frames, m.latency)
	}
	return m
}

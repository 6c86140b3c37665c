package deliver

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics holds the counters of all delivery workers of a process, by stream. Records are counted
// when they are delivered, so that in = out + failed + dropped at any moment.
type Metrics struct {
	recordsIn, recordsOut, recordsFailed, recordsDropped *prometheus.CounterVec
	bytesIn, bytesOut, batches                           *prometheus.CounterVec
	objects, objectBytes                                 *prometheus.CounterVec
	putFailures, callFailures, corrupt                   *prometheus.CounterVec
	lastSuccess                                          *prometheus.GaugeVec
	latency                                              *prometheus.HistogramVec
	backlog                                              *backlog
}

// NewMetrics creates and registers the collectors. It panics if they are already registered.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stagelog_delivery_" + name, Help: help}, append([]string{"stream"}, labels...))
		reg.MustRegister(c)
		return c
	}
	m := &Metrics{
		recordsIn:      counter("records_in_total", "Source records of delivered batches."),
		recordsOut:     counter("records_out_total", "Records in delivered data objects."),
		recordsFailed:  counter("records_failed_total", "Records in delivered error objects."),
		recordsDropped: counter("records_dropped_total", "Records that the function dropped."),
		bytesIn:        counter("bytes_in_total", "Bytes of source records of delivered batches."),
		bytesOut:       counter("bytes_out_total", "Bytes of records in delivered data objects, before compression."),
		batches:        counter("batches_total", "Batches delivered."),
		objects:        counter("objects_total", "Objects put.", "kind"),
		objectBytes:    counter("object_bytes_total", "Bytes of the objects put, after compression.", "kind"),
		putFailures:    counter("put_failures_total", "Failed puts of objects, each of which was retried."),
		callFailures:   counter("function_failures_total", "Failed calls of the function."),
		corrupt:        counter("corrupt_frames_total", "Unreadable stored frames, written unchanged to the error output."),
		lastSuccess: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stagelog_delivery_last_success_timestamp_seconds",
			Help: "Unix time of the last delivery.",
		}, []string{"stream"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stagelog_delivery_latency_seconds",
			Help:    "Time from the arrival of a flush's oldest record to the delivery of the flush.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 3600},
		}, []string{"stream"}),
		backlog: &backlog{desc: prometheus.NewDesc("stagelog_delivery_backlog_age_seconds",
			"Age of the oldest record that was read but not yet delivered, or 0.", []string{"stream"}, nil)},
	}
	reg.MustRegister(m.lastSuccess, m.latency, m.backlog)
	return m
}

// delivered adds a flush to the counters.
func (m *Metrics) delivered(c *flush, now time.Time) {
	stream := c.dest.Stream
	m.recordsIn.WithLabelValues(stream).Add(float64(c.count.In))
	m.recordsOut.WithLabelValues(stream).Add(float64(c.count.Out))
	m.recordsFailed.WithLabelValues(stream).Add(float64(c.count.Failed))
	m.recordsDropped.WithLabelValues(stream).Add(float64(c.count.Dropped))
	m.bytesIn.WithLabelValues(stream).Add(float64(c.count.BytesIn))
	m.bytesOut.WithLabelValues(stream).Add(float64(c.count.BytesOut))
	m.batches.WithLabelValues(stream).Add(float64(c.count.Batches))
	m.lastSuccess.WithLabelValues(stream).Set(float64(now.UnixMilli()) / 1000)
	if !c.oldest.IsZero() {
		m.latency.WithLabelValues(stream).Observe(now.Sub(c.oldest).Seconds())
	}
}

// backlog computes the age of the workers' backlogs when metrics are collected, so that it keeps
// growing while nothing is delivered.
type backlog struct {
	desc    *prometheus.Desc
	workers sync.Map // keys: *Worker
}

// Describe implements prometheus.Collector.
func (b *backlog) Describe(ch chan<- *prometheus.Desc) { ch <- b.desc }

// Collect implements prometheus.Collector.
func (b *backlog) Collect(ch chan<- prometheus.Metric) {
	ages := map[string]time.Duration{}
	for key := range b.workers.Range {
		w := key.(*Worker)
		ages[w.stream] = max(ages[w.stream], w.backlogAge())
	}
	for stream, age := range ages {
		ch <- prometheus.MustNewConstMetric(b.desc, prometheus.GaugeValue, age.Seconds(), stream)
	}
}

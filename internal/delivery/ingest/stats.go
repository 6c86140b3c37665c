package ingest

import "github.com/prometheus/client_golang/prometheus"

// Stats counts records since the start.
type Stats struct {
	Records int64 // accepted, and durable
	Bytes   int64 // of the accepted records
	Refused int64 // well-formed, but not stored
	Frames  int64 // stored
}

// Stats returns the counts of all streams.
func (s *Streams) Stats() Stats {
	return Stats{Records: s.records.Load(), Bytes: s.bytes.Load(), Refused: s.refused.Load(), Frames: s.frames.Load()}
}

// export creates the metrics and registers them with reg unless it is nil.
func (s *Streams) export(reg prometheus.Registerer) {
	s.latency = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "stagelog_firehose_append_seconds", Help: "Time to store one frame, including the sync.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)})
	if reg == nil {
		return
	}
	counter := func(name, help string, value func(Stats) int64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "stagelog_firehose_" + name, Help: help},
			func() float64 { return float64(value(s.Stats())) }))
	}
	counter("records_total", "Records accepted and synced to disk.", func(n Stats) int64 { return n.Records })
	counter("bytes_total", "Bytes of the accepted records, before base64.", func(n Stats) int64 { return n.Bytes })
	counter("refused_records_total", "Well-formed records that could not be stored; the client was asked to retry.", func(n Stats) int64 { return n.Refused })
	counter("frames_total", "Frames stored. Records divided by frames shows how many records share a sync.", func(n Stats) int64 { return n.Frames })
	reg.MustRegister(s.latency)
}

// Package ingest combines the records of concurrent requests into durable frames. A put returns only
// after its records are synced.
//
// Streams holds the streams that accept records. Each stream spreads its records over shards, which
// are delivered in parallel. A gatherer for each shard puts the records of concurrent requests into
// one frame, so that they share a sync.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/record"
)

// Log holds the durable frames of one shard of a stream.
type Log interface {
	// Append returns once the frame, of up to record.MaxFrameBytes, is synced. If the error wraps
	// record.ErrFull, nothing was stored; after any other the frame may or may not be stored. Append
	// may run in parallel and does not keep the frame.
	Append(ctx context.Context, frame []byte) (seq uint64, err error)
}

// Config configures Streams.
type Config struct {
	// Shards is the number of Logs over which a stream's records are spread. 0 means 1.
	Shards int
	// Gather is how long the first record of a frame waits to be batched with others, so that
	// concurrent single records share a sync. A frame that is large enough is stored immediately. 0
	// batches records only while another frame is being stored.
	Gather  time.Duration
	Clock   func() time.Time      // nil means time.Now
	Metrics prometheus.Registerer // nil exports nothing
	Logger  *slog.Logger          // nil discards
}

// Streams holds the streams that accept records, by name. It may be used in parallel.
type Streams struct {
	cfg     Config
	openLog func(ctx context.Context, stream string, shard int) (Log, error)
	latency prometheus.Histogram

	records, bytes, refused, frames atomic.Int64

	mu     sync.RWMutex // guards byName
	byName map[string]*Stream
}

// New returns Streams with no streams.
func New(cfg Config, openLog func(ctx context.Context, stream string, shard int) (Log, error)) *Streams {
	cfg.Shards = max(cfg.Shards, 1)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Streams{cfg: cfg, openLog: openLog, byName: map[string]*Stream{}}
	s.export(cfg.Metrics)
	return s
}

// export creates the metrics and registers them with reg unless it is nil.
func (s *Streams) export(reg prometheus.Registerer) {
	s.latency = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "stagelog_firehose_append_seconds", Help: "Time to store one frame, including the sync.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)})
	if reg == nil {
		return
	}
	counter := func(name, help string, n *atomic.Int64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "stagelog_firehose_" + name, Help: help},
			func() float64 { return float64(n.Load()) }))
	}
	counter("records_total", "Records accepted and synced to disk.", &s.records)
	counter("bytes_total", "Bytes of the accepted records, before base64.", &s.bytes)
	counter("refused_records_total", "Well-formed records that could not be stored; the client was asked to retry.", &s.refused)
	counter("frames_total", "Frames stored. Records divided by frames shows how many records share a sync.", &s.frames)
	reg.MustRegister(s.latency)
}

// Accepted returns the number of records that were accepted, and are durable, since the start.
func (s *Streams) Accepted() int64 { return s.records.Load() }

// Failing returns an error if the newest append to a log failed, and less than ten seconds ago.
func (s *Streams) Failing() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, stream := range s.byName {
		for _, q := range stream.gatherers {
			if err := q.failing(); err != nil {
				return fmt.Errorf("records of stream %s are refused: %w", name, err)
			}
		}
	}
	return nil
}

// Open opens the Logs of a stream. The stream accepts records after Add.
func (s *Streams) Open(ctx context.Context, name string) (*Stream, error) {
	stream := &Stream{name: name}
	for shard := range s.cfg.Shards {
		log, err := s.openLog(ctx, name, shard)
		if err != nil {
			return nil, fmt.Errorf("open shard %d of stream %s: %w", shard, name, err)
		}
		stream.gatherers = append(stream.gatherers, &gatherer{streams: s, log: log, shard: shard, logger: s.cfg.Logger.With("stream", name)})
	}
	return stream, nil
}

// Add makes an opened stream accept records.
func (s *Streams) Add(stream *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[stream.name] = stream
}

// Close stops accepting records for the stream and returns once those in progress are done. A name
// that is not open is not an error.
func (s *Streams) Close(name string) {
	s.mu.Lock()
	stream := s.byName[name]
	delete(s.byName, name)
	s.mu.Unlock()
	if stream != nil {
		stream.mu.Lock()
		stream.closed = true
		stream.mu.Unlock()
		stream.puts.Wait()
	}
}

// Find returns the stream of that name, or nil if none is open.
func (s *Streams) Find(name []byte) *Stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[string(name)]
}

// ErrTooLarge is returned for a record larger than record.MaxBytes.
var ErrTooLarge = errors.New("record is too large")

// Put stores records for a caller in this process. failed lists the indexes of records that failed;
// a failed record may still be stored. err concerns all records: it wraps record.ErrNotFound if the
// stream is not open, or ErrTooLarge. The bytes are not kept.
func (s *Streams) Put(ctx context.Context, stream string, records [][]byte) (failed []int, err error) {
	for i, r := range records {
		if len(r) > record.MaxBytes {
			return nil, fmt.Errorf("record %d: %d bytes exceed the limit of %d: %w", i, len(r), record.MaxBytes, ErrTooLarge)
		}
	}
	to := s.Find([]byte(stream))
	if to == nil {
		return nil, fmt.Errorf("stream %s: %w", stream, record.ErrNotFound)
	}
	pieces, err := to.Put(ctx, records, nil)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	at := 0
	for _, p := range pieces {
		for i := range p.N {
			if p.Err() != nil {
				failed = append(failed, at+i)
			}
		}
		at += p.N
	}
	return failed, nil
}

// Stream accepts the records of one stream.
type Stream struct {
	name      string
	gatherers []*gatherer
	next      atomic.Uint64 // index of the shard for the next record
	puts      sync.WaitGroup

	mu     sync.Mutex // guards closed, and puts.Add
	closed bool       // no put may begin
}

// Piece describes consecutive records that were stored, or failed, together.
type Piece struct {
	N     int // records
	group *group
	shard int
	base  int // index of the first record in the group
}

// Err returns nil if the records are durable.
func (p Piece) Err() error { return p.group.err }

// AppendID appends the id of record i of the piece.
func (p Piece) AppendID(dst []byte, i int) []byte {
	return record.AppendID(dst, p.shard, p.group.seq, p.base+i)
}

// begin counts a put unless the stream is closed.
func (s *Stream) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.puts.Add(1)
	}
	return !s.closed
}

// Put stores records of up to record.MaxBytes each and returns once each is durable or has failed. It
// appends one Piece per group, in the order of the records. The error wraps record.ErrNotFound if
// the stream is closed. The bytes are not kept.
func (s *Stream) Put(ctx context.Context, records [][]byte, pieces []Piece) ([]Piece, error) {
	if !s.begin() {
		return pieces, fmt.Errorf("stream is being deleted: %w", record.ErrNotFound)
	}
	defer s.puts.Done()
	at := s.next.Load()
	pieces, sent := s.gatherers[at%uint64(len(s.gatherers))].put(ctx, records, pieces)
	if sent {
		s.next.CompareAndSwap(at, at+1)
	}
	return pieces, nil
}

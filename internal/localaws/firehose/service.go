// Package firehose serves Data Firehose's API for Direct PUT streams with an S3 destination: the
// definitions of delivery streams, and the wire protocol of their records. Package ingest stores the
// records: a 200 to PutRecord or PutRecordBatch means that they are synced.
//
// Requests are checked in two layers, as in the service: against the API model
// (ValidationException, all violations at once), then for their meaning
// (InvalidArgumentException). Options that this project does not implement are rejected, never
// ignored. Messages of the service are used verbatim; all others contain the next step.
package firehose

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// Config configures a Service. Region and Account are required.
type Config struct {
	Region  string
	Account string           // 12 digits
	Clock   func() time.Time // default time.Now
	Metrics *Metrics         // nil: nothing is counted
	Logger  *slog.Logger     // nil: nothing is logged
	// CheckSchema returns an error if records cannot be converted with the columns of the table.
	// nil: format conversion is refused.
	CheckSchema func(SchemaConfiguration) error
	// OnChange is called with each stream that New finds, and with each created or updated one
	// before the response is sent.
	OnChange func(Stream)
	// OnDelete is called before a stream's definition is removed, when no more records arrive. It
	// discards undelivered records, as AWS does. If the process ends during a deletion, the next
	// New completes it.
	OnDelete func(name string)
	// OnClose is called when another process of the cluster deletes a stream, when no more records arrive here. It stops the
	// delivery.
	OnClose func(name string)
}

// Service serves the delivery streams of one account in one Region. It may be used in parallel.
type Service struct {
	cfg    Config
	shared *documents.Shared
	ingest *ingest.Streams
	puts   space

	change sync.Mutex // held while a definition changes, so that store and memory agree
	mu     sync.RWMutex
	live   map[string]*live // guarded by mu
}

// live is a stream that may change.
type live struct {
	mu     sync.RWMutex
	stream Stream // guarded by mu
}

func (l *live) set(stream Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream = stream
}

func (l *live) current() Stream {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.stream
}

// New reads the streams from the store and opens them for ingest. It starts nothing.
func New(ctx context.Context, cfg Config, store record.Store, streams *ingest.Streams) (*Service, error) {
	if cfg.Region == "" || cfg.Account == "" {
		return nil, errors.New("firehose needs a region and an account")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func(Stream) {}
	}
	if cfg.OnDelete == nil {
		cfg.OnDelete = func(string) {}
	}
	if cfg.OnClose == nil {
		cfg.OnClose = func(string) {}
	}
	s := &Service{cfg: cfg, ingest: streams, live: map[string]*live{}}
	s.shared = documents.Share(store, &s.change, s.apply, nil)
	return s, s.load(ctx)
}

const keyPrefix = "stream/"

func (s *Service) load(ctx context.Context) error {
	err := documents.Load(ctx, s.shared, keyPrefix, func(_ string, stream *Stream) error {
		s.live[stream.Name] = &live{stream: *stream}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.live)) {
		l := s.live[name]
		if l.stream.Status == StatusDeleting {
			if err := s.finishDelete(ctx, name); err != nil {
				return err
			}
			continue
		}
		accepting, err := s.ingest.Open(ctx, name)
		if err != nil {
			return err
		}
		s.ingest.Add(accepting)
		s.cfg.OnChange(l.stream)
	}
	return nil
}

// Streams returns the current streams, sorted by name.
func (s *Service) Streams() []Stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Stream, 0, len(s.live))
	for _, name := range slices.Sorted(maps.Keys(s.live)) {
		all = append(all, s.live[name].current())
	}
	return all
}

// Stream returns the current definition of a stream.
func (s *Service) Stream(name string) (Stream, bool) {
	l := s.find(name)
	if l == nil {
		return Stream{}, false
	}
	return l.current(), true
}

// find returns nil for an unknown stream.
func (s *Service) find(name string) *live {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.live[name]
}

// existing returns the stream that a request names.
func (s *Service) existing(req *request) (*live, *wire.Error) {
	if l := s.find(req.DeliveryStreamName); l != nil {
		return l, nil
	}
	return nil, s.notFound(req.DeliveryStreamName)
}

// save stores a definition and then makes it the current one. The caller holds Service.change.
func (s *Service) save(ctx context.Context, l *live, stream Stream) error {
	if err := s.shared.Save(ctx, keyPrefix+stream.Name, stream); err != nil {
		return err
	}
	l.set(stream)
	return nil
}

// finishDelete discards the records of a stream and removes it. It is repeated after a crash.
func (s *Service) finishDelete(ctx context.Context, name string) error {
	s.cfg.OnDelete(name)
	if err := s.shared.Erase(ctx, keyPrefix+name); err != nil {
		return err
	}
	s.remove(name)
	return nil
}

func (s *Service) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, name)
}

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

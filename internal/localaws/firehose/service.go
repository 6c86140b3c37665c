package firehose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/record"
)

// Config configures a Service. Region and Account are required.
type Config struct {
	Region  string
	Account string           // 12 digits
	Clock   func() time.Time // nil is time.Now
	Metrics *Metrics         // nil counts nothing
	Logger  *slog.Logger     // nil is silent
	// CheckSchema returns the reason for which records cannot be converted with the columns of that table. nil: none can.
	CheckSchema func(SchemaConfiguration) error
	// OnChange is called with each stream that New finds, and with each one that was
	// created or updated, before the call that did it is answered.
	OnChange func(Stream)
	// OnDelete is called before a stream's definition is removed: no record arrives any more, and
	// what is not delivered is to be discarded, as on AWS. A stream that was being deleted
	// when the process ended is deleted by the next New.
	OnDelete func(name string)
}

// Service serves the delivery streams of one account in one Region. It may be used in parallel.
type Service struct {
	cfg    Config
	store  record.Store
	ingest *ingest.Streams
	puts   space

	change sync.Mutex // held while a definition changes, so that Store and memory agree
	mu     sync.RWMutex
	live   map[string]*live // guarded by mu
}

// live is a stream with its revision.
type live struct {
	mu     sync.RWMutex
	stream Stream // guarded by mu
	rev    uint64 // in the Store; guarded by Service.change
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
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func(Stream) {}
	}
	if cfg.OnDelete == nil {
		cfg.OnDelete = func(string) {}
	}
	s := &Service{cfg: cfg, store: store, ingest: streams, live: map[string]*live{}}
	return s, s.load(ctx)
}

const keyPrefix = "stream/"

func (s *Service) load(ctx context.Context) error {
	err := s.store.All(ctx, keyPrefix, func(key string, value []byte, rev uint64) error {
		l := &live{rev: rev}
		if err := json.Unmarshal(value, &l.stream); err != nil {
			return fmt.Errorf("decode the definition at %s: %w", key, err)
		}
		s.live[l.stream.Name] = l
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the delivery streams: %w", err)
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

// Streams returns the current streams, by name.
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

// find returns nil when there is no such stream.
func (s *Service) find(name string) *live {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.live[name]
}

// writeTimeout bounds the write of a definition. A client that goes away does not stop it.
const writeTimeout = 10 * time.Second

// save writes the definition, durably, and then makes it the current one. Service.change
// must be held.
func (s *Service) save(ctx context.Context, l *live, stream Stream) error {
	value, err := json.Marshal(stream)
	if err != nil {
		return fmt.Errorf("encode stream %s: %w", stream.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	rev, err := s.store.Put(ctx, keyPrefix+stream.Name, value, l.rev)
	if err != nil {
		return fmt.Errorf("write stream %s: %w", stream.Name, err)
	}
	l.mu.Lock()
	l.stream, l.rev = stream, rev
	l.mu.Unlock()
	return nil
}

// finishDelete discards what the stream holds and removes it. It is repeated after a crash.
func (s *Service) finishDelete(ctx context.Context, name string) error {
	s.cfg.OnDelete(name)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := s.store.Delete(ctx, keyPrefix+name); err != nil {
		return fmt.Errorf("delete stream %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, name)
	return nil
}

// Package usageplan provides the usage plan index, an in-memory map from (API key id, API id, stage)
// to the usage plan and the customer, and keeps it current.
//
// A Snapshot is immutable. An Index holds the newest one behind an atomic pointer and answers lookups
// without blocking; a missing key is recorded for the next refresh. A Source lists plans and keys:
// APISource calls API Gateway, and other types in this process can implement it too. A SnapshotStore
// shares one snapshot between processes, so that a new process is ready immediately and only one at a
// time calls API Gateway, which allows ten management calls per second and account.
//
// The values of API keys are never decoded, and therefore never held, stored or logged.
package usageplan

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
)

// Source lists all plans and keys. A call may be repeated, is limited by ctx, and is never made
// concurrently by one Index. A source contains no key values.
type Source interface {
	List(ctx context.Context) (Listing, error)
}

// KeySource is an optional interface of a Source: it looks up single keys, which is faster when a
// listing takes many calls.
type KeySource interface {
	// LookupKey returns a key with all of its plans. found is false if there is no such key.
	LookupKey(ctx context.Context, keyID string) (k Key, plans []Plan, found bool, err error)
}

// Config configures an Index.
type Config struct {
	Source Source
	Store  SnapshotStore // optional: shares the snapshot with other processes
	Logger *slog.Logger  // optional

	Every        time.Duration // between refreshes, default 60 s (DefaultEvery); longer if listings are slow
	UnknownEvery time.Duration // minimum time between refreshes for unknown keys, default 30 s
}

// DefaultEvery is the default of Config.Every.
const DefaultEvery = time.Minute

// WritesEvery is how often the shared snapshot is written while nothing changes, with refreshes every DefaultEvery: at the
// first refresh after writesAfter intervals.
const WritesEvery = 4 * DefaultEvery

const (
	maxPending = 1_000           // unknown keys waiting for a refresh
	maxAsked   = 10_000          // keys not yet looked up again
	maxLookups = 20              // single keys per refresh
	askAgain   = 5 * time.Minute // before a key that was not found is looked up again

	// loadShare limits refreshes to this fraction of the time, because the whole account, including
	// deployments, shares API Gateway's quota of management calls.
	loadShare = 5
)

// Stats holds the counters of an Index.
type Stats struct {
	Keys, Plans int           // in the snapshot, including deleted ones that are kept
	Gone        int           // deleted keys that are kept
	Age         time.Duration // of the snapshot; 0 before the first one
	Refreshes   uint64        // adopted listings, from the source or the store
	Failures    uint64        // refreshes that failed
	Lookups     uint64        // single keys looked up
	Unknown     uint64        // lookups of unknown keys
	Pending     int           // unknown keys waiting for a refresh
}

// Index answers lookups from the newest snapshot. It is safe for parallel use.
type Index struct {
	cfg    Config
	log    *slog.Logger
	holder string // random name of this process in the shared lease
	snap   atomic.Pointer[Snapshot]

	refreshes, failures, lookups, unknown atomic.Uint64

	wake   chan struct{} // an unknown key was looked up
	poke   chan struct{} // the source has changed
	loaded chan struct{} // closed once there is a complete snapshot
	turn   chan struct{} // held by the running refresh

	listings, single *failurelog.Log // of refreshes, and of lookups of single keys

	mu      sync.Mutex // guards pending and asked; held only briefly
	pending map[string]struct{}
	asked   map[string]time.Time // keys and when to look them up again

	// Owned by the holder of turn.
	nextFull   time.Time // when the next listing is due
	nextPoked  time.Time // earliest listing after a poke
	nextSingle time.Time // earliest lookup of unknown keys
	poked      bool      // since the last listing
	shared     sharedCopy
}

// New returns an index. It is empty until the first refresh.
func New(cfg Config) (*Index, error) {
	if cfg.Source == nil {
		return nil, errors.New("usage plan index requires a source")
	}
	cfg.Every = cmp.Or(cfg.Every, DefaultEvery)
	cfg.UnknownEvery = cmp.Or(cfg.UnknownEvery, 30*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Index{
		cfg: cfg, log: cfg.Logger, holder: rand.Text(),
		wake: make(chan struct{}, 1), poke: make(chan struct{}, 1), loaded: make(chan struct{}), turn: make(chan struct{}, 1),
		listings: failurelog.New(cfg.Logger, slog.LevelWarn, "refreshing the usage plan index"),
		single:   failurelog.New(cfg.Logger, slog.LevelWarn, "looking up an unknown key"),
		pending:  map[string]struct{}{}, asked: map[string]time.Time{},
	}, nil
}

// Lookup returns the usage plan of this key for this API and stage, and the customer; see
// Snapshot.Lookup. It neither blocks nor allocates. An unknown key, or one whose plans do not cover
// the stage, is recorded for the next refresh.
func (x *Index) Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool) {
	p, exact := &noPlan, false
	if s := x.snap.Load(); s != nil {
		p, customer, known, exact = s.find(keyID, apiID, stage)
	}
	if !known {
		x.unknown.Add(1)
	}
	if !exact && (!known || len(stage) > 0) {
		x.note(keyID)
	}
	return p.Name, p.ID, customer, known
}

// note records a key for the next refresh, unless that would block.
func (x *Index) note(keyID []byte) {
	if len(keyID) == 0 || len(keyID) > 128 || !x.mu.TryLock() {
		return
	}
	defer x.mu.Unlock()
	if _, ok := x.pending[string(keyID)]; ok || len(x.pending) >= maxPending {
		return
	}
	if until, ok := x.asked[string(keyID)]; ok && time.Now().Before(until) {
		return
	}
	x.pending[string(keyID)] = struct{}{}
	signal(x.wake)
}

// Poke makes Run refresh soon, after a change of the source. It does not block.
func (x *Index) Poke() { signal(x.poke) }

// Ready reports whether there was a complete listing. Before that, a key that is not found may still exist.
func (x *Index) Ready() bool {
	s := x.snap.Load()
	return s != nil && s.whole
}

// Wait returns once the index is ready.
func (x *Index) Wait(ctx context.Context) error {
	select {
	case <-x.loaded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Snapshot returns the newest snapshot, or nil before the first one.
func (x *Index) Snapshot() *Snapshot { return x.snap.Load() }

// Pending returns the number of unknown keys waiting for a refresh. If it is not zero after a batch, a
// function may refresh the index and enrich the batch again.
func (x *Index) Pending() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.pending)
}

// Stats returns the counters.
func (x *Index) Stats() Stats {
	st := Stats{
		Refreshes: x.refreshes.Load(), Failures: x.failures.Load(), Lookups: x.lookups.Load(),
		Unknown: x.unknown.Load(), Pending: x.Pending(),
	}
	if s := x.snap.Load(); s != nil {
		st.Keys, st.Plans = s.Len()
		st.Gone = s.gone
		if !s.at.IsZero() {
			st.Age = time.Since(s.at)
		}
	}
	return st
}

// publish makes s the newest snapshot. The caller must hold the turn.
func (x *Index) publish(s *Snapshot) {
	first := s.whole && !x.Ready()
	x.snap.Store(s)
	if first {
		close(x.loaded)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// jitter returns d changed by up to 10 percent.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((mathrand.Float64()-0.5)*0.2*float64(d))
}

package usageplan

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
)

// Source lists everything there is. A call may be repeated, is bounded by ctx, and is never made
// twice at the same time by one Directory. It holds no key values.
type Source interface {
	List(ctx context.Context) (Listing, error)
}

// KeySource is what a Source may also be: it looks up single keys, which is quicker than a listing
// where a listing takes many calls.
type KeySource interface {
	// LookupKey returns a key with all of its plans. found is false if there is no such key.
	LookupKey(ctx context.Context, keyID string) (k Key, plans []Plan, found bool, err error)
}

// Config of a Directory.
type Config struct {
	Source Source
	Store  SnapshotStore // optional: shares the snapshot with other processes
	Logger *slog.Logger  // optional

	Every        time.Duration // between refreshes, default 60 s; longer where a listing takes long
	UnknownEvery time.Duration // the least time between two refreshes for unknown keys, default 30 s
	AskAgain     time.Duration // how long a key that was asked for and did not resolve is not asked for again, default 5 min
	MaxLookups   int           // single keys per refresh, default 20; more unknown keys are a reason to list everything
	Holder       string        // names this process in the shared lease; default a random one
}

const (
	maxPending = 1_000  // unknown keys that wait for a refresh
	maxAsked   = 10_000 // keys that are not asked for again yet

	// loadShare keeps refreshes to this part of the time: API Gateway's quota of management calls is
	// the account's, deployments included.
	loadShare = 5
)

// Stats of a Directory.
type Stats struct {
	Keys, Plans int           // in the snapshot, remembered ones included
	Gone        int           // keys that are remembered, though deleted
	Age         time.Duration // of the snapshot; 0 before the first
	Refreshes   uint64        // listings taken over, from the source or the store
	Failures    uint64        // refreshes that failed
	Lookups     uint64        // single keys looked up
	Unknown     uint64        // answers for a key that was not known
	Pending     int           // unknown keys that wait for a refresh
}

// Directory answers look-ups from the newest snapshot. It is safe for parallel use.
type Directory struct {
	cfg  Config
	log  *slog.Logger
	snap atomic.Pointer[Snapshot]

	refreshes, failures, lookups, unknown atomic.Uint64

	wake   chan struct{} // an unknown key showed up
	poke   chan struct{} // the source has changed
	loaded chan struct{} // closed once there is a whole snapshot
	turn   chan struct{} // held by the one refresh at a time

	listings, single *failurelog.Log // of refreshes, and of look-ups of single keys

	mu      sync.Mutex // guards pending and asked; held for moments only
	pending map[string]struct{}
	asked   map[string]time.Time // until when the answer stands

	// Owned by whoever holds the turn.
	nextFull   time.Time // when the next listing is due
	nextPoked  time.Time // before this even a poke waits
	nextSingle time.Time // before this unknown keys wait
	poked      bool      // since the last listing
}

// New checks cfg. The directory is empty until the first refresh.
func New(cfg Config) (*Directory, error) {
	if cfg.Source == nil {
		return nil, errors.New("usage plan directory needs a source")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.Every, time.Minute)
	def(&cfg.UnknownEvery, 30*time.Second)
	def(&cfg.AskAgain, 5*time.Minute)
	if cfg.MaxLookups <= 0 {
		cfg.MaxLookups = 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Holder == "" {
		cfg.Holder = randomName()
	}
	return &Directory{
		cfg: cfg, log: cfg.Logger,
		wake: make(chan struct{}, 1), poke: make(chan struct{}, 1), loaded: make(chan struct{}), turn: make(chan struct{}, 1),
		listings: failurelog.New(cfg.Logger, slog.LevelWarn, "refreshing the usage plan index"),
		single:   failurelog.New(cfg.Logger, slog.LevelWarn, "looking up an unknown key"),
		pending:  map[string]struct{}{}, asked: map[string]time.Time{},
	}, nil
}

// Lookup returns the usage plan of this key for this API and stage, and the customer; see
// Snapshot.Lookup. It does not wait and does not allocate. A key that is not known, or whose plans
// do not cover the stage, is noted for the next refresh.
func (d *Directory) Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool) {
	var p *Plan
	exact := false
	if s := d.snap.Load(); s != nil {
		p, customer, known, exact = s.find(keyID, apiID, stage)
	}
	if !known {
		d.unknown.Add(1)
	}
	if !exact && (!known || len(stage) > 0) {
		d.note(keyID)
	}
	if p == nil {
		return "", "", customer, known
	}
	return p.Name, p.ID, customer, known
}

// note puts a key down for the next refresh, unless it would have to wait.
func (d *Directory) note(keyID []byte) {
	if len(keyID) == 0 || len(keyID) > 128 || !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	if _, ok := d.pending[string(keyID)]; ok || len(d.pending) >= maxPending {
		return
	}
	if until, ok := d.asked[string(keyID)]; ok && time.Now().Before(until) {
		return
	}
	d.pending[string(keyID)] = struct{}{}
	signal(d.wake)
}

// Poke says that the source has changed: Run refreshes at once. It does not wait.
func (d *Directory) Poke() { signal(d.poke) }

// Ready says whether there was a whole listing yet. Before, an unknown key means nothing.
func (d *Directory) Ready() bool {
	s := d.snap.Load()
	return s != nil && s.whole
}

// Wait returns once the directory is ready.
func (d *Directory) Wait(ctx context.Context) error {
	select {
	case <-d.loaded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Snapshot returns the newest snapshot, nil before the first.
func (d *Directory) Snapshot() *Snapshot { return d.snap.Load() }

// Pending returns how many unknown keys wait for a refresh. A function that finds some after a batch
// may refresh and enrich the batch again.
func (d *Directory) Pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.pending)
}

// Stats returns the counters as they stand.
func (d *Directory) Stats() Stats {
	st := Stats{
		Refreshes: d.refreshes.Load(), Failures: d.failures.Load(), Lookups: d.lookups.Load(),
		Unknown: d.unknown.Load(), Pending: d.Pending(),
	}
	if s := d.snap.Load(); s != nil {
		st.Keys, st.Plans = s.Len()
		st.Gone = s.gone
		if !s.at.IsZero() {
			st.Age = time.Since(s.at)
		}
	}
	return st
}

// publish makes s the newest snapshot. The caller holds the turn.
func (d *Directory) publish(s *Snapshot) {
	first := s.whole && !d.Ready()
	d.snap.Store(s)
	if first {
		close(d.loaded)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// jitter returns d, shorter or longer by up to a tenth.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/durable/lease"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/record"
)

// inFlight limits the concurrent calls of the function. Firehose makes up to five.
const inFlight = 3

// Config configures a Worker.
type Config struct {
	// Destination returns the newest destination. A new Version closes the open flush. The stream's
	// name must not change. Destination is called up to twenty times a second, and for each flush.
	Destination func() Destination
	Shard       int
	// SpoolDir holds objects that are too large for memory. It is created when needed. By default
	// a folder in the system's directory of temporary files.
	SpoolDir string
	// Shared is set when other processes deliver from the same log and store: a lease then decides
	// which worker delivers. Otherwise the worker is the only one and starts immediately.
	Shared  bool
	Metrics *Metrics // by default its own
	Faults  *Faults
	Logger  *slog.Logger     // with the key component; by default discards
	Now     func() time.Time // by default time.Now
}

// destinationAge limits the age of a cached result of Config.Destination. A new flush always
// calls it.
const destinationAge = 50 * time.Millisecond

// Worker delivers one shard of one stream.
type Worker struct {
	cfg    Config
	log    Log
	store  record.Store
	sink   Sink
	fn     Transformer
	stream string
	owner  string
	logger *slog.Logger
	now    func() time.Time

	putFailures, stateFailures, trimFailures, logFailures, functionFailures, runFailures *failurelog.Log

	memory   memory
	requests requests
	newest   atomic.Pointer[cachedDestination]
	stopped  chan struct{} // closed when Run returns
	started  atomic.Bool
	epoch    string      // of the delivery state; owned by session
	proven   bool        // the log is the one that the delivery state is about; owned by session
	seen     place       // newest frame that was read; owned by session
	standby  atomic.Bool // waiting for the shard's lease

	// Arrival times, in ms, of the oldest record being collected and of the oldest being
	// delivered; 0 means none.
	collecting, delivering atomic.Int64

	done atomic.Uint64 // sequence of the last delivered frame

	mu     sync.Mutex // guards counts and last
	counts Counts
	last   time.Time
}

// place is a frame of the log.
type place struct {
	seq   uint64 // 0: none
	sum   uint32 // its record.FrameSum
	epoch string // of the delivery state then
}

// cachedDestination is a destination and the time when it was read.
type cachedDestination struct {
	at time.Time
	Destination
}

// destination returns the newest destination, cached for destinationAge.
func (w *Worker) destination(now time.Time) *cachedDestination {
	if d := w.newest.Load(); d != nil && now.Sub(d.at) < destinationAge && !now.Before(d.at) {
		return d
	}
	d := &cachedDestination{now, w.cfg.Destination()}
	w.newest.Store(d)
	return d
}

// New returns a worker; Run starts it.
func New(cfg Config, log Log, store record.Store, sink Sink, fn Transformer) (*Worker, error) {
	if cfg.Destination == nil || cfg.Faults == nil || log == nil || store == nil || sink == nil || fn == nil {
		return nil, errors.New("create delivery worker: destination, faults, log, store, sink or transformer missing")
	}
	if cfg.SpoolDir == "" {
		cfg.SpoolDir = filepath.Join(os.TempDir(), "stagelog-spool")
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	stream := cfg.Destination().Stream
	w := &Worker{
		cfg: cfg, log: log, store: store, sink: sink, fn: fn,
		stream: stream, owner: uuid.NewString(), now: cfg.Now,
		logger:  cfg.Logger.With("stream", stream, "shard", cfg.Shard),
		stopped: make(chan struct{}),
	}
	w.memory.dir = cfg.SpoolDir
	for what, l := range map[string]**failurelog.Log{
		"delivery": &w.putFailures, "writing the delivery state": &w.stateFailures, "trimming the buffer": &w.trimFailures,
		"reading the buffer's last sequence": &w.logFailures,
		"calling the function":               &w.functionFailures, "the delivery worker": &w.runFailures,
	} {
		*l = failurelog.New(w.logger, slog.LevelWarn, what)
	}
	return w, nil
}

// Run delivers until ctx ends and then returns nil; undelivered records stay in the log. It
// continues after failures of any kind, except when the delivery state is unusable. When
// another worker has taken over the shard, the error wraps record.ErrConflict; a Shared
// worker goes to standby instead. Run may be called once.
func (w *Worker) Run(ctx context.Context) error {
	if !w.started.CompareAndSwap(false, true) {
		panic("BUG: Worker.Run called twice")
	}
	defer close(w.stopped)
	w.cfg.Metrics.backlog.workers.Store(w, nil)
	defer w.cfg.Metrics.backlog.workers.Delete(w)
	for n := 1; ; n++ {
		before := w.done.Load()
		err := w.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case w.cfg.Shared && (errors.Is(err, lease.ErrLost) || errors.Is(err, record.ErrConflict)):
			w.logger.Warn("lost the shard to another worker; standing by", "error", err)
			continue
		case errors.Is(err, record.ErrConflict):
			return fmt.Errorf("deliver %s/%d: another worker has taken over: %w", w.stream, w.cfg.Shard, err)
		case errors.Is(err, errState):
			return fmt.Errorf("deliver %s/%d: %w", w.stream, w.cfg.Shard, err)
		}
		if w.done.Load() > before {
			n = 1
		}
		w.runFailures.Failed(err)
		if err := retry.Sleep(ctx, waits.Wait(n)); err != nil {
			return nil
		}
	}
}

// turn waits for the shard's lease and runs a session while holding it.
func (w *Worker) turn(ctx context.Context) error {
	if !w.cfg.Shared {
		return w.session(ctx)
	}
	w.standby.Store(true)
	l := &lease.Lease{Store: w.store, Key: leaseKey(w.stream, w.cfg.Shard), Owner: w.owner, What: "delivery", Log: w.logger}
	return l.Hold(ctx, func(ctx context.Context) error {
		w.standby.Store(false)
		defer w.standby.Store(true)
		return w.session(ctx)
	})
}

// State describes the progress of a worker.
type State struct {
	Counts    Counts
	Delivered uint64              // sequence of the last delivered frame
	Age       time.Duration       // of the oldest record that was read but not delivered, 0 if none
	Last      time.Time           // this worker's last delivery; zero means none
	Failures  []failurelog.Series // current failures
}

// State returns the progress of the worker.
func (w *Worker) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := State{Counts: w.counts, Delivered: w.done.Load(), Age: w.backlogAge(), Last: w.last}
	for _, l := range []*failurelog.Log{w.putFailures, w.stateFailures, w.trimFailures, w.logFailures, w.functionFailures, w.runFailures} {
		if series, failing := l.Series(); failing {
			s.Failures = append(s.Failures, series)
		}
	}
	return s
}

// Counts returns what this worker has delivered.
func (w *Worker) Counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}

// backlogAge returns the age of the oldest record that was read but not delivered.
func (w *Worker) backlogAge() time.Duration {
	oldest := w.delivering.Load()
	if oldest == 0 {
		oldest = w.collecting.Load()
	}
	if oldest == 0 {
		return 0
	}
	return max(0, w.now().Sub(time.UnixMilli(oldest)))
}

// delivered updates counts and position after a flush is committed.
func (w *Worker) delivered(c *flush) {
	w.runFailures.Worked()
	w.cfg.Metrics.delivered(c, w.now())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.add(c.count)
	w.last = w.now()
	w.done.Store(c.last)
}

// put counts an object that was put.
func (w *Worker) put(kind string, size int64) {
	w.cfg.Metrics.objects.WithLabelValues(w.stream, kind).Inc()
	w.cfg.Metrics.objectBytes.WithLabelValues(w.stream, kind).Add(float64(size))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.Objects++
}

// metricKind returns the kind of the object as a metric label.
func (o *object) metricKind() string {
	kind, _, _ := strings.Cut(o.part, "\x00")
	return kind
}

package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// ErrRefused means that a stream will never accept the lines, because it does not exist, for example. A put that
// returns an error which wraps it is not tried again, and its lines are lost and counted.
var ErrRefused = errors.New("the stream refuses the lines")

// LoggerConfig configures how lines are gathered and sent.
type LoggerConfig struct {
	// Put hands lines to a stream, and may be called again with lines that it took: a failure
	// may come after the taking. It is called by one goroutine at a time for a stream, at most
	// 500 lines and 4 MiB at once, and may not keep the lines. An error means that none was
	// taken, failed says which were not; both are tried again unless the error is ErrRefused.
	Put func(ctx context.Context, stream string, records [][]byte) (failed []int, err error)

	MaxBytes int64         // of lines that wait, default 64 MiB. One stream may fill half of it
	Linger   time.Duration // how long a line waits to be sent with others, default 10 ms
	Backoff  time.Duration // before the second try, default 50 ms; doubles up to MaxBackoff
	// MaxBackoff is the longest wait between two tries, default 5 s.
	MaxBackoff time.Duration
	Grace      time.Duration // how long Run hands over what is left after its context ended, default 5 s
	Logger     *slog.Logger  // default: nothing is logged
	Metrics    *Metrics      // default: counted, but registered nowhere
}

// Logger is the Sink that hands lines to delivery streams. It is safe for concurrent use.
type Logger struct {
	cfg LoggerConfig
	log *slog.Logger

	queues sync.Map // stream -> *queue; streams are few, and they stay
	news   chan struct{}
	bytes  atomic.Int64 // of all queues

	accepted, delivered, lost, retries atomic.Int64

	losing atomic.Bool // lines are being lost to a full queue; logged when it changes
	lostAt atomic.Int64
}

// NewLogger returns a Logger. It accepts lines at once; Run or Drain sends them.
func NewLogger(cfg LoggerConfig) *Logger {
	setDefault(&cfg.MaxBytes, 64<<20)
	setDefault(&cfg.Linger, 10*time.Millisecond)
	setDefault(&cfg.Backoff, 50*time.Millisecond)
	setDefault(&cfg.MaxBackoff, 5*time.Second)
	setDefault(&cfg.Grace, 5*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	return &Logger{cfg: cfg, log: cfg.Logger, news: make(chan struct{}, 1)}
}

func setDefault[T int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// LoggerStats counts lines since the start. Accepted = Delivered + Waiting + what was refused
// by its stream after it was accepted.
type LoggerStats struct {
	Accepted     int64 // taken into the queue
	Delivered    int64 // taken by their stream
	Lost         int64 // dropped because the queue was full, the line too long, or the stream refused it
	Failures     int64 // puts that were not taken whole
	WaitingBytes int64
}

// Stats returns the counts so far.
func (l *Logger) Stats() LoggerStats {
	return LoggerStats{
		Accepted: l.accepted.Load(), Delivered: l.delivered.Load(), Lost: l.lost.Load(),
		Failures: l.retries.Load(), WaitingBytes: l.bytes.Load(),
	}
}

// Log implements Sink. It never waits: a line that does not fit the queue is lost and counted.
func (l *Logger) Log(stream string, line []byte) {
	n := int64(len(line))
	if n > record.MaxBytes {
		l.lose(1)
		return
	}
	q := l.queue(stream)
	total := l.bytes.Add(n)
	if total > l.cfg.MaxBytes || !q.add(line, l.cfg.MaxBytes/2) {
		l.bytes.Add(-n)
		l.lose(1)
		l.full(stream)
		return
	}
	l.accepted.Add(1)
	l.cfg.Metrics.lines.Inc()
	l.cfg.Metrics.queueBytes.Add(float64(n))
	if total < l.cfg.MaxBytes/4 && l.losing.Load() {
		l.roomAgain()
	}
}

func (l *Logger) lose(n int) {
	l.lost.Add(int64(n))
	l.cfg.Metrics.lost.Add(float64(n))
}

func (l *Logger) full(stream string) {
	if l.losing.CompareAndSwap(false, true) {
		l.lostAt.Store(l.lost.Load() - 1)
		l.log.Error("the queue of access log lines is full: lines are lost", "stream", stream, "bytes", l.bytes.Load())
	}
}

// roomAgain ends the losing once the queue is well below full, so that a queue at the brim
// does not fill the log.
func (l *Logger) roomAgain() {
	if l.losing.CompareAndSwap(true, false) {
		l.log.Warn("the queue of access log lines accepts lines again", "lost", l.lost.Load()-l.lostAt.Load())
	}
}

func (l *Logger) queue(stream string) *queue {
	if q, ok := l.queues.Load(stream); ok {
		return q.(*queue)
	}
	q, loaded := l.queues.LoadOrStore(stream, l.newQueue(stream))
	if !loaded {
		select {
		case l.news <- struct{}{}:
		default:
		}
	}
	return q.(*queue)
}

// Run hands lines over until ctx ends, and then, for at most Grace, what is left.
func (l *Logger) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	running := map[*queue]bool{}
	for ctx.Err() == nil {
		l.queues.Range(func(_, v any) bool {
			if q := v.(*queue); !running[q] {
				running[q] = true
				senders.Go(func() { l.send(ctx, q) })
			}
			return true
		})
		select {
		case <-l.news:
		case <-ctx.Done():
		}
	}
	senders.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.Grace)
	defer cancel()
	if err := l.Drain(end); err != nil {
		l.log.Error("access log lines were not handed over before the end", "bytes", l.bytes.Load(), "err", err)
	}
	return nil
}

// Drain returns once every line that was logged before the call is handed over, or lost to a
// stream that refuses it. It does not need Run, and may run beside it.
func (l *Logger) Drain(ctx context.Context) error {
	errs := make(chan error)
	n := 0
	l.queues.Range(func(_, v any) bool {
		n++
		go func() { errs <- l.drain(ctx, v.(*queue)) }()
		return true
	})
	var all []error
	for range n {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

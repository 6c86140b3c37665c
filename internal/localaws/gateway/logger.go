package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// ErrRefused means that a stream will never accept the lines, for example because it does not exist. A put
// with an error that wraps it is not retried, and its lines are counted as lost.
var ErrRefused = errors.New("stream rejected the lines")

// LoggerConfig configures a Logger.
type LoggerConfig struct {
	// Put sends lines to a stream. It may be called again with lines that the stream has accepted, if it
	// returned an error. It is called by one goroutine per stream, with at most 500 lines and 4 MiB, and
	// must not keep the lines. With an error no line was accepted; failed lists the lines that were not.
	// Both are retried, unless the error is ErrRefused.
	Put func(ctx context.Context, stream string, records [][]byte) (failed []int, err error)

	MaxBytes int64         // of queued lines, default 64 MiB. One stream may use half of it
	Linger   time.Duration // time that a line waits to be batched, default 10 ms
	Backoff  time.Duration // before the first retry, default 50 ms; doubles up to MaxBackoff
	// MaxBackoff is the longest wait between two attempts, default 5 s.
	MaxBackoff time.Duration
	Grace      time.Duration // time for Run to send the remaining lines after its context ended, default 5 s
	Logger     *slog.Logger  // default: nothing is logged
	Metrics    *Metrics      // default: not registered
}

// Logger is the Sink that sends lines to delivery streams. It is safe for concurrent use.
type Logger struct {
	cfg LoggerConfig
	log *slog.Logger

	queues sync.Map // stream -> *queue; streams are few, and never removed
	news   chan struct{}
	bytes  atomic.Int64 // of all queues

	accepted, delivered, lost, retries atomic.Int64

	losing atomic.Bool // lines are being lost because the queue is full; logged when it changes
	lostAt atomic.Int64
}

// NewLogger returns a Logger, which accepts lines at once. Run or Drain sends them.
func NewLogger(cfg LoggerConfig) *Logger {
	setDefault(&cfg.MaxBytes, 64<<20)
	setDefault(&cfg.Linger, 10*time.Millisecond)
	setDefault(&cfg.Backoff, 50*time.Millisecond)
	setDefault(&cfg.MaxBackoff, 5*time.Second)
	setDefault(&cfg.Grace, 5*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
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

// LoggerStats holds counts of lines since the start. Accepted = Delivered + waiting lines + those that the
// stream refused after they were queued.
type LoggerStats struct {
	Accepted     int64 // queued
	Delivered    int64 // accepted by their stream
	Lost         int64 // because the queue was full, the line too long, or the stream refused it
	Failures     int64 // puts of which the stream did not accept all lines
	WaitingBytes int64
}

// Stats returns the counts so far.
func (l *Logger) Stats() LoggerStats {
	return LoggerStats{
		Accepted: l.accepted.Load(), Delivered: l.delivered.Load(), Lost: l.lost.Load(),
		Failures: l.retries.Load(), WaitingBytes: l.bytes.Load(),
	}
}

// Log implements Sink. It never blocks: a line that does not fit into the queue is counted as lost.
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
		l.recovered()
	}
}

func (l *Logger) lose(n int) {
	l.lost.Add(int64(n))
	l.cfg.Metrics.lost.Add(float64(n))
}

func (l *Logger) full(stream string) {
	if l.losing.CompareAndSwap(false, true) {
		l.lostAt.Store(l.lost.Load() - 1)
		l.log.Error("access log queue full; dropping lines", "stream", stream, "bytes", l.bytes.Load())
	}
}

// recovered logs the end of the losses. It is called once the queue is well below full, so that a queue close
// to its limit does not flood the log.
func (l *Logger) recovered() {
	if l.losing.CompareAndSwap(true, false) {
		l.log.Warn("access log queue recovered", "lost", l.lost.Load()-l.lostAt.Load())
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

// Run sends lines until ctx ends, and then the remaining ones for at most Grace.
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
		l.log.Error("access log lines not sent before shutdown", "bytes", l.bytes.Load(), "error", err)
	}
	return nil
}

// Drain returns once every line logged before the call was sent, or refused by its stream. It does not need
// Run, and may run concurrently with it.
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

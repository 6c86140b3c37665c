package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/durable/retry"
	"github.com/stagelog/stagelog/internal/record"
)

// maxSpareBytes is the largest batch whose memory an idle queue keeps.
const maxSpareBytes = 1 << 20

// batch holds the lines of one put, concatenated in text.
type batch struct {
	text  []byte
	ends  []int // where each line ends in text
	since time.Time
}

func (b *batch) fits(n int) bool {
	return len(b.ends) < record.MaxBatchRecords && len(b.text)+n <= record.MaxBatchBytes
}

// records returns the lines. They alias the batch.
func (b *batch) records() [][]byte {
	out := make([][]byte, len(b.ends))
	from := 0
	for i, end := range b.ends {
		out[i] = b.text[from:end:end]
		from = end
	}
	return out
}

// queue holds the waiting lines of one stream in their order.
type queue struct {
	stream string
	turn   chan struct{} // holds a token while no send is running
	some   chan struct{} // holds a token when there are lines to send
	full   chan struct{} // holds a token when a batch is full and need not linger

	mu      sync.Mutex // guards the following
	batches []*batch   // the last one is open
	bytes   int64
	spare   *batch

	// The following are owned by the goroutine that has the turn.
	puts, refusals *failurelog.Log
	failed         int       // failed attempts of the first batch
	notBefore      time.Time // of the next attempt
}

func (l *Logger) newQueue(stream string) *queue {
	q := &queue{stream: stream, turn: make(chan struct{}, 1), some: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	log := l.log.With("stream", stream)
	q.puts = failurelog.New(log, slog.LevelWarn, "sending access log lines")
	q.refusals = failurelog.New(log, slog.LevelError, "sending access log lines")
	q.turn <- struct{}{}
	return q
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add copies a line into the open batch. It returns false if the queue would exceed maxBytes.
func (q *queue) add(line []byte, maxBytes int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+int64(len(line)) > maxBytes {
		return false
	}
	last := len(q.batches) - 1
	if last < 0 || !q.batches[last].fits(len(line)) {
		if last >= 0 {
			token(q.full)
		}
		b := q.spare
		q.spare = nil
		if b == nil {
			b = &batch{}
		}
		b.since = time.Now()
		q.batches = append(q.batches, b)
		last++
		token(q.some)
	}
	b := q.batches[last]
	b.text = append(b.text, line...)
	b.ends = append(b.ends, len(b.text))
	q.bytes += int64(len(line))
	if len(b.ends) == record.MaxBatchRecords {
		token(q.full)
	}
	return true
}

// take removes and returns the first batch, nil if there is none.
func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return nil
	}
	b := q.batches[0]
	q.batches[0] = nil
	q.batches = q.batches[1:]
	if len(q.batches) == 0 {
		q.batches = nil
	}
	return b
}

// giveBack puts a batch back to the front of the queue, or keeps its memory if it is empty. gone is the size of
// the lines removed from it.
func (q *queue) giveBack(b *batch, gone int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= int64(gone)
	switch {
	case len(b.ends) > 0:
		q.batches = append([]*batch{b}, q.batches...)
	case cap(b.text) <= maxSpareBytes:
		q.spare = b
	}
}

// lingering returns how much longer the first batch waits for more lines, and whether there is a batch.
func (q *queue) lingering(linger time.Duration) (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return 0, false
	}
	if len(q.batches) > 1 || len(q.batches[0].ends) == record.MaxBatchRecords {
		return 0, true
	}
	return linger - time.Since(q.batches[0].since), true
}

// send sends the lines of a queue until ctx ends.
func (l *Logger) send(ctx context.Context, q *queue) {
	for ctx.Err() == nil {
		wait, some := q.lingering(l.cfg.Linger)
		if !some {
			select {
			case <-q.some:
			case <-ctx.Done():
			}
			continue
		}
		if wait > 0 {
			pause(ctx, wait, q.full)
			continue // the token may be from the previous batch
		}
		_ = l.sendAll(ctx, q, 1) // fails only when ctx ended; Run logs what remains
	}
}

// drain sends the lines that wait now, including the open batch and one that is being sent.
func (l *Logger) drain(ctx context.Context, q *queue) error {
	if err := q.waitTurn(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	n := len(q.batches)
	q.mu.Unlock()
	q.turn <- struct{}{}
	return l.sendAll(ctx, q, n)
}

func (q *queue) waitTurn(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case <-q.turn:
			return nil
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("send lines to %s: %w", q.stream, ctx.Err())
}

// sendAll sends the first n batches, and retries each until its stream accepts it. It releases the turn
// between attempts.
func (l *Logger) sendAll(ctx context.Context, q *queue, n int) error {
	for sent := 0; sent < n; {
		if err := q.waitTurn(ctx); err != nil {
			return err
		}
		wait, done := time.Until(q.notBefore), false
		if wait <= 0 {
			done = l.sendFirst(ctx, q)
			l.backOff(q, done)
		}
		q.turn <- struct{}{}
		if done {
			sent++
		} else if wait > 0 {
			pause(ctx, wait, nil)
		}
	}
	return nil
}

// backOff sets the time of the next attempt. The caller has the turn.
func (l *Logger) backOff(q *queue, done bool) {
	if done {
		q.failed, q.notBefore = 0, time.Time{}
		return
	}
	q.failed++
	waits := retry.Policy{First: l.cfg.Backoff, Max: l.cfg.MaxBackoff}
	q.notBefore = time.Now().Add(waits.Wait(q.failed))
}

// sendFirst sends the first batch. It returns false if some of its lines must be retried.
func (l *Logger) sendFirst(ctx context.Context, q *queue) (done bool) {
	b := q.take()
	if b == nil {
		return true
	}
	failed, err := l.cfg.Put(ctx, q.stream, b.records())
	lines, bytes := len(b.ends), len(b.text)
	refused := errors.Is(err, ErrRefused)
	switch {
	case refused:
		l.lose(lines)
		b.keep(nil)
	case err == nil:
		b.keep(failed)
		l.delivered.Add(int64(lines - len(b.ends)))
	}
	l.note(q, b, lines, err)
	gone := bytes - len(b.text)
	l.bytes.Add(-int64(gone))
	l.cfg.Metrics.queueBytes.Sub(float64(gone))
	done = len(b.ends) == 0 // before giveBack, after which lines may be added
	q.giveBack(b, gone)
	return done
}

// keep removes all lines except those with these indexes.
func (b *batch) keep(indexes []int) {
	sorted := slices.Compact(slices.Sorted(slices.Values(indexes)))
	lines, text := 0, 0
	for _, i := range sorted {
		if i < 0 || i >= len(b.ends) {
			continue
		}
		from := 0
		if i > 0 {
			from = b.ends[i-1]
		}
		text += copy(b.text[text:], b.text[from:b.ends[i]])
		b.ends[lines] = text
		lines++
	}
	b.text, b.ends = b.text[:text], b.ends[:lines]
}

// errPartly is logged for failures of single lines.
var errPartly = errors.New("stream accepted only some of the lines")

// note counts a put, and logs when puts to the stream start to fail or recover. b holds the remaining lines.
func (l *Logger) note(q *queue, b *batch, lines int, err error) {
	switch {
	case errors.Is(err, ErrRefused):
		q.refusals.Failed(err, "lost", lines)
	case err != nil:
		q.puts.Failed(err, "waiting", lines)
	case len(b.ends) > 0:
		q.puts.Failed(errPartly, "waiting", len(b.ends))
	default:
		q.puts.Worked()
		q.refusals.Worked()
		return
	}
	l.retries.Add(1)
	l.cfg.Metrics.putRetries.Inc()
}

// pause waits for d, a token from early, or the end of ctx.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-ctx.Done():
	}
}

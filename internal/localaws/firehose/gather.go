package firehose

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failpoint"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// maxInFlight is how many full frames of a shard are appended at once. One that is not
	// full waits for those before it: what arrives meanwhile goes with it.
	maxInFlight = 4
	// maxWaitingBytes bounds what waits for its frame in one shard.
	maxWaitingBytes = 64 << 20
	// gatherBytes is when gathering stops: a frame of this size pays for its sync.
	gatherBytes = 64 << 10
	// appendTimeout bounds one append. Whoever waits for it is told to come again.
	appendTimeout = 30 * time.Second
)

// gatherer puts the records of many requests into few frames of one shard. While a frame is
// being stored, arriving records gather in the next one; when none is, they wait for company
// for as long as linger says. They don't when they are enough already, or when as many
// requests have come as shared the last frame: everybody is here.
type gatherer struct {
	log     Log
	shard   int
	linger  time.Duration
	clock   func() time.Time
	metrics *Metrics
	logger  *slog.Logger
	frames  sync.Pool // *[]byte

	mu       sync.Mutex // guards what follows
	queue    []*group   // not yet under way, oldest first
	open     *group     // the last of queue, while it takes records
	inFlight int
	company  int // requests in the last frame that went
	waiting  int // bytes in queue
	failures int // appends that failed since the last good one
}

// group is the records of one frame. It is stored by the request that began it.
type group struct {
	records [][]byte // of several requests, which wait; nil once stored
	bytes   int
	full    bool
	due     bool // it has waited for company long enough
	puts    int  // requests in it
	arrived time.Time
	turn    chan struct{} // closed when it may be stored
	done    chan struct{} // closed when seq and err are set
	seq     uint64
	err     error
}

// piece is the part of a request's records that is in one group.
type piece struct {
	group *group
	shard int
	base  int // index of its first record in the group
	n     int
}

func newGatherer(log Log, shard int, cfg Config, stream string) *gatherer {
	return &gatherer{log: log, shard: shard, linger: cfg.Gather, clock: cfg.Clock, metrics: cfg.Metrics, logger: cfg.Logger.With("stream", stream)}
}

// put stores the records and returns once all are stored or have failed: see the pieces'
// groups. sent says whether everything was under way when it was handed in, so that the
// next request may as well take another shard.
func (q *gatherer) put(ctx context.Context, records [][]byte, pieces []piece) (_ []piece, sent bool) {
	var begunSpace [8]*group
	pieces, begun, sent := q.add(records, pieces, begunSpace[:0])
	// Groups beyond the first are stored in parallel. All are waited for below.
	for i := 1; i < len(begun); i++ {
		go q.store(ctx, begun[i])
	}
	if len(begun) > 0 {
		q.store(ctx, begun[0])
	}
	for _, p := range pieces {
		<-p.group.done
	}
	return pieces, sent
}

// add hands the records in. The caller stores the groups that it began.
func (q *gatherer) add(records [][]byte, pieces []piece, begun []*group) ([]piece, []*group, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting > maxWaitingBytes {
		done := make(chan struct{})
		close(done)
		return append(pieces, piece{group: &group{err: errBusy, done: done}, shard: q.shard, n: len(records)}), begun, true
	}
	for len(records) > 0 {
		g := q.open
		if g == nil {
			g = &group{arrived: q.clock(), turn: make(chan struct{}), done: make(chan struct{})}
			q.open = g
			q.queue = append(q.queue, g)
			begun = append(begun, g)
			q.companyFor(g)
		}
		base := len(g.records)
		n := g.take(records)
		if n > 0 {
			pieces = append(pieces, piece{g, q.shard, base, n})
			g.puts++
			records = records[n:]
		}
		if len(records) > 0 {
			g.full = true
			q.open = nil
		}
	}
	for _, p := range pieces {
		for _, r := range p.group.records[p.base : p.base+p.n] {
			q.waiting += len(r)
		}
	}
	q.dispatch()
	return pieces, begun, q.open == nil
}

var errBusy = errors.Join(record.ErrFull, errors.New("too many records wait to be stored"))

// take appends as many records as the frame holds. A frame with nothing in it holds any
// record.
func (g *group) take(records [][]byte) int {
	for i, r := range records {
		if record.FrameBytes(len(g.records)+1, g.bytes+len(r)) > record.MaxFrameBytes && len(g.records) > 0 {
			return i
		}
		g.records = append(g.records, r)
		g.bytes += len(r)
	}
	return len(records)
}

// companyFor gives a new group its time to gather. q.mu must be held.
func (q *gatherer) companyFor(g *group) {
	if q.linger <= 0 {
		g.due = true
		return
	}
	time.AfterFunc(q.linger, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		g.due = true
		q.dispatch()
	})
}

// dispatch lets groups go whose turn it is. q.mu must be held.
func (q *gatherer) dispatch() {
	for len(q.queue) > 0 {
		g := q.queue[0]
		if q.inFlight > 0 && (!g.full || q.inFlight >= maxInFlight) {
			return
		}
		everybody := q.company > 1 && g.puts >= q.company
		if !g.due && !g.full && !everybody && g.bytes < gatherBytes {
			return
		}
		q.queue = q.queue[1:]
		if q.open == g {
			q.open = nil
		}
		q.inFlight++
		q.company = g.puts
		q.waiting -= g.bytes
		close(g.turn)
	}
	q.queue = nil
}

// store waits for the group's turn, stores it, and tells everybody who waits. A client
// that goes away does not stop it: others' records are in it.
func (q *gatherer) store(ctx context.Context, g *group) {
	<-g.turn
	frame, ok := q.frames.Get().(*[]byte)
	if !ok {
		frame = new([]byte)
	}
	*frame = record.Batch{Arrived: g.arrived, Records: g.records}.AppendFrame((*frame)[:0])
	failpoint.At(failpoint.Received)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	g.seq, g.err = q.log.Append(ctx, *frame)
	cancel()
	q.frames.Put(frame)
	q.metrics.latency.Observe(time.Since(begin).Seconds())
	n := len(g.records)
	g.records = nil
	close(g.done)
	q.finished(ctx, g, n)
}

// finished counts, and lets the next group go.
func (q *gatherer) finished(ctx context.Context, g *group, records int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inFlight--
	q.dispatch()
	if g.err != nil {
		q.metrics.refused.Add(float64(records))
		if q.failures++; q.failures == 1 {
			q.logger.ErrorContext(ctx, "records can't be stored, clients are asked to come again", "shard", q.shard, "error", g.err)
		}
		return
	}
	q.metrics.frames.Inc()
	q.metrics.records.Add(float64(records))
	q.metrics.bytes.Add(float64(g.bytes))
	if q.failures > 0 {
		q.logger.InfoContext(ctx, "records are stored again", "shard", q.shard, "failures", q.failures)
		q.failures = 0
	}
}

// roundRobin is which shard gathers.
type roundRobin struct{ at atomic.Uint64 }

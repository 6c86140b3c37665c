package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/stagelog/stagelog/internal/durable/failpoint"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// maxInFlight limits the full frames of a shard that are appended in parallel. A frame that is not
	// full waits for those before it and gathers more records meanwhile.
	maxInFlight = 4
	// maxWaitingBytes limits the bytes of one shard's records that wait for their frame.
	maxWaitingBytes = 64 << 20
	// gatherBytes ends gathering: a frame of this size is worth a sync of its own.
	gatherBytes = 64 << 10
	// appendTimeout limits one append. After it the frame's requests fail, and clients retry.
	appendTimeout = 30 * time.Second
	// failingFor is how long a failed append counts as the state of its log. Without requests, only this
	// time ends it.
	failingFor = 10 * time.Second
)

// gatherer combines the records of concurrent requests into frames of one shard. While a frame is
// being stored, arriving records gather in the next one; otherwise they wait up to Config.Gather
// for others. Gathering ends early when the frame is large enough, or contains as many requests
// as the last one.
type gatherer struct {
	streams *Streams // for its Config and counters
	log     Log
	shard   int
	logger  *slog.Logger
	frames  sync.Pool // *[]byte

	mu       sync.Mutex // guards the fields below
	queue    []*group   // not yet dispatched, oldest first
	open     *group     // the last of queue, while it accepts records
	inFlight int
	shared   int       // requests in the last frame that was sent
	waiting  int       // bytes in queue
	failures int       // appends that failed since the last success
	failed   error     // the newest of them
	failedAt time.Time // its time
}

// group holds the records of one frame. The request that started the group stores it.
type group struct {
	records [][]byte // of several requests, which wait; nil once stored
	bytes   int
	full    bool
	due     bool // Config.Gather has passed
	puts    int  // requests in it
	arrived time.Time
	turn    chan struct{} // closed when the group may be stored
	done    chan struct{} // closed when seq and err are set
	seq     uint64
	err     error
}

// put stores the records and returns once all are stored or have failed; see the pieces' groups.
// sent reports whether no group is left open, so that the next request may use another shard.
func (q *gatherer) put(ctx context.Context, records [][]byte, pieces []Piece) (_ []Piece, sent bool) {
	var begunSpace [8]*group
	pieces, begun, sent := q.add(records, pieces, begunSpace[:0])
	// Groups after the first are stored in parallel. The loop below waits for all.
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

// add adds the records to groups. The caller stores the groups that it began.
func (q *gatherer) add(records [][]byte, pieces []Piece, begun []*group) ([]Piece, []*group, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting > maxWaitingBytes {
		done := make(chan struct{})
		close(done)
		return append(pieces, Piece{group: &group{err: errBusy, done: done}, shard: q.shard, N: len(records)}), begun, true
	}
	for len(records) > 0 {
		g := q.open
		if g == nil {
			g = &group{arrived: q.streams.cfg.Clock(), turn: make(chan struct{}), done: make(chan struct{})}
			q.open = g
			q.queue = append(q.queue, g)
			begun = append(begun, g)
			q.startGathering(g)
		}
		base := len(g.records)
		n := g.take(records)
		if n > 0 {
			pieces = append(pieces, Piece{N: n, group: g, shard: q.shard, base: base})
			g.puts++
			records = records[n:]
		}
		if len(records) > 0 {
			g.full = true
			q.open = nil
		}
	}
	for _, p := range pieces {
		for _, r := range p.group.records[p.base : p.base+p.N] {
			q.waiting += len(r)
		}
	}
	q.dispatch()
	return pieces, begun, q.open == nil
}

var errBusy = errors.Join(record.ErrFull, errors.New("too many records are waiting to be stored"))

// take appends as many records as fit into the frame. An empty frame accepts any record.
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

// startGathering makes a new group due after Config.Gather. q.mu must be held.
func (q *gatherer) startGathering(g *group) {
	if q.streams.cfg.Gather <= 0 {
		g.due = true
		return
	}
	time.AfterFunc(q.streams.cfg.Gather, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		g.due = true
		q.dispatch()
	})
}

// dispatch starts the groups that may be stored now. q.mu must be held.
func (q *gatherer) dispatch() {
	for len(q.queue) > 0 {
		g := q.queue[0]
		if q.inFlight > 0 && (!g.full || q.inFlight >= maxInFlight) {
			return
		}
		complete := q.shared > 1 && g.puts >= q.shared
		if !g.due && !g.full && !complete && g.bytes < gatherBytes {
			return
		}
		q.queue = q.queue[1:]
		if q.open == g {
			q.open = nil
		}
		q.inFlight++
		q.shared = g.puts
		q.waiting -= g.bytes
		close(g.turn)
	}
	q.queue = nil
}

// store waits for the group's turn, stores it, and wakes its requests. A client that disconnects
// does not stop it, because the group holds other clients' records too.
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
	q.streams.latency.Observe(time.Since(begin).Seconds())
	q.count(g)
	g.records = nil
	close(g.done)
	q.finished(ctx, g)
}

// count updates the counters for a group that was stored or failed.
func (q *gatherer) count(g *group) {
	if g.err != nil {
		q.streams.refused.Add(int64(len(g.records)))
		return
	}
	q.streams.frames.Add(1)
	q.streams.records.Add(int64(len(g.records)))
	q.streams.bytes.Add(int64(g.bytes))
}

// finished logs the first failure and the recovery, and dispatches the next groups.
func (q *gatherer) finished(ctx context.Context, g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inFlight--
	q.dispatch()
	switch {
	case g.err != nil:
		q.failed, q.failedAt = g.err, q.streams.cfg.Clock()
		if q.failures++; q.failures == 1 {
			q.logger.ErrorContext(ctx, "append failed; returning ServiceUnavailable", "shard", q.shard, "error", g.err)
		}
	case q.failures > 0:
		q.logger.InfoContext(ctx, "append recovered", "shard", q.shard, "failures", q.failures)
		q.failures, q.failed = 0, nil
	}
}

// failing returns the error of the newest append if it failed recently.
func (q *gatherer) failing() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed == nil || q.streams.cfg.Clock().Sub(q.failedAt) > failingFor {
		return nil
	}
	return q.failed
}

package buffer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stagelog/stagelog/internal/durable/failpoint"
	"github.com/stagelog/stagelog/internal/record"
)

// Log holds the frames of one shard of one stream in the order of their sequence numbers, which
// start at 1 and are never reused while the log exists.
type Log struct {
	b       *Buffer
	name    string // stream and shard, for messages
	subject string
	stream  jetstream.Stream
	folder  *folder
	acked   *acked // nil on a cluster
	logger  *slog.Logger

	last  atomic.Uint64 // newest sequence seen by this process
	bytes atomic.Int64  // this log's share of b.used
}

// Stats describes the state of a log. Oldest is the time of the frame First.
type Stats struct {
	First, Last uint64 // Last is 0 if nothing was ever appended
	Bytes       int64  // on disk
	Oldest      time.Time
}

// Log opens the log of the stream's shard and creates it when missing. Names may contain any
// bytes. Opening it twice returns the same Log.
func (b *Buffer) Log(ctx context.Context, stream string, shard int) (*Log, error) {
	name := streamName(stream, shard)
	b.opening.Lock()
	defer b.opening.Unlock()
	if l := b.opened(name); l != nil {
		return l, nil
	}
	var s jetstream.Stream
	err := b.whenReady(ctx, func(ctx context.Context) (err error) {
		s, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name:      name,
			Subjects:  []string{streamSubject(stream, shard)},
			Retention: jetstream.LimitsPolicy,
			Discard:   jetstream.DiscardNew,
			Storage:   jetstream.FileStorage,
			Replicas:  b.replicas,
			MaxBytes:  b.maxBytes,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open log of stream %s, shard %d: %w", stream, shard, err)
	}
	l := &Log{
		b: b, name: fmt.Sprintf("%s/%d", stream, shard), subject: streamSubject(stream, shard), stream: s,
		logger: b.logger.With("stream", stream, "shard", shard),
	}
	if l.folder, err = b.folder(name); err != nil {
		return nil, fmt.Errorf("open log of stream %s, shard %d: %w", stream, shard, err)
	}
	state := s.CachedInfo().State
	if l.acked, err = b.openAcked(name, state.FirstSeq); err != nil {
		return nil, fmt.Errorf("open log of stream %s, shard %d: %w", stream, shard, err)
	}
	l.last.Store(state.LastSeq)
	l.bytes.Store(int64(state.Bytes))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logs[name] = l
	return l, nil
}

// opened returns the log of a JetStream stream, or nil if it is not open.
func (b *Buffer) opened(name string) *Log {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs[name]
}

// Shards returns the number of shards of the stream that have a log: one more than the highest.
func (b *Buffer) Shards(ctx context.Context, stream string) (n int, err error) {
	err = b.whenReady(ctx, func(ctx context.Context) error {
		names := b.js.StreamNames(ctx, jetstream.WithStreamListSubject(streamSubjects(stream)))
		for name := range names.Name() {
			shard, err := strconv.Atoi(name[strings.LastIndexByte(name, '_')+1:])
			if err != nil {
				return fmt.Errorf("unexpected name of a log: %s", name)
			}
			n = max(n, shard+1)
		}
		return names.Err()
	})
	if err != nil {
		return 0, fmt.Errorf("list the logs of stream %s: %w", stream, err)
	}
	return n, nil
}

// DeleteLog deletes the log and its frames. A missing log is not an error. A new log of the
// same name starts at sequence 1, so delete any state about the old one first.
func (b *Buffer) DeleteLog(ctx context.Context, stream string, shard int) error {
	name := streamName(stream, shard)
	b.opening.Lock()
	defer b.opening.Unlock()
	if err := b.removeAcked(name); err != nil {
		return fmt.Errorf("delete log of stream %s, shard %d: %w", stream, shard, err)
	}
	if err := b.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("delete log of stream %s, shard %d: %w", stream, shard, err)
	}
	b.mu.Lock()
	delete(b.logs, name)
	b.mu.Unlock()
	return b.measure(ctx)
}

// CloseLogs forgets the opened logs of a stream that another process deletes. A new stream of that name has other logs.
func (b *Buffer) CloseLogs(stream string) {
	b.opening.Lock()
	defer b.opening.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.logs {
		shard, ours := strings.CutPrefix(name, framesStream+escape(stream)+"_")
		if _, err := strconv.Atoi(shard); ours && err == nil { // else the name of a longer stream
			delete(b.logs, name)
		}
	}
}

// Append stores one frame of up to record.MaxFrameBytes and returns once it is synced. If the
// error wraps record.ErrFull, nothing was stored; after any other error the frame may or may not
// be stored. The frame is not kept. Append may run in parallel; the sequence numbers define the
// order.
func (l *Log) Append(ctx context.Context, frame []byte) (seq uint64, err error) {
	if len(frame) > record.MaxFrameBytes {
		return 0, fmt.Errorf("append frame to %s: %d bytes exceed the limit of %d", l.name, len(frame), record.MaxFrameBytes)
	}
	if err := l.b.checkSpace(int64(len(frame))); err != nil {
		return 0, fmt.Errorf("append frame to %s: %w", l.name, err)
	}
	err = l.b.do(ctx, func(ctx context.Context) error {
		ack, err := l.b.js.Publish(ctx, l.subject, frame, jetstream.WithRetryAttempts(0))
		if err != nil {
			return err
		}
		seq = ack.Sequence
		return l.folder.sync()
	})
	if err != nil {
		return 0, fmt.Errorf("append frame to %s: %w", l.name, err)
	}
	l.b.journal(l.acked.add(seq, record.FrameRecords(frame), record.FrameSum(frame)))
	failpoint.At(failpoint.Appended)
	l.grow(seq, int64(len(frame)))
	return seq, nil
}

func (l *Log) grow(seq uint64, n int64) {
	l.bytes.Add(n)
	l.b.used.Add(n)
	for {
		last := l.last.Load()
		if last >= seq || l.last.CompareAndSwap(last, seq) {
			return
		}
	}
}

// Trim deletes the frames before upTo. That frame stays: it proves that the log is the one that was
// delivered from, and sequence numbers do not restart after a crash. Repeating it is safe.
func (l *Log) Trim(ctx context.Context, upTo uint64) error {
	last := l.last.Load()
	if last == 0 || upTo == 0 {
		return nil
	}
	first := min(upTo, last)
	if err := l.acked.trim(first); err != nil {
		return fmt.Errorf("trim %s: %w", l.name, err)
	}
	if err := l.b.do(ctx, func(ctx context.Context) error {
		return l.stream.Purge(ctx, jetstream.WithPurgeSequence(first))
	}); err != nil {
		return fmt.Errorf("trim %s: %w", l.name, err)
	}
	_, err := l.Stats(ctx)
	return err
}

// Stats reads the log's state.
func (l *Log) Stats(ctx context.Context) (Stats, error) {
	var info *jetstream.StreamInfo
	if err := l.b.do(ctx, func(ctx context.Context) (err error) {
		info, err = l.stream.Info(ctx)
		return err
	}); err != nil {
		return Stats{}, fmt.Errorf("read state of %s: %w", l.name, err)
	}
	s := Stats{First: info.State.FirstSeq, Last: info.State.LastSeq, Bytes: int64(info.State.Bytes), Oldest: info.State.FirstTime}
	// Concurrent appends may be counted twice or not at all; the next call corrects that.
	l.b.used.Add(s.Bytes - l.bytes.Swap(s.Bytes))
	return s, nil
}

// Range returns the oldest and the newest sequence. An empty log has last = first-1; last is 0 if
// nothing was ever appended.
func (l *Log) Range(ctx context.Context) (first, last uint64, err error) {
	s, err := l.Stats(ctx)
	return s.First, s.Last, err
}

// Frame returns one frame. The error wraps record.ErrNotFound if the log does not have it.
func (l *Log) Frame(ctx context.Context, seq uint64) (frame []byte, err error) {
	err = l.b.do(ctx, func(ctx context.Context) error {
		msg, err := l.stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("%w: %w", record.ErrNotFound, err)
		}
		if err == nil {
			frame = msg.Data
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get frame %d of %s: %w", seq, l.name, err)
	}
	return frame, nil
}

// Codes of JetStream's API errors for a full store, an unready cluster, and a conflicting write
// (replicated streams have a code of their own for it).
const (
	codeAccountFull   jetstream.ErrorCode = 10002
	codeNoPeers       jetstream.ErrorCode = 10005 // too few servers for the replicas, or not all connected yet
	codeNoCluster     jetstream.ErrorCode = 10074 // several replicas on a server that is not in a cluster
	codeUnavailable   jetstream.ErrorCode = 10008
	codeNotLeader     jetstream.ErrorCode = 10009
	codeServerFull    jetstream.ErrorCode = 10023
	codeStorageFull   jetstream.ErrorCode = 10047
	codeStreamFull    jetstream.ErrorCode = 10077
	codeWrongRevision jetstream.ErrorCode = 10071
	codeWrongReplica  jetstream.ErrorCode = 10164
)

// storeError wraps a JetStream error in the matching sentinel.
func storeError(err error) error {
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return fmt.Errorf("%w: %w", record.ErrNotFound, err)
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case codeStorageFull: // a stream reserves its limit when it is made or opened
			return fmt.Errorf("%w: each shard reserves --buffer-size, and a NATS server has less left; lower it, or raise the server's max_file_store: %w", record.ErrFull, err)
		case codeAccountFull, codeServerFull, codeStreamFull:
			return fmt.Errorf("%w: %w", record.ErrFull, err)
		case codeWrongRevision, codeWrongReplica:
			return fmt.Errorf("%w: %w", record.ErrConflict, err)
		}
	}
	return err
}

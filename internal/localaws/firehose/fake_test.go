package firehose_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
)

// memLog is a Log in memory.
type memLog struct {
	mu     sync.Mutex
	frames [][]byte
	// before is called with each frame's batch before it is stored; an error fails the append.
	before func(record.Batch) error
}

func (l *memLog) Append(_ context.Context, frame []byte) (uint64, error) {
	b, err := record.ParseFrame(frame)
	if err == nil && l.before != nil {
		err = l.before(b)
	}
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = append(l.frames, slices.Clone(frame))
	return uint64(len(l.frames)), nil
}

// records are what is stored, by id.
func (l *memLog) records(t testing.TB, shard int) map[string]string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]string{}
	for i, f := range l.frames {
		b, err := record.ParseFrame(f)
		if err != nil {
			t.Fatal(err)
		}
		for j, r := range b.Records {
			all[record.ID(shard, uint64(i+1), j)] = string(r)
		}
	}
	return all
}

// memLogs opens memLogs, the same one for the same stream and shard.
type memLogs struct {
	mu   sync.Mutex
	logs map[string]*memLog
	fail error
}

func newLogs() *memLogs { return &memLogs{logs: map[string]*memLog{}} }

func (l *memLogs) open(_ context.Context, stream string, shard int) (firehose.Log, error) {
	if l.fail != nil {
		return nil, l.fail
	}
	return l.of(stream, shard), nil
}

func (l *memLogs) of(stream string, shard int) *memLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprint(stream, "/", shard)
	if l.logs[key] == nil {
		l.logs[key] = &memLog{}
	}
	return l.logs[key]
}

// Package ingesttest provides an in-memory ingest.Log.
package ingesttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/record"
)

// Log is an ingest.Log in memory.
type Log struct {
	mu     sync.Mutex
	frames [][]byte
	// Before is called with each frame's batch before it is stored. An error fails the append.
	Before func(record.Batch) error
}

// Append implements ingest.Log.
func (l *Log) Append(_ context.Context, frame []byte) (uint64, error) {
	b, err := record.ParseFrame(frame)
	if err == nil && l.Before != nil {
		err = l.Before(b)
	}
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = append(l.frames, slices.Clone(frame))
	return uint64(len(l.frames)), nil
}

// Records returns the stored records by id.
func (l *Log) Records(t testing.TB, shard int) map[string]string {
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

// Logs opens Logs, one per stream and shard.
type Logs struct {
	mu   sync.Mutex
	logs map[string]*Log
	Fail error // returned by every Open
}

// NewLogs returns Logs without any frame.
func NewLogs() *Logs { return &Logs{logs: map[string]*Log{}} }

// Open returns the Log of a shard.
func (l *Logs) Open(_ context.Context, stream string, shard int) (ingest.Log, error) {
	if l.Fail != nil {
		return nil, l.Fail
	}
	return l.Of(stream, shard), nil
}

// Of returns the Log of a shard.
func (l *Logs) Of(stream string, shard int) *Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprint(stream, "/", shard)
	if l.logs[key] == nil {
		l.logs[key] = &Log{}
	}
	return l.logs[key]
}

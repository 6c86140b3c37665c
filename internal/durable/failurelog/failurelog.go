// Package failurelog logs a series of failures: one line at its start, a few while it lasts, and one at its end.
package failurelog

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// every is the minimum time between two lines about the same series.
const every = 10 * time.Minute

// Log logs the failures of an operation that is retried. It is safe for concurrent use, and Worked costs one atomic
// load while nothing fails.
type Log struct {
	logger *slog.Logger
	level  slog.Level
	what   string

	tries atomic.Int64 // failed attempts since the last success

	mu     sync.Mutex // guards err, last, logged, and changes of tries
	err    string
	last   time.Time
	logged time.Time
}

// Series describes the failures since the last success.
type Series struct {
	What  string
	Error string // the newest
	Tries int64
	Last  time.Time
}

// New returns a Log. what is the operation, as the subject of the messages: "trimming the buffer". Failures are logged at level.
func New(logger *slog.Logger, level slog.Level, what string) *Log {
	return &Log{logger: logger, level: level, what: what}
}

// Failed counts a failed attempt. If a line is due, it includes attrs.
func (l *Log) Failed(err error, attrs ...any) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.last = err.Error(), now
	text := l.what + " is failing"
	if n := l.tries.Add(1); n > 1 {
		if now.Sub(l.logged) < every {
			return
		}
		text = l.what + " is still failing"
		attrs = append(attrs[:len(attrs):len(attrs)], "tries", n)
	}
	l.logged = now
	l.logger.Log(context.Background(), l.level, text, append([]any{"error", err}, attrs...)...)
}

// Worked counts a successful attempt.
func (l *Log) Worked(attrs ...any) {
	if l.tries.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.tries.Swap(0); n > 0 {
		l.logger.Info(fmt.Sprintf("%s recovered after %d tries", l.what, n), attrs...)
	}
}

// Series returns the failures since the last success, and false if there are none.
func (l *Log) Series() (Series, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.tries.Load()
	return Series{What: l.what, Error: l.err, Tries: n, Last: l.last}, n > 0
}

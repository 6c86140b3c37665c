package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
)

// streams keeps what was put. fail, if set, decides what a put answers before anything is kept.
type streams struct {
	mu    sync.Mutex // guards all below
	puts  []int      // lines of each put
	at    []time.Time
	lines map[string][]string
	fail  func(stream string, records [][]byte) (failed []int, err error)
}

func (s *streams) put(_ context.Context, stream string, records [][]byte) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts, s.at = append(s.puts, len(records)), append(s.at, time.Now())
	var failed []int
	if s.fail != nil {
		var err error
		if failed, err = s.fail(stream, records); err != nil {
			return failed, err
		}
	}
	if s.lines == nil {
		s.lines = map[string][]string{}
	}
	for i, r := range records {
		if !contains(failed, i) {
			s.lines[stream] = append(s.lines[stream], string(r))
		}
	}
	return failed, nil
}

func contains(all []int, i int) bool {
	for _, n := range all {
		if n == i {
			return true
		}
	}
	return false
}

func numbered(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("line %d\n", i))
	}
	return lines
}

func (l *Logger) logAll(stream string, lines []string) {
	for _, line := range lines {
		l.Log(stream, []byte(line))
	}
}

// running starts Run in a bubble and stops it at the end.
func running(t *testing.T, l *Logger) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestLinesAreBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s streams
		l := NewLogger(LoggerConfig{Put: s.put})
		defer running(t, l)()
		start, want := time.Now(), numbered(1203)
		l.logAll("a", want)
		l.Log("b", []byte("other\n"))
		time.Sleep(time.Second) // the bubble's clock
		synctest.Wait()
		if diff := cmp.Diff(map[string][]string{"a": want, "b": {"other\n"}}, s.lines); diff != "" {
			t.Errorf("lines: %s", diff)
		}
		if len(s.puts) != 4 {
			t.Errorf("puts of %v lines, want 500, 500, 203 and 1", s.puts)
		}
		for i, n := range s.puts {
			if lingered := s.at[i].Sub(start); n == 500 && lingered != 0 || n < 500 && lingered != 10*time.Millisecond {
				t.Errorf("%d lines were put after %v", n, lingered)
			}
		}
		if diff := cmp.Diff(LoggerStats{Accepted: 1204, Delivered: 1204}, l.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBatchSizeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		l := NewLogger(LoggerConfig{Put: func(_ context.Context, _ string, records [][]byte) ([]int, error) {
			n := 0
			for _, r := range records {
				n += len(r)
			}
			sizes = append(sizes, n)
			return nil, nil
		}})
		line := bytes.Repeat([]byte("x"), 1_000_000)
		for range 9 {
			l.Log("a", line)
		}
		l.Log("a", bytes.Repeat([]byte("x"), 1_024_001))
		if err := l.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{4_000_000, 4_000_000, 1_000_000}, sizes); diff != "" {
			t.Error(diff)
		}
		if s := l.Stats(); s.Lost != 1 || s.Delivered != 9 {
			t.Errorf("%+v: want the line that no stream can take lost", s)
		}
	})
}

func TestFailedLinesAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		tries := 0
		s := streams{fail: func(_ string, records [][]byte) ([]int, error) {
			tries++
			switch tries {
			case 1, 2:
				return nil, errors.New("not now")
			case 3:
				return []int{4, 1, 2, 1, 99, -1}, nil
			case 4:
				return []int{0}, nil
			}
			return nil, nil
		}}
		l := NewLogger(LoggerConfig{Put: s.put, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		defer running(t, l)()
		l.logAll("a", numbered(6))
		if err := l.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"line 0\n", "line 3\n", "line 5\n", "line 2\n", "line 4\n", "line 1\n"}
		if diff := cmp.Diff(want, s.lines["a"]); diff != "" {
			t.Errorf("lines: %s", diff)
		}
		if diff := cmp.Diff([]int{6, 6, 6, 3, 1}, s.puts); diff != "" {
			t.Errorf("puts: %s", diff)
		}
		for i := 1; i < len(s.at); i++ {
			if gap := s.at[i].Sub(s.at[i-1]); gap < 25*time.Millisecond || gap > time.Second {
				t.Errorf("try %d came %v after the one before", i, gap)
			}
		}
		if s := l.Stats(); s.Accepted != 6 || s.Delivered != 6 || s.Lost != 0 || s.Failures != 4 || s.WaitingBytes != 0 {
			t.Errorf("%+v", s)
		}
		log := text.String()
		if strings.Count(log, "is failing") != 1 || strings.Count(log, "waiting=6") != 1 || strings.Count(log, "recovered after 4 tries") != 1 || strings.Contains(log, "line 1") {
			t.Errorf("the log says:\n%s", log)
		}
	})
}

func TestRefusingStreamLosesOnlyItsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := streams{fail: func(stream string, _ [][]byte) ([]int, error) {
			if stream == "gone" {
				return nil, fmt.Errorf("no stream gone: %w", ErrRefused)
			}
			return nil, nil
		}}
		var text bytes.Buffer
		l := NewLogger(LoggerConfig{Put: s.put, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		l.logAll("gone", numbered(3))
		l.logAll("a", numbered(2))
		if err := l.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if log := text.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "lost=3") {
			t.Errorf("the log does not say that 3 lines are lost:\n%s", log)
		}
		want := LoggerStats{Accepted: 5, Delivered: 2, Lost: 3, Failures: 1}
		if diff := cmp.Diff(want, l.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFullQueueLosesLinesWithoutBlocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		open := make(chan struct{})
		var s streams
		metrics := NewMetrics(nil)
		l := NewLogger(LoggerConfig{MaxBytes: 1000, Metrics: metrics, Logger: slog.New(slog.NewTextHandler(&text, nil)),
			Put: func(ctx context.Context, stream string, records [][]byte) ([]int, error) {
				<-open
				return s.put(ctx, stream, records)
			}})
		defer running(t, l)()
		line := bytes.Repeat([]byte("x"), 100)
		for range 20 {
			l.Log("stuck", line) // 5 fill its half
		}
		for range 3 {
			l.Log("other", line) // fits: the limit is per stream
		}
		want := LoggerStats{Accepted: 8, Lost: 15, WaitingBytes: 800}
		if diff := cmp.Diff(want, l.Stats()); diff != "" {
			t.Errorf("full: %s", diff)
		}
		var m dto.Metric
		if err := metrics.lost.Write(&m); err != nil || m.GetCounter().GetValue() != 15 {
			t.Errorf("metric of lost lines: %v, %v", m.GetCounter().GetValue(), err)
		}
		if err := metrics.queueBytes.Write(&m); err != nil || m.GetGauge().GetValue() != 800 {
			t.Errorf("metric of the queue: %v, %v", m.GetGauge().GetValue(), err)
		}
		close(open)
		if err := l.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Log("stuck", line)
		if err := l.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := l.Stats(); s.Delivered != 9 || s.WaitingBytes != 0 {
			t.Errorf("after: %+v", s)
		}
		if log := text.String(); strings.Count(log, "dropping lines") != 1 || strings.Count(log, "queue recovered") != 1 || !strings.Contains(log, "lost=15") {
			t.Errorf("the log says:\n%s", log)
		}
	})
}

func TestDrainWaitsForPutInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, entered := make(chan struct{}), make(chan struct{}, 1)
		var s streams
		l := NewLogger(LoggerConfig{Put: func(ctx context.Context, stream string, records [][]byte) ([]int, error) {
			entered <- struct{}{}
			<-open
			return s.put(ctx, stream, records)
		}})
		defer running(t, l)()
		l.Log("a", []byte("x\n"))
		<-entered
		drained := make(chan error, 1)
		go func() { drained <- l.Drain(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-drained:
			t.Fatalf("drained while a put is under way: %v", err)
		default:
		}
		close(open)
		if err := <-drained; err != nil || l.Stats().Delivered != 1 {
			t.Errorf("drain: %v, %+v", err, l.Stats())
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLogger(LoggerConfig{Put: func(context.Context, string, [][]byte) ([]int, error) { return nil, errors.New("down") }})
		l.Log("a", []byte("x\n"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %v", err)
		}
		if s := l.Stats(); s.WaitingBytes != 2 || s.Lost != 0 || s.Failures < 10 {
			t.Errorf("%+v: want the line still waiting", s)
		}
	})
}

func TestRunSendsRemainingLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s streams
		l := NewLogger(LoggerConfig{Put: s.put, Linger: time.Hour})
		stop := running(t, l)
		l.logAll("a", numbered(3))
		stop()
		if diff := cmp.Diff(numbered(3), s.lines["a"]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestConcurrentLoggingLosesNothing(t *testing.T) {
	tries := 0
	s := streams{fail: func(_ string, records [][]byte) ([]int, error) {
		tries++
		switch tries % 5 {
		case 1:
			return nil, errors.New("not now")
		case 3:
			return []int{len(records) - 1}, nil
		}
		return nil, nil
	}}
	l := NewLogger(LoggerConfig{Put: s.put, Linger: time.Millisecond, Backoff: time.Millisecond})
	defer running(t, l)()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				l.Log(fmt.Sprintf("s%d", i%3), fmt.Appendf(nil, "%d/%d", g, i))
			}
		})
	}
	all.Wait()
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, lines := range s.lines {
		for _, line := range lines {
			seen[line]++
		}
	}
	if len(seen) != 16000 {
		t.Errorf("%d lines arrived, want 16000", len(seen))
	}
	for line, n := range seen {
		if n != 1 {
			t.Errorf("line %s arrived %d times", line, n)
		}
	}
	if st := l.Stats(); st.Accepted != 16000 || st.Delivered != 16000 || st.WaitingBytes != 0 {
		t.Errorf("%+v", st)
	}
}

func TestLogDoesNotAllocate(t *testing.T) {
	var s streams
	l := NewLogger(LoggerConfig{Put: s.put})
	line := bytes.Repeat([]byte("x"), 374)
	l.logAll("a", strings.Split(strings.Repeat("warm\n", 400), "\n"))
	if n := testing.AllocsPerRun(90, func() { l.Log("a", line) }); n > 0.5 { // the batch's memory grows now and then
		t.Errorf("%v allocations a line", n)
	}
}

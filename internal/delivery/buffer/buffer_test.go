package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

var errEnough = errors.New("enough")

// open opens a buffer that the test closes.
func open(t testing.TB, cfg buffer.Config) *buffer.Buffer {
	t.Helper()
	b, err := buffer.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func openLog(t testing.TB, b *buffer.Buffer, stream string, shard int) *buffer.Log {
	t.Helper()
	l, err := b.Log(t.Context(), stream, shard)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appendAll(t testing.TB, l *buffer.Log, frames ...string) {
	t.Helper()
	for _, f := range frames {
		if _, err := l.Append(t.Context(), []byte(f)); err != nil {
			t.Fatal(err)
		}
	}
}

// read reads n frames starting at sequence from, as "seq:frame".
func read(t testing.TB, l *buffer.Log, from uint64, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	err := l.Read(ctx, from, time.Minute, func(seq uint64, frame []byte) error {
		got = append(got, fmt.Sprintf("%d:%s", seq, frame))
		if len(got) == n {
			return errEnough
		}
		return nil
	})
	if err != errEnough { //nolint:errorlint // Read returns fn's error unchanged
		t.Fatalf("Read(%d) after %d frames: %v", from, len(got), err)
	}
	return got
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestLogKeepsOrderAfterReopen(t *testing.T) {
	dir := t.TempDir()
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l := openLog(t, b, "amazon-apigateway-a.b_c", 2)
	appendAll(t, l, "one", "two", "three")
	diff(t, "Read(1)", []string{"1:one", "2:two", "3:three"}, read(t, l, 1, 3))
	diff(t, "Read(3)", []string{"3:three"}, read(t, l, 3, 1))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = open(t, buffer.Config{Dir: dir})
	l = openLog(t, b, "amazon-apigateway-a.b_c", 2)
	appendAll(t, l, "four")
	diff(t, "Read(0) after reopening", []string{"1:one", "2:two", "3:three", "4:four"}, read(t, l, 0, 4))
	stats, err := l.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.First != 1 || stats.Last != 4 || stats.Bytes < 15 || time.Since(stats.Oldest) > time.Hour {
		t.Errorf("Stats = %+v, want frames 1 to 4, just appended", stats)
	}
}

func TestLogsAreSeparate(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir()})
	for i, name := range []string{"a", "A", "a.b", "a_2Eb", "a b", "ä/../*>"} {
		for shard := range 2 {
			appendAll(t, openLog(t, b, name, shard), fmt.Sprint(i, shard))
		}
	}
	for i, name := range []string{"a", "A", "a.b", "a_2Eb", "a b", "ä/../*>"} {
		for shard := range 2 {
			diff(t, name, []string{"1:" + fmt.Sprint(i, shard)}, read(t, openLog(t, b, name, shard), 1, 1))
		}
	}
	if err := b.DeleteLog(t.Context(), "a.b", 0); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteLog(t.Context(), "a.b", 0); err != nil {
		t.Errorf("DeleteLog of a deleted log: %v, want nil", err)
	}
	appendAll(t, openLog(t, b, "a.b", 0), "new")
	diff(t, "the recreated log", []string{"1:new"}, read(t, openLog(t, b, "a.b", 0), 1, 1))
	diff(t, "its neighbour", []string{"1:2 1"}, read(t, openLog(t, b, "a.b", 1), 1, 1))
}

func TestReadWaitsAndTicks(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir()})
	l := openLog(t, b, "s", 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ticked, got, ended := make(chan struct{}, 1), make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- l.Read(ctx, 1, 5*time.Millisecond, func(_ uint64, frame []byte) error {
			if frame == nil {
				select {
				case ticked <- struct{}{}:
				default:
				}
				return nil
			}
			got <- string(frame)
			return nil
		})
	}()
	<-ticked
	appendAll(t, l, "late")
	if f := <-got; f != "late" {
		t.Errorf("Read returned %q, want %q", f, "late")
	}
	<-ticked
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Read after cancel = %v, want context.Canceled", err)
	}
}

func TestReadReturnsTickError(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir()})
	err := openLog(t, b, "s", 0).Read(t.Context(), 1, time.Millisecond, func(uint64, []byte) error { return errEnough })
	if err != errEnough { //nolint:errorlint // Read returns fn's error unchanged
		t.Errorf("Read = %v, want the error of fn", err)
	}
}

func TestTrimDoesNotResetSequences(t *testing.T) {
	dir := t.TempDir()
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l := openLog(t, b, "s", 0)
	if err := l.Trim(t.Context(), 5); err != nil {
		t.Errorf("Trim of an empty log: %v", err)
	}
	appendAll(t, l, "one", "two", "three")
	for range 2 {
		if err := l.Trim(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		diff(t, "Read(1) after Trim(2)", []string{"2:two", "3:three"}, read(t, l, 1, 2))
	}
	if err := l.Trim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	stats, err := l.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.First != 3 || stats.Last != 3 {
		t.Errorf("Stats after Trim of all = %+v, want the newest frame to stay", stats)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, open(t, buffer.Config{Dir: dir}), "s", 0)
	appendAll(t, l, "four")
	diff(t, "Read(4)", []string{"4:four"}, read(t, l, 4, 1))
}

func TestQuotaReturnsErrFullUntilTrim(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir(), MaxBytes: 100_000})
	one, other := openLog(t, b, "one", 0), openLog(t, b, "other", 0)
	frame := []byte(strings.Repeat("x", 10_000))
	var stored uint64
	for l := one; ; l, one, other = other, other, one { // the quota applies to both together
		seq, err := l.Append(t.Context(), frame)
		if errors.Is(err, record.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if stored++; stored > 10 {
			t.Fatalf("%d frames of 10,000 bytes fit into 100,000 bytes", stored)
		}
		_ = seq
	}
	if stored < 8 {
		t.Errorf("only %d frames of 10,000 bytes fit into 100,000 bytes", stored)
	}
	if err := one.Trim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Append(t.Context(), frame); err != nil {
		t.Errorf("Append after Trim: %v, want nil", err)
	}
	store, err := b.Store(t.Context(), "delivery")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := other.Append(t.Context(), frame); err != nil {
			break
		}
	}
	if _, err := store.Set(t.Context(), "k", frame); err != nil {
		t.Errorf("Set while the logs are full: %v, want nil", err)
	}
}

func TestAppendRejectsOversizedFrame(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir()})
	l := openLog(t, b, "s", 0)
	if _, err := l.Append(t.Context(), make([]byte, record.MaxFrameBytes+1)); err == nil || errors.Is(err, record.ErrFull) {
		t.Errorf("Append of MaxFrameBytes+1 = %v, want another error than ErrFull", err)
	}
	if seq, err := l.Append(t.Context(), make([]byte, record.MaxFrameBytes)); err != nil || seq != 1 {
		t.Errorf("Append of MaxFrameBytes = %d, %v, want 1", seq, err)
	}
}

func TestParallelAppendsGetDistinctSequences(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir()})
	l := openLog(t, b, "s", 0)
	const workers, each = 16, 8
	var mu sync.Mutex
	want := map[uint64]string{}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				f := fmt.Sprintf("%d/%d", w, i)
				seq, err := l.Append(t.Context(), []byte(f))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[seq] = f
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i, got := range read(t, l, 1, workers*each) {
		if w := fmt.Sprintf("%d:%s", i+1, want[uint64(i+1)]); got != w {
			t.Errorf("frame %d = %q, want %q", i+1, got, w)
		}
	}
}

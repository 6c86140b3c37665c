package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/delivery/ingest/ingesttest"
	"github.com/stagelog/stagelog/internal/record"
)

// opened returns Streams with an open stream s, and the stream's logs.
func opened(t testing.TB, cfg ingest.Config) (*ingest.Streams, *ingesttest.Logs) {
	t.Helper()
	logs := ingesttest.NewLogs()
	s := ingest.New(cfg, logs.Open)
	stream, err := s.Open(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	s.Add(stream)
	return s, logs
}

// put stores the records in stream s and returns their ids, "" for failed records.
func put(t testing.TB, s *ingest.Streams, ctx context.Context, records ...[]byte) (ids []string) {
	t.Helper()
	pieces, err := s.Find([]byte("s")).Put(ctx, records, nil)
	if err != nil {
		t.Errorf("Put: %v", err)
	}
	for _, p := range pieces {
		for i := range p.N {
			id := ""
			if p.Err() == nil {
				id = string(p.AppendID(nil, i))
			}
			ids = append(ids, id)
		}
	}
	return ids
}

func TestConcurrentPutsShareFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, logs := opened(t, ingest.Config{})
		release := make(chan struct{})
		var mu sync.Mutex
		appends := 0
		logs.Of("s", 0).Before = func(record.Batch) error {
			mu.Lock()
			appends++
			mu.Unlock()
			<-release
			return nil
		}
		const clients = 64
		answered := make(chan string, clients)
		for i := range clients {
			go func() {
				ids := put(t, s, context.Background(), fmt.Appendf(nil, "record %d", i))
				answered <- fmt.Sprintf("%s=record %d", ids[0], i)
			}()
		}
		synctest.Wait() // all wait for the first append, or gather behind it
		if len(answered) != 0 || appends != 1 {
			t.Fatalf("%d answered, %d appends begun while the first append blocks; want 0 and 1", len(answered), appends)
		}
		release <- struct{}{}
		synctest.Wait()
		if len(answered) != 1 || appends != 2 {
			t.Fatalf("%d answered, %d appends begun after the first append; want 1 and 2", len(answered), appends)
		}
		release <- struct{}{}
		synctest.Wait()
		if len(answered) != clients || appends != 2 {
			t.Fatalf("%d answered in %d appends, want %d in 2", len(answered), appends, clients)
		}
		stored := logs.Of("s", 0).Records(t, 0)
		for range clients {
			id, text, _ := strings.Cut(<-answered, "=")
			if stored[id] != text {
				t.Errorf("id %s returned for %q, stored as %q", id, text, stored[id])
			}
		}
	})
}

func TestFullFramesAppendInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, logs := opened(t, ingest.Config{})
		release := make(chan struct{})
		var sizes []int
		var mu sync.Mutex
		logs.Of("s", 0).Before = func(b record.Batch) error {
			total := 0
			for _, r := range b.Records {
				total += len(r)
			}
			mu.Lock()
			sizes = append(sizes, total)
			mu.Unlock()
			<-release
			return nil
		}
		records := make([][]byte, 500)
		for i := range records {
			records[i] = bytes.Repeat([]byte{byte(i)}, 8<<10) // 4,000 KiB in all: four frames
		}
		done := make(chan []string)
		go func() {
			done <- put(t, s, context.Background(), records...)
		}()
		synctest.Wait()
		if len(sizes) < 2 {
			t.Errorf("%d frames appended in parallel, want several", len(sizes))
		}
		close(release)
		ids := <-done
		for _, n := range sizes {
			if n > record.MaxFrameBytes {
				t.Errorf("frame with %d bytes of records, limit is %d", n, record.MaxFrameBytes)
			}
		}
		stored := logs.Of("s", 0).Records(t, 0)
		if len(stored) != len(records) {
			t.Errorf("%d records stored, want %d", len(stored), len(records))
		}
		for i, id := range ids {
			if stored[id] != string(records[i]) {
				t.Errorf("id %d belongs to another record", i)
			}
		}
	})
}

func TestDisconnectDoesNotFailOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, logs := opened(t, ingest.Config{})
		release := make(chan struct{})
		logs.Of("s", 0).Before = func(record.Batch) error { <-release; return nil }
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if ids := put(t, s, ctx, []byte{byte(i)}); ids[0] == "" {
					t.Errorf("record %d failed", i)
				}
			})
			synctest.Wait()
		}
		cancel()
		close(release)
		wg.Wait()
		if n := len(logs.Of("s", 0).Records(t, 0)); n != 3 {
			t.Errorf("%d records stored, want 3", n)
		}
	})
}

func TestPutAlternatesShards(t *testing.T) {
	s, logs := opened(t, ingest.Config{Shards: 3})
	for i := range 6 {
		put(t, s, t.Context(), []byte{byte(i)})
	}
	for shard := range 3 {
		if n := len(logs.Of("s", shard).Records(t, shard)); n != 2 {
			t.Errorf("shard %d has %d records, want 2", shard, n)
		}
	}
}

func TestGatherLimitsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gather = 2 * time.Millisecond
		s, logs := opened(t, ingest.Config{Gather: gather})
		var frames []int // records in each
		logs.Of("s", 0).Before = func(b record.Batch) error {
			frames = append(frames, len(b.Records))
			return nil
		}
		began := time.Now()
		put64 := func() {
			var puts sync.WaitGroup
			for range 64 {
				puts.Go(func() { put(t, s, context.Background(), []byte("one")) })
			}
			puts.Wait()
		}
		put64()
		if len(frames) != 1 || frames[0] != 64 || time.Since(began) != gather {
			t.Errorf("64 concurrent records: frames of %v after %v, want one frame after %v", frames, time.Since(began), gather)
		}
		began, frames = time.Now(), nil
		put64()
		if len(frames) != 1 || frames[0] != 64 || time.Since(began) != 0 {
			t.Errorf("same 64 records again: frames of %v after %v, want one frame immediately", frames, time.Since(began))
		}
		began, frames = time.Now(), nil
		put(t, s, context.Background(), bytes.Repeat([]byte("x"), 64<<10))
		if len(frames) != 1 || time.Since(began) != 0 {
			t.Errorf("64 KiB: %d frames after %v, want one immediately", len(frames), time.Since(began))
		}
	})
}

func TestPutReportsFailedRecords(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, logs := opened(t, ingest.Config{Metrics: reg})
	logs.Of("s", 0).Before = func(b record.Batch) error {
		if b.Records[0][0] == 'b' {
			return errors.New("disk failure")
		}
		return nil
	}
	// Two frames: the second begins with a b.
	large := func(c string) []byte { return bytes.Repeat([]byte(c), 1_000_000) }
	failed, err := s.Put(t.Context(), "s", [][]byte{large("a"), large("b"), []byte("c")})
	if err != nil || !slices.Equal(failed, []int{1, 2}) {
		t.Errorf("Put = %v, %v, want records 1 and 2 failed", failed, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"records": 1, "bytes": 1_000_000, "refused_records": 2, "frames": 1}
	for _, f := range families {
		name := strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "stagelog_firehose_"), "_total")
		if got := f.GetMetric()[0].GetCounter().GetValue(); got != want[name] {
			t.Errorf("metric %s = %v, want %v", f.GetName(), got, want[name])
		}
	}
	if failed, err := s.Put(t.Context(), "s", nil); failed != nil || err != nil {
		t.Errorf("Put of no records = %v, %v", failed, err)
	}
	if _, err := s.Put(t.Context(), "s", [][]byte{make([]byte, record.MaxBytes+1)}); !errors.Is(err, ingest.ErrTooLarge) {
		t.Errorf("Put of a record over the limit = %v, want ErrTooLarge", err)
	}
	if _, err := s.Put(t.Context(), "other", [][]byte{{1}}); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Put to a stream that is not open = %v, want ErrNotFound", err)
	}
}

func TestCloseWaitsForPendingPuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, logs := opened(t, ingest.Config{})
		release := make(chan struct{})
		logs.Of("s", 0).Before = func(record.Batch) error { <-release; return nil }
		stream := s.Find([]byte("s"))
		var wg sync.WaitGroup
		wg.Go(func() { put(t, s, context.Background(), []byte("x")) })
		synctest.Wait()
		closed := make(chan struct{})
		go func() { s.Close("s"); close(closed) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close returned before a pending Put")
		default:
		}
		if _, err := stream.Put(context.Background(), [][]byte{{1}}, nil); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("Put to a closed stream = %v, want ErrNotFound", err)
		}
		close(release)
		<-closed
		wg.Wait()
		s.Close("s")
	})
}

func TestFailingEndsWithSuccessOrTime(t *testing.T) {
	now := time.Unix(1000, 0)
	s, logs := opened(t, ingest.Config{Clock: func() time.Time { return now }})
	var fault error
	logs.Of("s", 0).Before = func(record.Batch) error { return fault }
	for _, tt := range []struct {
		what  string
		fault error
		later time.Duration
		fails bool
	}{
		{"before any append", nil, 0, false},
		{"after a failed append", errors.New("disk is gone"), 0, true},
		{"ten seconds after it", errors.New("disk is gone"), 11 * time.Second, false},
		{"after one that succeeded", nil, 0, false},
	} {
		fault = tt.fault
		if tt.what != "before any append" {
			put(t, s, t.Context(), []byte("r"))
		}
		now = now.Add(tt.later)
		if err := s.Failing(); (err != nil) != tt.fails {
			t.Errorf("Failing() %s = %v, want an error: %v", tt.what, err, tt.fails)
		}
	}
}

package usage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func day(s string) Day {
	d, err := ParseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

func open(t *testing.T, s record.Store, now string) *Counters {
	t.Helper()
	c, err := Open(t.Context(), s, day(now).Time())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDays(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 23, 23, 59, 59, 999, time.UTC), "2026-11-23"},
		{time.Date(2026, 11, 24, 0, 30, 0, 0, time.FixedZone("", 3600)), "2026-11-23"},
		{time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC), "1969-12-31"},
	} {
		if got := DayOf(c.at).String(); got != c.want {
			t.Errorf("DayOf(%s) = %s, want %s", c.at, got, c.want)
		}
	}
}

func TestFlushWritesOnlyChangedDays(t *testing.T) {
	s := &recordtest.Store{}
	c := open(t, s, "2026-11-23")
	c.Add("p", "a", day("2026-11-22"))
	c.Add("p", "a", day("2026-11-23"))
	c.Add("p", "b", day("2026-11-23"))
	c.Add("p", "a", day("2026-11-23"))
	c.Add("p", "a", day("2026-11-22"))
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"usage/p/2026-11-22": `{"a":2}`, "usage/p/2026-11-23": `{"a":2,"b":1}`}
	if diff := cmp.Diff(want, s.Docs()); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
	if err := s.Delete(t.Context(), "usage/p/2026-11-22"); err != nil {
		t.Fatal(err)
	}
	c.Add("p", "b", day("2026-11-23"))
	s.Fail(errors.New("full"))
	if err := c.Flush(t.Context()); err == nil {
		t.Error("a failed write is no error")
	}
	s.Fail(nil)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"usage/p/2026-11-23": `{"a":2,"b":2}`}, s.Docs()); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
	again := open(t, s, "2026-11-23")
	if got := again.Used("p", "b", day("2026-11-01"), day("2026-11-30")); got != 2 {
		t.Errorf("after a restart: %d, want 2", got)
	}
	if err := again.Forget(t.Context(), "p"); err != nil || len(s.Docs()) != 0 || again.Used("p", "b", 0, day("2026-11-30")) != 0 {
		t.Errorf("Forget: %v, %v left", err, s.Docs())
	}
}

func TestOldDaysAreDeleted(t *testing.T) {
	s := recordtest.StoreOf(map[string]string{"usage/p/2026-01-01": `{"a":2}`, "usage/p/2026-11-01": `{"a":3}`})
	c := open(t, s, "2026-11-23")
	if got := c.Used("p", "a", 0, day("2026-12-31")); got != 3 || len(s.Docs()) != 1 {
		t.Errorf("used %d with documents %v, want 3 and one", got, s.Docs())
	}
	for i := range Day(300) {
		c.Add("p", "a", day("2026-11-02")+i)
	}
	if got := c.Used("p", "a", 0, day("2030-01-01")); got != KeepDays {
		t.Errorf("%d days are kept, want %d", got, KeepDays)
	}
}

// However many ask at once, a quota is never passed, and no count is lost.
func TestTakeIsExact(t *testing.T) {
	s := &recordtest.Store{}
	c := open(t, s, "2026-11-23")
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		wg.Go(func() {
			n := 0
			for i := range 1000 {
				if c.Take("p", "a", day("2026-11-23"), day("2026-11-01"), 500) {
					n++
				}
				c.Add("p", fmt.Sprint("k", i%7), day("2026-11-23"))
				if i%100 == 0 {
					if err := c.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			taken += n
		})
	}
	wg.Wait()
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open(t, s, "2026-11-23")
	var all int64
	for i := range 7 {
		all += again.Used("p", fmt.Sprint("k", i), 0, day("2026-11-30"))
	}
	if got := again.Used("p", "a", 0, day("2026-11-30")); taken != 500 || got != 500 || all != 8000 {
		t.Errorf("taken %d, stored %d of a quota of 500, and %d of 8000 counted", taken, got, all)
	}
}

func BenchmarkTake(b *testing.B) {
	c, err := Open(b.Context(), &recordtest.Store{}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	today := DayOf(time.Now())
	for d := range Day(30) {
		c.Add("p", "key0000001", today-d)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Take("p", "key0000001", today, today-29, 1<<60)
	}
}

// lossy is a store whose next Put fails, with or without writing the document.
type lossy struct {
	*recordtest.Store
	fail, write bool
}

func (s *lossy) Put(ctx context.Context, key string, value []byte, rev uint64) (newRev uint64, err error) {
	if !s.fail || s.write {
		newRev, err = s.Store.Put(ctx, key, value, rev)
	}
	if s.fail {
		return 0, errors.New("timeout")
	}
	return newRev, err
}

// A count is written once although the response to a write was lost, and the other process's counts stay.
func TestUnknownWriteIsNotCountedTwice(t *testing.T) {
	for _, written := range []bool{true, false} {
		mem := &recordtest.Store{}
		store := &lossy{Store: mem}
		today := day("2026-11-23")
		c, other := open(t, store, "2026-11-23"), open(t, mem, "2026-11-23")
		flush := func(c *Counters, fails bool) {
			t.Helper()
			if err := c.Flush(t.Context()); (err != nil) != fails {
				t.Fatalf("Flush = %v, want an error: %v", err, fails)
			}
		}
		other.Add("p", "k", today)
		flush(other, false)
		c.Add("p", "k", today)
		flush(c, false)
		c.Add("p", "k", today)
		store.fail, store.write = true, written
		flush(c, true)
		c.Add("p", "k", today)
		store.fail = false
		flush(c, false)
		if got := open(t, mem, "2026-11-23").Used("p", "k", today, today); got != 4 {
			t.Errorf("with a write that happened (%v): %d requests stored, want 4", written, got)
		}
	}
}

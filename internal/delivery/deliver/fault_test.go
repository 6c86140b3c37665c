package deliver_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/record"
)

// replaceLog makes the log an empty one whose sequences start again.
func (w *world) replaceLog() {
	w.last, w.trimmed, w.frames, w.acked = 0, 0, map[uint64][]byte{}, map[uint64]int{}
}

// loseFrame takes a frame away, or puts a LostFrame in its place. The newest one always gets a LostFrame.
func (w *world) loseFrame(seq uint64, marked bool) {
	delete(w.frames, seq)
	if marked || seq == w.last {
		w.frames[seq] = record.LostFrame()
	}
}

// fault is the part of a Fault that does not depend on time.
type fault struct {
	Kind        deliver.FaultKind
	First, Last uint64
	Records     int64
}

// checkFaults compares the faults that are not acknowledged.
func (w *world) checkFaults(t *testing.T, want ...fault) {
	t.Helper()
	var got []fault
	for _, f := range w.openFaults(t).Open() {
		got = append(got, fault{f.Kind, f.First, f.Last, f.Records})
		if f.Stream != "s" || f.Found.IsZero() || !strings.Contains(w.logs.String(), f.String()) {
			t.Errorf("fault %+v has no stream or time, or was not logged", f)
		}
	}
	diff(t, "faults", want, got)
}

func TestReplacedLogIsDeliveredFromFirst(t *testing.T) {
	for _, frames := range []int{1, 5, 12} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			records := w.traffic(5)
			w.deliverAll(t, nil)
			w.replaceLog()
			records = append(records, w.trafficFrom(len(records), frames)...)
			w.deliverAll(t, nil)
			w.exactlyOnce(t, records)
			w.checkFaults(t, fault{deliver.Replaced, 1, 5, deliver.Unknown})
		})
	}
}

// TestReplacedLogKeepsPendingFlush replaces the log while a flush is pending, before the first delivery.
func TestReplacedLogKeepsPendingFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.append("ok-1", "ok-2")
		worker, ctx, _ := w.worker(t, crashAt("commit", 1, false))
		if err := <-run(ctx, worker); err != nil {
			t.Fatal(err)
		}
		w.replaceLog()
		w.append("ok-3")
		w.append("ok-4")
		w.deliverAll(t, nil)
		w.exactlyOnce(t, []string{"ok-1", "ok-2", "ok-3", "ok-4"})
		w.checkFaults(t, fault{deliver.Replaced, 1, 0, deliver.Unknown})
	})
}

func TestEmptyLogIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		worker, ctx, cancel := w.workerOf(t, nil, true)
		ended := run(ctx, worker)
		time.Sleep(time.Second) // the fake log panics if frame 0 is read
		records := w.trafficFrom(1, 2)
		time.Sleep(20 * time.Second)
		if err := worker.Flush(ctx); err != nil {
			t.Errorf("Flush: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.exactlyOnce(t, records)
	})
}

// A log is replaced after it was read and before anything was delivered, by a fault that takes the lease along, or the delivery
// state too. The new log is shorter than what was read, or has other frames.
func TestReplacedLogIsNoticedBeforeDelivery(t *testing.T) {
	for _, stateLost := range []bool{false, true} {
		for _, frames := range []int{0, 1, 2} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.append("ok-old-1")
				w.append("ok-old-2")
				worker, ctx, cancel := w.workerOf(t, nil, true)
				ended := run(ctx, worker)
				time.Sleep(time.Second)
				w.mu.Lock()
				w.replaceLog()
				w.mu.Unlock()
				_ = w.store.Delete(ctx, "s/0/lease")
				if stateLost {
					_ = w.store.Delete(ctx, "s/0")
				}
				records := w.trafficFrom(2, frames)
				time.Sleep(20 * time.Second)
				if err := worker.Flush(ctx); err != nil {
					t.Errorf("Flush: %v", err)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("Run: %v", err)
				}
				w.exactlyOnce(t, records)
				w.checkFaults(t, fault{deliver.Replaced, 1, 0, deliver.Unknown})
			})
		}
	}
}

func TestLostStateIsReported(t *testing.T) {
	for name, damage := range map[string]func(*world){
		"missing":    func(w *world) { _ = w.store.Delete(t.Context(), "s/0") },
		"unreadable": func(w *world) { _, _ = w.store.Set(t.Context(), "s/0", []byte("{")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.append("ok-1")
			w.append("ok-2", "ok-3")
			w.deliverAll(t, nil)
			damage(w)
			w.append("ok-4")
			w.deliverAll(t, nil)
			if got := w.count(t); got["ok-1"] != 1 || got["ok-4"] != 1 || len(got) != 4 {
				t.Errorf("%s: %v, want the delivered and trimmed record and the new one once", name, got)
			}
			w.checkFaults(t, fault{deliver.Repeated, 2, 3, 3})
		})
	}
}

func TestLostFramesAreCounted(t *testing.T) {
	for _, marked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			for i := range 6 {
				w.append(fmt.Sprint("ok-", i, "-a"), fmt.Sprint("ok-", i, "-b"))
			}
			w.loseFrame(1, marked)
			w.loseFrame(3, marked)
			w.loseFrame(4, true)
			delete(w.acked, 4)
			worker, ctx, _ := w.worker(t, crashAt("commit", 1, false))
			if err := <-run(ctx, worker); err != nil {
				t.Fatal(err)
			}
			w.deliverAll(t, nil)
			w.exactlyOnce(t, []string{"ok-1-a", "ok-1-b", "ok-4-a", "ok-4-b", "ok-5-a", "ok-5-b"})
			w.checkFaults(t, fault{deliver.Lost, 1, 1, 2}, fault{deliver.Lost, 3, 4, deliver.Unknown})
		})
	}
}

// TestDamagedPendingFlush damages frames of a flush between its puts and its commit.
func TestDamagedPendingFlush(t *testing.T) {
	var all []string
	for i := range 4 {
		all = append(all, fmt.Sprint("ok-", i), fmt.Sprint("bad-", i))
	}
	for _, tt := range []struct {
		name   string
		crash  step
		damage func(*world)
		want   []string // records that are there at least once
		twice  bool     // some may be there twice
		faults []fault
	}{
		{"all put, frame lost", crashAt("commit", 1, false), func(w *world) { w.loseFrame(2, true) }, all, false, nil},
		{"all put, end lost", crashAt("commit", 1, false), func(w *world) { delete(w.frames, 4); w.last = 3 }, all, false, nil},
		{"nothing put, frame lost", crashAt("put", 1, false), func(w *world) { w.loseFrame(2, true) }, slices.Delete(slices.Clone(all), 2, 4), false,
			[]fault{{deliver.Lost, 2, 2, 2}}},
		{"one put, frame lost", crashAt("put", 1, true), func(w *world) { w.loseFrame(2, false) }, slices.Delete(slices.Clone(all), 2, 4), true,
			[]fault{{deliver.Repeated, 1, 4, deliver.Unknown}, {deliver.Lost, 2, 2, 2}}},
		{"all put, another frame in its place", crashAt("commit", 1, false), func(w *world) {
			w.frames[4] = record.Batch{Arrived: w.now(), Records: [][]byte{[]byte("ok-new")}}.AppendFrame(nil)
		}, append([]string{"ok-new"}, all...), true, []fault{{deliver.Repeated, 1, 4, deliver.Unknown}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				for i := range 4 {
					w.append(all[2*i], all[2*i+1])
				}
				worker, ctx, _ := w.worker(t, tt.crash)
				if err := <-run(ctx, worker); err != nil {
					t.Fatal(err)
				}
				tt.damage(w)
				w.deliverAll(t, nil)
				w.append("ok-late")
				w.deliverAll(t, nil)
				got := w.count(t)
				for _, r := range append(tt.want, "ok-late") {
					if n := got[r]; n < 1 || n > 1 && !tt.twice {
						t.Errorf("record %s delivered %d times", r, n)
					}
				}
				if got["ok-late"] != 1 {
					t.Errorf("the new record was delivered %d times", got["ok-late"])
				}
				w.checkFaults(t, tt.faults...)
			})
		})
	}
}

// TestRandomDamageIsNeverSilent crashes workers at random operations and damages the log between
// them. A record that is missing or repeated must be explained by a fault.
func TestRandomDamageIsNeverSilent(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 2))
			w := newWorld()
			w.dest.Size = int64(20 + rnd.IntN(400))
			frame := map[string]uint64{} // of each record, by epoch
			log, logs := 0, map[string]int{}
			n := 0
			for range 6 {
				for range rnd.IntN(6) {
					var records []string
					for range 1 + rnd.IntN(4) {
						r := fmt.Sprintf("r%05d", n)
						n++
						records, frame[r], logs[r] = append(records, r), w.last+1, log
					}
					w.append(records...)
				}
				left := rnd.IntN(12)
				worker, ctx, cancel := w.worker(t, func(string, bool) error {
					if left--; left < 0 {
						return errCrash
					}
					return nil
				})
				ended := run(ctx, worker)
				select {
				case <-ended:
				case <-time.After(2 * time.Minute):
					cancel()
					<-ended
				}
				switch rnd.IntN(6) {
				case 0:
					if strings.Contains(w.store.Docs()["s/0"], `"known":`) { // otherwise no worker has seen the log
						w.replaceLog()
						log++
					}
				case 1:
					if w.last > 0 {
						w.loseFrame(1+rnd.Uint64N(w.last), rnd.IntN(2) == 0)
					}
				case 2:
					_ = w.store.Delete(t.Context(), "s/0")
				}
			}
			w.deliverAll(t, nil)
			faults := w.openFaults(t).Open()
			has := func(kinds ...deliver.FaultKind) bool {
				return slices.ContainsFunc(faults, func(f deliver.Fault) bool { return slices.Contains(kinds, f.Kind) })
			}
			got := w.count(t)
			for r := range frame {
				switch {
				case got[r] == 0 && logs[r] == log && !slices.ContainsFunc(faults, func(f deliver.Fault) bool {
					return f.Kind == deliver.Lost && f.First <= frame[r] && frame[r] <= f.Last ||
						f.Kind == deliver.Replaced || // a new log that was damaged as well
						f.Kind == deliver.Repeated && frame[r] < f.First // taken for delivered
				}):
					t.Errorf("seed %d: record %s of frame %d is missing and not reported as lost: %v", seed, r, frame[r], faults)
				case got[r] == 0 && logs[r] < log && !has(deliver.Lost, deliver.Replaced, deliver.Repeated):
					t.Errorf("seed %d: record %s of a replaced log is missing, and nothing was reported", seed, r)
				case got[r] > 1 && !has(deliver.Repeated, deliver.Replaced):
					t.Errorf("seed %d: record %s is there %d times, and nothing was reported", seed, r, got[r])
				}
			}
			w.append("new")
			w.deliverAll(t, nil)
			if w.count(t)["new"] != 1 {
				t.Errorf("seed %d: a new record is not delivered once", seed)
			}
		})
		if t.Failed() {
			return
		}
	}
}

func TestFaultsStayUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		lost := deliver.Fault{Found: time.Now().UTC(), Kind: deliver.Lost, Stream: "s", First: 3, Last: 4, Records: 7}
		faults := w.openFaults(t)
		for range 2 {
			if err := faults.Report(t.Context(), lost, ""); err != nil {
				t.Fatal(err)
			}
		}
		faults = w.openFaults(t)
		diff(t, "faults after a restart", []deliver.Fault{lost}, faults.Open())
		if err := faults.Acknowledge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.openFaults(t).Report(t.Context(), lost, ""); err != nil {
			t.Fatal(err)
		}
		w.checkFaults(t)
		if n := strings.Count(w.logs.String(), lost.String()); n != 2 { // found once, acknowledged once
			t.Errorf("the fault is in %d log lines, want 2:\n%s", n, w.logs.String())
		}
	})
}

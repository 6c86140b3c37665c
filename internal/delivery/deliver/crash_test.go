package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// traffic appends n frames of ten records each and returns the records: every seventh is bad,
// every eleventh is to be dropped.
func (w *world) traffic(n int) []string { return w.trafficFrom(0, n) }

// trafficFrom does the same as traffic, numbering the records from the given number.
func (w *world) trafficFrom(from, n int) []string {
	var all []string
	for range n {
		var frame []string
		for range 10 {
			kind := "ok"
			switch i := from + len(all); {
			case i%7 == 3:
				kind = "bad"
			case i%11 == 5:
				kind = "drop"
			}
			r := fmt.Sprintf("%s-%04d-%s", kind, from+len(all), strings.Repeat("x", (from+len(all))%40))
			frame, all = append(frame, r), append(all, r)
		}
		w.append(frame...)
		time.Sleep(10 * time.Millisecond) // in the bubble's time
	}
	return all
}

// crashAt returns a step that crashes at the nth operation with that name, before or after its effect.
func crashAt(name string, n int, after bool) step {
	seen := 0
	return func(s string, a bool) error {
		if s != name || a != after {
			return nil
		}
		if seen++; seen == n {
			return errCrash
		}
		return nil
	}
}

func TestCrashAtEachStepDeliversExactlyOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   string
		nth  int
	}{
		{"taking over", "take", 1},
		{"first pending flush", "pending", 1},
		{"second pending flush", "pending", 2},
		{"first put", "put", 1},
		{"second put", "put", 2},
		{"third put", "put", 3},
		{"last put", "put", 4},
		{"commit", "commit", 1},
		{"second commit", "commit", 2},
		{"trim", "trim", 1},
		{"second trim", "trim", 2},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/after=%v", tt.name, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					records := w.traffic(12)
					worker, ctx, _ := w.worker(t, crashAt(tt.op, tt.nth, after))
					if err := <-run(ctx, worker); err != nil {
						t.Fatalf("Run = %v, want nil after the crash", err)
					}
					w.append("ok-late")
					w.deliverAll(t, nil)
					w.exactlyOnce(t, append(records, "ok-late"))
				})
			})
		}
	}
}

// TestRandomCrashesDeliverExactlyOnce crashes one worker after another at random operations while
// records arrive and the function changes which records it fails. With every second seed the clock
// jumps by an hour, and with every fourth the stream's format conversion changes.
func TestRandomCrashesDeliverExactlyOnce(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 1))
			w := newWorld()
			w.dest.Size = int64(100 + rnd.IntN(2000))
			w.dest.FunctionBytes, w.dest.FunctionInterval = int64(rnd.IntN(500)), time.Second
			if seed%3 == 0 {
				w.dest.Partitioning, w.dest.Prefix = true, "logs/!{partitionKeyFromLambda:customer}/!{timestamp:yyyy}/"
				w.dest.ErrorPrefix = "errors/!{firehose:error-output-type}/"
			}
			var records []string
			for life := range 8 {
				for range rnd.IntN(10) {
					var frame []string
					for range rnd.IntN(8) {
						frame = append(frame, fmt.Sprintf("r%05d@%d", len(records), rnd.IntN(3)))
						records = append(records, frame[len(frame)-1])
					}
					if seed%2 == 0 {
						w.jumped.Store(int64(rnd.IntN(3)-1) * int64(time.Hour))
					}
					w.append(frame...)
				}
				w.fn = function{flip: rnd.IntN(4)}
				if seed%4 == 1 {
					w.fn = inJSON{w.fn}
					w.dest.Conversion = conversions[rnd.IntN(len(conversions))]
				}
				w.dest.Version = 1 + life/3
				left := rnd.IntN(12)
				worker, ctx, cancel := w.worker(t, func(string, bool) error {
					if seed%2 == 0 {
						w.jumped.Store(int64(rnd.IntN(3)-1) * int64(time.Hour))
					}
					if left--; left < 0 {
						return errCrash
					}
					return nil
				})
				ended := run(ctx, worker)
				select {
				case err := <-ended:
					if err != nil {
						t.Errorf("Run = %v, want nil after the crash", err)
					}
				case <-time.After(2 * time.Minute): // everything is delivered
					cancel()
					<-ended
				}
			}
			w.deliverAll(t, nil)
			w.exactlyOnce(t, records)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// TestErrorAtEachStepIsRetried fails operations without a crash, before and after their effect.
func TestErrorAtEachStepIsRetried(t *testing.T) {
	errPassing := errors.New("temporary failure")
	for _, op := range []string{"take", "pending", "put", "commit", "trim"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/after=%v", op, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					records := w.traffic(12)
					n := 0
					w.deliverAll(t, func(s string, a bool) error {
						if s == op && a == after {
							if n++; n%4 != 0 {
								return errPassing
							}
						}
						return nil
					})
					w.exactlyOnce(t, records)
					logs := w.logs.String()
					if failing := strings.Count(logs, "is failing"); failing == 0 && op != "take" || strings.Count(logs, "recovered after") != failing {
						t.Errorf("logged %d failures and %d recoveries:\n%s", failing, strings.Count(logs, "recovered after"), logs)
					}
				})
			})
		}
	}
}

// TestPendingFlushKeepsNames changes the whole destination between crash and recovery.
func TestPendingFlushKeepsNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.append("ok-1", "bad-2", "ok-3")
		worker, ctx, _ := w.worker(t, crashAt("commit", 1, false))
		ended := run(ctx, worker)
		time.Sleep(2 * time.Minute)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		before := w.keys("b/")
		if len(before) != 2 {
			t.Fatalf("put %q before the crash, want a data and an error object", before)
		}
		w.dest.Version, w.dest.Prefix, w.dest.Compression, w.dest.Bucket = 2, "other/", "UNCOMPRESSED", "b2"
		w.append("ok-4")
		w.deliverAll(t, nil)
		if after := w.keys("b/"); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("objects after recovery %q, want %q", after, before)
		}
		w.exactlyOnce(t, []string{"ok-1", "bad-2", "ok-3"})
		if got := w.lines(t, "b2/other/"); len(got) != 1 || got[0] != "ok-4" {
			t.Errorf("new destination holds %q, want ok-4", got)
		}
	})
}

// always is a Transformer that returns the same status for every record.
type always record.Status

func (a always) Transform(_ context.Context, _ record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	for _, rec := range b.Records {
		out = append(out, record.Result{Status: record.Status(a), Data: append(slices.Clone(rec), '\n')})
	}
	return out, nil
}

func TestRecoveryWithOtherResultsMovesRecords(t *testing.T) {
	for name, crash := range map[string]step{
		"all put":              crashAt("commit", 1, false),
		"nothing put":          crashAt("put", 1, false),
		"pending flush hidden": crashAt("pending", 1, true),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				records := []string{"ok-1", "ok-2"}
				w.append(records...)
				live := func(status record.Status, s step) {
					w.fn = always(status)
					worker, ctx, _ := w.worker(t, s)
					ended := run(ctx, worker)
					time.Sleep(2 * time.Minute)
					if err := <-ended; err != nil {
						t.Fatal(err)
					}
				}
				live(record.OK, crash)
				live(record.Failed, crashAt("commit", 1, false)) // an object kind that the pending flush did not have
				if got := w.count(t); got["ok-1"] != 1 || got["ok-2"] != 1 || len(w.failures(t)) != 2 {
					t.Errorf("as failed: %v, want each once, in the error object", got)
				}
				live(record.OK, crashAt("commit", 1, false)) // and back
				w.exactlyOnce(t, records)
				w.deliverAll(t, nil)
				w.exactlyOnce(t, records)
				if keys := w.keys("b/"); len(keys) != 2 {
					t.Errorf("objects %q, want the data object and the empty error object", keys)
				}
			})
		})
	}
}

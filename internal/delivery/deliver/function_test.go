package deliver_test

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

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/record"
)

// answers is a Transformer that calls fn and remembers the calls.
type answers struct {
	fn func(call record.Call, b record.Batch, out []record.Result) ([]record.Result, error)

	mu    sync.Mutex // guards calls
	calls []seen
}

type seen struct {
	Bytes   int
	IDs     []string
	Arrived []time.Time
}

func (a *answers) Transform(_ context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	var s seen
	for i, rec := range b.Records {
		s.Bytes += len(rec)
		s.IDs, s.Arrived = append(s.IDs, call.ID(i)), append(s.Arrived, call.Arrived(i).UTC())
	}
	a.mu.Lock()
	a.calls = append(a.calls, s)
	a.mu.Unlock()
	return a.fn(call, b, out)
}

func pass(_ record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	for _, rec := range b.Records {
		out = append(out, record.Result{Data: append(slices.Clone(rec), '\n')})
	}
	return out, nil
}

func TestFunctionFailureGoesToErrorOutput(t *testing.T) {
	tests := map[string]struct {
		fn       func(record.Call, record.Batch, []record.Result) ([]record.Result, error)
		code     record.ErrorCode
		message  string
		attempts int
	}{
		"unknown error": {
			func(record.Call, record.Batch, []record.Result) ([]record.Result, error) {
				return nil, errors.New("boom")
			},
			"Lambda.FunctionError", record.MessageFunctionError, 4,
		},
		"timed out": {
			func(record.Call, record.Batch, []record.Result) ([]record.Result, error) {
				return nil, fmt.Errorf("invoke: %w", &record.CallError{Code: record.CodeTimedOut, Message: record.MessageTimedOut, Retryable: true})
			},
			"Lambda.FunctionTimedOut", record.MessageTimedOut, 4,
		},
		"not found": {
			func(record.Call, record.Batch, []record.Result) ([]record.Result, error) {
				return nil, &record.CallError{Code: record.CodeFunctionNotFound, Message: record.MessageFunctionNotFound}
			},
			"Lambda.ResourceNotFound", record.MessageFunctionNotFound, 1,
		},
		"panics": {
			func(_ record.Call, b record.Batch, _ []record.Result) ([]record.Result, error) {
				panic(string(b.Records[0]))
			},
			"Lambda.FunctionError", record.MessageFunctionError, 4,
		},
		"too few results": {
			func(_ record.Call, _ record.Batch, out []record.Result) ([]record.Result, error) { return out, nil },
			"Lambda.MissingRecordId", record.MessageMissingRecord, 1,
		},
		"own error code": {
			func(_ record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
				for range b.Records {
					out = append(out, record.Result{Status: record.Failed, Code: record.CodeInvalidReturn, Message: "m", Attempts: 2})
				}
				return append(out, record.Result{}), nil // one too many
			},
			"Lambda.InvalidReturnFormat", "m", 2,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.dest.Retries = 3
				a := &answers{fn: func(call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
					if strings.HasPrefix(string(b.Records[0]), "fine") {
						return pass(call, b, out)
					}
					return tt.fn(call, b, out)
				}}
				w.fn = a
				w.append("secret-1", "secret-2")
				w.append("fine-3")
				w.deliverAll(t, nil)
				diff(t, "data", []string{"fine-3"}, w.lines(t, "b/logs/"))
				all := w.failures(t)
				if len(all) != 2 || string(all[0].RawData) != "secret-1" || string(all[1].RawData) != "secret-2" {
					t.Fatalf("error records %+v, want the two of the failed call", all)
				}
				for _, e := range all {
					if e.ErrorCode != tt.code || e.ErrorMessage != tt.message || e.AttemptsMade != tt.attempts || e.LambdaARN != "arn:f" {
						t.Errorf("error record %+v, want %s, %s, %d attempts", e, tt.code, tt.message, tt.attempts)
					}
				}
				if strings.Contains(w.logs.String(), "secret") {
					t.Errorf("log contains a record:\n%s", w.logs.String())
				}
			})
		})
	}
}

func TestFunctionRecoveryLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Retries = 3
		n := 0
		w.fn = &answers{fn: func(call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
			if n++; n < 4 {
				return append(out, record.Result{}), errors.New("not yet")
			}
			return pass(call, b, out)
		}}
		w.append("ok-1", "ok-2")
		w.deliverAll(t, nil)
		diff(t, "data", []string{"ok-1", "ok-2"}, w.lines(t, "b/logs/"))
		if logs := w.logs.String(); strings.Count(logs, "the function is failing") != 1 || !strings.Contains(logs, "the function recovered after 3 tries") {
			t.Errorf("log:\n%s\nwant one failure and one recovery", logs)
		}
	})
}

func TestNoFunctionDeliversRecordsUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.FunctionARN = ""
		w.fn = &answers{} // would panic
		w.append("a", "b\n", "")
		w.deliverAll(t, nil)
		if got := contents(t, w.objects[w.keys("b/")[0]]); got != "ab\n" {
			t.Errorf("object = %q, want the records concatenated", got)
		}
	})
}

func TestAppendDelimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.FunctionARN, w.dest.AppendDelimiter = "", true
		w.append("a", "b\n", "", "c")
		w.deliverAll(t, nil)
		if got := contents(t, w.objects[w.keys("b/")[0]]); got != "a\nb\n\nc\n" {
			t.Errorf("object = %q, want one newline after each record", got)
		}
	})
}

// TestFramesShareCalls checks that small frames share a call, that a large frame is spread over
// several calls, and that ids and arrival times stay with their records.
func TestFramesShareCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.FunctionBytes, w.dest.FunctionInterval, w.dest.Size = 10, time.Hour, 1<<20
		a := &answers{fn: pass}
		w.fn = a
		start := time.Now().UTC()
		w.append("1111", "222")
		time.Sleep(time.Second)
		w.append("333")                    // fits
		w.append("4444", "555555", "6666") // two calls
		w.append()                         // no record
		w.append("a record that is larger than a call")
		w.deliverAll(t, nil)
		diff(t, "records", []string{"1111", "222", "333", "4444", "555555", "6666", "a record that is larger than a call"}, w.lines(t, "b/logs/"))
		slices.SortFunc(a.calls, func(x, y seen) int { return strings.Compare(x.IDs[0], y.IDs[0]) })
		later := start.Add(time.Second)
		diff(t, "calls", []seen{
			{10, []string{record.ID(0, 1, 0), record.ID(0, 1, 1), record.ID(0, 2, 0)}, []time.Time{start, start, later}},
			{10, []string{record.ID(0, 3, 0), record.ID(0, 3, 1)}, []time.Time{later, later}},
			{4, []string{record.ID(0, 3, 2)}, []time.Time{later}},
			{35, []string{record.ID(0, 5, 0)}, []time.Time{later}},
		}, a.calls)
	})
}

func TestFunctionIntervalLimitsGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.FunctionBytes, w.dest.FunctionInterval = 1<<20, 10*time.Second
		a := &answers{fn: pass}
		w.fn = a
		worker, ctx, cancel := w.worker(t, nil)
		ended := run(ctx, worker)
		w.append("ok")
		for _, tt := range []struct {
			after time.Duration
			calls int
		}{{9 * time.Second, 0}, {2 * time.Second, 1}} {
			time.Sleep(tt.after)
			synctest.Wait()
			a.mu.Lock()
			if len(a.calls) != tt.calls {
				t.Errorf("%d calls, want %d", len(a.calls), tt.calls)
			}
			a.mu.Unlock()
		}
		cancel()
		<-ended
	})
}

func TestBackupHoldsEverySourceRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Backup = &deliver.Backup{Bucket: "b2", Prefix: "source/", Compression: "UNCOMPRESSED"}
		w.append("ok-1.", "bad-2.", "drop-3.")
		w.append("ok-4.")
		w.deliverAll(t, nil)
		keys := w.keys("b2/source/2000/01/01/00/s-1-")
		if len(keys) != 1 || string(w.objects[keys[0]].body) != "ok-1.bad-2.drop-3.ok-4." {
			t.Errorf("backup %q, want one object with all records", keys)
		}
		w.exactlyOnce(t, []string{"ok-1.", "bad-2.", "drop-3.", "ok-4."})
	})
}

func partitioned() *world {
	w := newWorld()
	w.dest.Partitioning, w.dest.Prefix = true, "logs/c=!{partitionKeyFromLambda:customer}/!{timestamp:yyyy/MM/dd}/"
	w.dest.ErrorPrefix, w.dest.Size = "errors/!{firehose:error-output-type}/", 1<<20
	return w
}

func TestPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := partitioned()
		w.append("1@acme", "2@globex", "3@acme", "bad-4@acme", "5", "6@", "7@..", "8@a/../b", "9@a\x00b", "10@\xff", "11@"+strings.Repeat("x", 300), "12@a/b")
		w.append("13@globex")
		w.deliverAll(t, nil)
		for prefix, want := range map[string][]string{
			"b/logs/c=acme/2000/01/01/s-1-":   {"1@acme", "3@acme"},
			"b/logs/c=globex/2000/01/01/s-1-": {"2@globex", "13@globex"},
			"b/logs/c=a/b/2000/01/01/s-1-":    {"12@a/b"},
		} {
			diff(t, prefix, want, w.lines(t, prefix))
		}
		if n := len(w.lines(t, "b/errors/processing-failed/s-1-")); n != 1 {
			t.Errorf("%d records failed processing, want 1", n)
		}
		if n := len(w.lines(t, "b/errors/dynamic-partitioning-failed/s-1-")); n != 7 {
			t.Errorf("%d records failed partitioning, want 7", n)
		}
		if len(w.objects) != 5 {
			t.Errorf("objects %q, want 3 of data and 2 of errors", w.keys(""))
		}
		for _, e := range w.failures(t) {
			if !bytes.HasPrefix(e.RawData, []byte("bad")) && (e.ErrorCode != record.CodePartitionKeys || e.ErrorMessage == "") {
				t.Errorf("error record %+v, want %s", e, record.CodePartitionKeys)
			}
		}
	})
}

func TestTooManyPartitionsGoToErrorOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := partitioned()
		var records []string
		for i := range 503 {
			records = append(records, fmt.Sprintf("r@c%d", i))
		}
		records = append(records, "again@c1", "again@c502")
		w.append(records...)
		w.deliverAll(t, nil)
		w.exactlyOnce(t, records)
		if n := len(w.keys("b/logs/")); n != 500 {
			t.Errorf("%d data objects, want 500", n)
		}
		all := w.failures(t)
		if len(all) != 4 || all[0].ErrorCode != record.CodeTooManyPartitions || all[0].LambdaARN != "arn:f" {
			t.Errorf("error records %+v, want 4 beyond the limit", all)
		}
	})
}

// TestPartitionsSurviveCrash repeats a partitioned flush under the names of the pending one.
func TestPartitionsSurviveCrash(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			w := partitioned()
			records := []string{"1@a", "2@b", "3@c", "bad@d"}
			w.append(records...)
			worker, ctx, _ := w.worker(t, crashAt("put", n, true))
			if err := <-run(ctx, worker); err != nil {
				t.Fatal(err)
			}
			w.deliverAll(t, nil)
			w.exactlyOnce(t, records)
			if len(w.objects) != 4 {
				t.Errorf("objects %q, want 4", w.keys(""))
			}
		})
	}
}

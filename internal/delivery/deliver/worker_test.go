package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestBadRecordDoesNotBlockOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		arrived := time.Now()
		w.append("ok-1", "bad-2", "drop-3", "ok-4", "", "ok-5")
		worker := w.deliverAll(t, nil)
		diff(t, "data objects", []string{"ok-1", "ok-4", "", "ok-5"}, w.lines(t, "b/logs/"))
		ended := w.failures(t)[0].AttemptsEnded
		diff(t, "error objects", []objectkey.ErrorRecord{{
			RawData: []byte("bad-2"), ErrorCode: "Lambda.ProcessingFailedStatus", ErrorMessage: "ProcessingFailed status set for record",
			AttemptsMade: 1, Arrived: arrived.Truncate(time.Millisecond).UTC(), AttemptsEnded: ended, LambdaARN: "arn:f",
		}}, w.failures(t))
		diff(t, "Counts", deliver.Counts{In: 6, Out: 4, Failed: 1, Dropped: 1, BytesIn: 23, BytesOut: 16, Batches: 1, Objects: 2}, worker.Counts())
		for i, want := range []string{
			`^b/errors/processing-failed/2000/01/01/00/s-1-2000-01-01-00-00-00-[0-9a-f-]{36}\.gz$`,
			`^b/logs/2000/01/01/00/s-1-2000-01-01-00-00-00-[0-9a-f-]{36}\.gz$`,
		} {
			if keys := w.keys("b/"); len(keys) != 2 || !regexp.MustCompile(want).MatchString(keys[i]) {
				t.Errorf("object %d of %q, want %s", i, keys, want)
			}
		}
	})
}

func TestOrderIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var want []string
		for i := range 500 {
			want = append(want, fmt.Sprintf("ok-%05d", i))
			w.append(want[i])
		}
		w.dest.Size = 1 << 20
		w.fn = uneven{}
		w.deliverAll(t, nil)
		diff(t, "data object", want, w.lines(t, "b/logs/"))
	})
}

// uneven is a function whose calls take varying times.
type uneven struct{ function }

func (u uneven) Transform(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	time.Sleep(time.Duration(int(b.Records[0][len(b.Records[0])-1]-'0')%4) * time.Millisecond) // the bubble's time
	return u.function.Transform(ctx, call, b, out)
}

func TestAgeClosesFlush(t *testing.T) {
	for interval, within := range map[time.Duration]time.Duration{
		time.Minute: 61 * time.Second,
		0:           2 * time.Second, // zero buffering
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.dest.Interval = interval
			w.append("ok-1")
			worker, ctx, cancel := w.worker(t, nil)
			ended := run(ctx, worker)
			time.Sleep(interval - time.Millisecond)
			synctest.Wait()
			w.mu.Lock()
			early := len(w.objects)
			w.mu.Unlock()
			time.Sleep(within - interval)
			synctest.Wait()
			w.mu.Lock()
			late := len(w.objects)
			w.mu.Unlock()
			if early != 0 || late != 1 {
				t.Errorf("interval %v: %d objects before it, %d after %v, want 0 and 1", interval, early, late, within)
			}
			cancel()
			<-ended
		})
	}
}

func TestUncompressedSizeClosesFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Size, w.dest.Interval = 1000, time.Hour
		for range 10 {
			w.append(strings.Repeat("a", 499)) // 500 with its newline; compresses to almost nothing
		}
		worker, ctx, cancel := w.worker(t, nil)
		ended := run(ctx, worker)
		time.Sleep(time.Second)
		synctest.Wait()
		w.mu.Lock()
		if len(w.objects) != 5 {
			t.Errorf("%d objects, want 5 of two records each", len(w.objects))
		}
		w.mu.Unlock()
		cancel()
		<-ended
	})
}

// TestBurstWithinOneSecondLosesNothing checks that objects of the same second get different names.
func TestBurstWithinOneSecondLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Size = 1
		var want []string
		for i := range 300 {
			want = append(want, fmt.Sprintf("ok-%d", i))
			w.append(want[i])
		}
		w.deliverAll(t, nil)
		w.exactlyOnce(t, want)
		if len(w.objects) != 300 || w.puts != 300 {
			t.Errorf("%d puts made %d objects, want 300 each", w.puts, len(w.objects))
		}
	})
}

func TestNewVersionClosesFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Interval = time.Hour
		worker, ctx, cancel := w.worker(t, nil)
		ended := run(ctx, worker)
		w.append("ok-1")
		time.Sleep(1100 * time.Millisecond) // between two ticks
		w.mu.Lock()
		w.dest.Version, w.dest.Prefix = 2, "new/"
		w.mu.Unlock()
		w.append("ok-2")
		time.Sleep(time.Second)
		w.append("ok-3")
		if err := worker.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-ended
		diff(t, "old prefix", []string{"ok-1", "ok-2"}, w.lines(t, "b/logs/"))
		diff(t, "new prefix", []string{"ok-3"}, w.lines(t, "b/new/"))
		if keys := w.keys("b/new/"); len(keys) != 1 || !strings.Contains(keys[0], "/s-2-") {
			t.Errorf("new objects %q, want one of version 2", keys)
		}
	})
}

func TestTimeZoneAndExtension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Zone, w.dest.FileExtension = time.FixedZone("", 9*3600), ".json.gz"
		w.append("ok")
		w.deliverAll(t, nil)
		if keys := w.keys("b/logs/2000/01/01/09/s-1-2000-01-01-09-00-00-"); len(keys) != 1 || !strings.HasSuffix(keys[0], ".json.gz") {
			t.Errorf("objects %q, want one at nine o'clock with .json.gz", w.keys("b/"))
		}
	})
}

func TestFlushDuringTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Size, w.dest.Interval = 1<<20, time.Hour
		w.append("ok-before")
		worker, ctx, cancel := w.worker(t, nil)
		ended := run(ctx, worker)
		stop := make(chan struct{})
		stopped := make(chan struct{})
		go func() { // never a tick without frames
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					w.append("ok-during")
				}
			}
		}()
		if err := worker.Flush(ctx); err != nil {
			t.Error(err)
		}
		w.mu.Lock()
		if len(w.objects) != 1 {
			t.Errorf("%d objects after Flush, want 1", len(w.objects))
		}
		w.mu.Unlock()
		if err := worker.Flush(ctx); err != nil {
			t.Error(err)
		}
		close(stop)
		<-stopped
		cancel()
		<-ended
		if err := worker.Flush(t.Context()); err == nil {
			t.Error("Flush of a stopped worker = nil, want an error")
		}
	})
}

func TestFlushEmptyLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.deliverAll(t, nil)
		if len(w.objects) != 0 {
			t.Errorf("%d objects from an empty log, want 0", len(w.objects))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		worker, _, _ := w.worker(t, nil)
		if err := worker.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush before Run = %v, want it to wait", err)
		}
	})
}

func TestSinkOutageIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		records := w.traffic(4)
		var away atomic.Bool
		away.Store(true)
		worker, ctx, cancel := w.worker(t, func(name string, after bool) error {
			if name == "put" && !after && away.Load() {
				return errors.New("no route to host")
			}
			return nil
		})
		ended := run(ctx, worker)
		time.Sleep(time.Hour)
		away.Store(false)
		if err := worker.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-ended
		w.exactlyOnce(t, records)
		logs := w.logs.String()
		if n := strings.Count(logs, "delivery is failing"); n != 1 || strings.Count(logs, "delivery recovered after") != 1 {
			t.Errorf("logged %d failures of delivery, want 1, and 1 recovery:\n%s", n, logs)
		}
		if strings.Contains(logs, "xxx") {
			t.Errorf("log contains records:\n%s", logs)
		}
	})
}

// TestOutageStopsReading checks that memory does not grow with the backlog: one flush waits to be
// put, one is collected, and a few calls are in flight.
func TestOutageStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.dest.Size = 1000
		for range 1000 {
			w.append(strings.Repeat("x", 99)) // ten frames per flush
		}
		worker, ctx, cancel := w.worker(t, func(name string, _ bool) error {
			if name == "put" {
				return errors.New("no route to host")
			}
			return nil
		})
		ended := run(ctx, worker)
		time.Sleep(time.Hour)
		synctest.Wait()
		w.mu.Lock()
		if w.read < 20 || w.read > 40 {
			t.Errorf("%d frames read during the outage, want 20 to 40", w.read)
		}
		w.mu.Unlock()
		cancel()
		<-ended
	})
}

// counted is a log with its own Last.
type counted struct{ *life }

func (c counted) Last(context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, nil
}

func TestFlushWaitsForLastFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		l := &life{world: w, crash: func() {}}
		worker, err := deliver.New(deliver.Config{Destination: w.destination, Faults: w.openFaults(t)}, counted{l}, w.documents(t, l), bucket{l}, w.fn)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := run(ctx, worker)
		for i := range 3 {
			w.append(fmt.Sprintf("ok-%d", i))
			for range 2 { // the second has nothing to wait for
				if err := worker.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			}
			w.mu.Lock()
			if len(w.objects) != i+1 {
				t.Errorf("%d objects after Flush %d, want %d", len(w.objects), i, i+1)
			}
			w.mu.Unlock()
		}
		cancel()
		<-ended
		w.exactlyOnce(t, []string{"ok-0", "ok-1", "ok-2"})
	})
}

func TestHangingPutIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.append("ok")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l := &life{world: w, crash: cancel}
		hanging := &hangs{bucket: bucket{l}}
		worker, err := deliver.New(deliver.Config{Destination: w.destination, Faults: w.openFaults(t)}, l, w.documents(t, l), hanging, w.fn)
		if err != nil {
			t.Fatal(err)
		}
		ended := run(ctx, worker)
		if err := worker.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-ended
		w.exactlyOnce(t, []string{"ok"})
	})
}

func TestSecondWorkerStopsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		first, ctx1, cancel1 := w.worker(t, nil)
		defer cancel1()
		ended1 := run(ctx1, first)
		w.append("ok-1")
		time.Sleep(time.Second)
		second, ctx2, cancel2 := w.worker(t, nil)
		ended2 := run(ctx2, second)
		w.append("ok-2")
		if err := <-ended1; !errors.Is(err, record.ErrConflict) {
			t.Errorf("Run of the first = %v, want ErrConflict", err)
		}
		if err := second.Flush(ctx2); err != nil {
			t.Fatal(err)
		}
		cancel2()
		if err := <-ended2; err != nil {
			t.Errorf("Run of the second = %v", err)
		}
		w.exactlyOnce(t, []string{"ok-1", "ok-2"})
	})
}

func TestNewerStateIsNotOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const doc = `{"format":99,"owner":"x","delivered":7,"intent":null,"more":1}`
		w := newWorld()
		w.store = recordtest.StoreOf(map[string]string{"s/0": doc})
		worker, ctx, cancel := w.worker(t, nil)
		defer cancel()
		if err := <-run(ctx, worker); err == nil || !strings.Contains(err.Error(), "upgrade stagelog") {
			t.Errorf("Run = %v, want an error that says to upgrade", err)
		}
		if got := w.store.Docs()["s/0"]; got != doc {
			t.Errorf("document changed to %s", got)
		}
	})
}

func TestForgetRestartsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.append("ok-1")
		w.deliverAll(t, nil)
		if err := deliver.Forget(t.Context(), w.store, "s", 0); err != nil {
			t.Fatal(err)
		}
		w.last, w.frames, w.created = 0, map[uint64][]byte{}, false // the log, too
		time.Sleep(time.Millisecond)                                // in the bubble's time: names differ by it
		w.append("ok-2")
		w.deliverAll(t, nil)
		w.exactlyOnce(t, []string{"ok-1", "ok-2"})
		if len(w.objects) != 2 {
			t.Errorf("%d objects, want one of each stream of that name", len(w.objects))
		}
	})
}

func TestCorruptFrameGoesToErrorOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.append("ok-1")
		w.appendFrame([]byte("SLF1 torn"))
		w.append("ok-2")
		w.deliverAll(t, nil)
		diff(t, "data", []string{"ok-1", "ok-2"}, w.lines(t, "b/logs/"))
		all := w.failures(t)
		if len(all) != 1 || string(all[0].RawData) != "SLF1 torn" || all[0].ErrorCode != record.CodeCorruptFrame {
			t.Errorf("error records %+v, want the frame", all)
		}
	})
}

func TestNewRejectsMissingParts(t *testing.T) {
	if _, err := deliver.New(deliver.Config{}, nil, nil, nil, nil); err == nil {
		t.Error("New without anything = nil, want an error")
	}
}

// hangs is a sink whose first put blocks until its context ends.
type hangs struct {
	bucket
	once atomic.Bool
}

func (h *hangs) Put(ctx context.Context, name, key string, body io.ReadSeeker, m record.Meta) error {
	if h.once.CompareAndSwap(false, true) {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.bucket.Put(ctx, name, key, body, m)
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		reg := prometheus.NewRegistry()
		l := &life{world: w, crash: func() {}}
		fails := 2
		l.step = func(name string, after bool) error {
			if name == "put" && !after && fails > 0 {
				fails--
				return errors.New("not now")
			}
			return nil
		}
		worker, err := deliver.New(deliver.Config{Destination: w.destination, Faults: w.openFaults(t), Metrics: deliver.NewMetrics(reg)}, l, w.documents(t, l), bucket{l}, w.fn)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := run(ctx, worker)
		w.append("ok-1", "bad-2", "drop-3", "ok-4")
		time.Sleep(30 * time.Second)
		if age := value(t, reg, "stagelog_delivery_backlog_age_seconds", ""); age != 30 {
			t.Errorf("backlog age = %v after 30 s, want 30", age)
		}
		if err := worker.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{
			"records_in_total": 4, "records_out_total": 2, "records_failed_total": 1, "records_dropped_total": 1,
			"bytes_in_total": 19, "bytes_out_total": 10, "batches_total": 1, "put_failures_total": 2, "backlog_age_seconds": 0,
			"latency_seconds": 1, "function_failures_total": 0,
		} {
			if got := value(t, reg, "stagelog_delivery_"+name, ""); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		for _, kind := range []string{"data", "processing-failed"} {
			if got := value(t, reg, "stagelog_delivery_objects_total", kind); got != 1 {
				t.Errorf("objects of kind %s = %v, want 1", kind, got)
			}
		}
		if got := value(t, reg, "stagelog_delivery_last_success_timestamp_seconds", ""); got < 946684830 {
			t.Errorf("last success at %v, want the bubble's now", got)
		}
		cancel()
		<-ended
	})
}

// value returns a metric's value or a histogram's count. kind is a label's value or "".
func value(t testing.TB, reg *prometheus.Registry, name, kind string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := []string{""}
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			if !slices.Contains(labels, kind) {
				continue
			}
			switch {
			case m.Counter != nil:
				return m.Counter.GetValue()
			case m.Gauge != nil:
				return m.Gauge.GetValue()
			}
			return float64(m.Histogram.GetSampleCount())
		}
	}
	return 0
}

package deliver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

// world holds what survives a crash: log, store and bucket. Its methods are called by one
// test goroutine or by workers.
type world struct {
	mu      sync.Mutex
	frames  map[uint64][]byte
	last    uint64
	grown   chan struct{} // closed and replaced when the log grows
	store   *recordtest.Store
	acked   map[uint64]int    // records of each frame, as known apart from the frames
	objects map[string]object // by bucket/key
	trimmed uint64
	puts    int // successful puts
	read    int // frames that workers have read

	jumped atomic.Int64 // offset of the clock, in ns

	dest deliver.Destination
	fn   deliver.Transformer
	logs bytes.Buffer // what workers log

	created bool             // the delivery state exists
	reports recordtest.Store // of storage faults
	faults  *deliver.Faults  // of the newest worker
}

type object struct {
	body []byte
	meta record.Meta
}

func newWorld() *world {
	return &world{
		frames: map[uint64][]byte{}, grown: make(chan struct{}), store: &recordtest.Store{}, acked: map[uint64]int{},
		objects: map[string]object{}, fn: function{},
		dest: deliver.Destination{
			Stream: "s", StreamARN: "arn:s", Version: 1, Bucket: "b", Prefix: "logs/", ErrorPrefix: "errors/",
			Size: 1000, Interval: time.Minute, Compression: "GZIP", FunctionARN: "arn:f",
		},
	}
}

// now returns the wall clock time, which jumps for durations too, unlike time.Now.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.jumped.Load())) }

// append appends one frame that arrives now.
func (w *world) append(records ...string) {
	b := record.Batch{Arrived: w.now()}
	for _, r := range records {
		b.Records = append(b.Records, []byte(r))
	}
	w.appendFrame(b.AppendFrame(nil))
}

func (w *world) appendFrame(frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	w.frames[w.last] = frame
	w.acked[w.last] = int(record.FrameRecords(frame))
	close(w.grown)
	w.grown = make(chan struct{})
}

func (w *world) destination() deliver.Destination {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dest
}

// step is called before and after each operation of a worker with an effect: "pending", "put",
// "commit", "trim", "take". An error before it prevents the effect; an error after it hides the effect.
type step func(name string, after bool) error

// life is a world seen by one worker until the worker crashes. Operations after that have no effect.
type life struct {
	*world
	step  step
	crash context.CancelFunc
	dead  bool // guarded by world.mu
}

var errCrash = errors.New("crashed")

// do performs one operation with an effect.
func (l *life) do(name string, effect func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errCrash
	}
	for _, after := range []bool{false, true} {
		if l.step != nil {
			if err := l.step(name, after); err != nil {
				if errors.Is(err, errCrash) {
					l.dead = true
					l.crash()
				}
				return err
			}
		}
		if after {
			break
		}
		if err := effect(); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) Read(ctx context.Context, from uint64, tick time.Duration, fn func(uint64, []byte) error) error {
	for next := max(from, 1); ; {
		l.mu.Lock()
		for next <= l.last && l.frames[next] == nil {
			next++
		}
		frame, grown := l.frames[next], l.grown
		if frame != nil {
			l.read++
		}
		l.mu.Unlock()
		if frame != nil {
			frame = slices.Clone(frame)
			if err := fn(next, frame); err != nil {
				return err
			}
			for i := range frame {
				frame[i] = 0xee // it was valid only during fn
			}
			next++
			continue
		}
		timer := time.NewTimer(tick)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-grown:
			timer.Stop()
		case <-timer.C:
			if err := fn(0, nil); err != nil {
				return err
			}
		}
	}
}

func (l *life) Range(context.Context) (first, last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == 0 {
		return 0, 0, nil // as JetStream's new stream
	}
	for first = l.trimmed + 1; first <= l.last && l.frames[first] == nil; first++ {
	}
	return first, l.last, nil
}

func (l *life) Frame(_ context.Context, seq uint64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq == 0 {
		panic("Frame(0): JetStream answers 400 bad request")
	}
	if frame := l.frames[seq]; frame != nil {
		return slices.Clone(frame), nil
	}
	return nil, record.ErrNotFound
}

func (l *life) Records(first, last uint64) (n int64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for seq := first; seq <= last; seq++ {
		records, known := l.acked[seq]
		if !known {
			return 0, false
		}
		n += int64(records)
	}
	return n, true
}

func (l *life) Trim(_ context.Context, upTo uint64) error {
	return l.do("trim", func() error {
		for seq := range l.frames {
			if seq < upTo {
				delete(l.frames, seq)
			}
		}
		l.trimmed = upTo - 1
		return nil
	})
}

// documents wraps the store with the life's steps.
type documents struct {
	record.Store
	*life
}

func (d documents) Put(ctx context.Context, key string, value []byte, rev uint64) (newRev uint64, err error) {
	before, current, getErr := d.Store.Get(ctx, key)
	name := "commit"
	switch {
	case !bytes.Contains(value, []byte(`"intent":null`)):
		name = "pending"
	case current == rev && (getErr != nil || !bytes.Contains(before, value[:60])):
		name = "take" // by another owner
	case delivered(before) == delivered(value) && bytes.Contains(before, []byte(`"intent":null`)):
		name = "note" // which frame proves that the log is the same
	}
	err = d.do(name, func() (err error) {
		newRev, err = d.Store.Put(context.WithoutCancel(ctx), key, value, rev)
		return err
	})
	return newRev, err
}

// delivered returns a member of a delivery state.
func delivered(doc []byte) string {
	_, rest, _ := bytes.Cut(doc, []byte(`"delivered":`))
	n, _, _ := bytes.Cut(rest, []byte(","))
	return string(n)
}

// bucket is the life's sink. It is a type of its own because its Put differs from the store's.
type bucket struct{ *life }

func (b bucket) Put(_ context.Context, name, key string, body io.ReadSeeker, m record.Meta) error {
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if int64(len(content)) != m.Size {
		return fmt.Errorf("body has %d bytes, Meta.Size is %d", len(content), m.Size)
	}
	return b.do("put", func() error {
		b.objects[name+"/"+key] = object{content, m}
		b.puts++
		return nil
	})
}

func (b bucket) Exists(_ context.Context, name, key string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, found := b.objects[name+"/"+key]
	return found, nil
}

// function is a Transformer that looks at the record: one that begins with "bad" fails, one that
// begins with "drop" is dropped, others get a newline.
type function struct {
	flip int // if not 0, selects more records to fail, by hash
}

func (f function) Transform(_ context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	buf := (*call.Scratch)[:0]
	for _, rec := range b.Records {
		r := record.Result{}
		sum := 0
		for _, c := range rec {
			sum += int(c)
		}
		switch {
		case bytes.HasPrefix(rec, []byte("bad")), f.flip != 0 && sum%(f.flip+2) == 0:
			r.Status = record.Failed
		case bytes.HasPrefix(rec, []byte("drop")):
			r.Status = record.Dropped
		default:
			at := len(buf)
			buf = append(append(buf, rec...), '\n')
			r.Data = buf[at:len(buf):len(buf)]
			if i := bytes.IndexByte(rec, '@'); i >= 0 {
				r.Partition = map[string]string{"customer": string(rec[i+1:])}
			}
		}
		out = append(out, r)
	}
	*call.Scratch = buf
	return out, nil
}

// worker returns a worker on the world, its context, and a function that ends it like a crash.
func (w *world) worker(t testing.TB, s step) (*deliver.Worker, context.Context, context.CancelFunc) {
	t.Helper()
	return w.workerOf(t, s, false)
}

func (w *world) workerOf(t testing.TB, s step, shared bool) (*deliver.Worker, context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &life{world: w, step: s, crash: cancel}
	worker, err := deliver.New(deliver.Config{
		Destination: w.destination, SpoolDir: t.TempDir(), Logger: w.logger(), Shared: shared, Now: w.now, Faults: w.openFaults(t),
	}, l, w.documents(t, l), bucket{l}, w.fn)
	if err != nil {
		t.Fatal(err)
	}
	return worker, ctx, cancel
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&w.logs, nil)) }

// openFaults opens the reports of storage faults like a new process.
func (w *world) openFaults(t testing.TB) *deliver.Faults {
	t.Helper()
	faults, err := deliver.OpenFaults(t.Context(), &w.reports, prometheus.NewRegistry(), w.logger())
	if err != nil {
		t.Fatal(err)
	}
	w.faults = faults
	return faults
}

// documents returns the store of the delivery state as a worker sees it. The first call creates the state.
func (w *world) documents(t testing.TB, l *life) record.Store {
	t.Helper()
	if !w.created {
		if err := deliver.Create(t.Context(), w.store, "s", 0); err != nil {
			t.Fatal(err)
		}
		w.created = true
	}
	return documents{w.store, l}
}

// run starts a worker and returns a channel that receives the result of its Run.
func run(ctx context.Context, worker *deliver.Worker) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	return ended
}

// deliverAll runs a worker until everything in the log is delivered.
func (w *world) deliverAll(t testing.TB, s step) *deliver.Worker {
	t.Helper()
	worker, ctx, cancel := w.worker(t, s)
	ended := run(ctx, worker)
	if err := worker.Flush(ctx); err != nil {
		t.Errorf("Flush: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	return worker
}

// contents returns the decompressed object.
func contents(t testing.TB, o object) string {
	t.Helper()
	if bytes.HasPrefix(o.body, []byte(parquet.Magic)) {
		return parquetLines(t, o.body)
	}
	if o.meta.ContentEncoding != "gzip" {
		return string(o.body)
	}
	r, err := gzip.NewReader(bytes.NewReader(o.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false) // readers that stop after one member must see everything
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// keys returns the keys of the bucket's objects below a prefix, sorted.
func (w *world) keys(prefix string) []string {
	var keys []string
	for key := range w.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// lines returns the lines of the objects below a prefix, in the order of the keys.
func (w *world) lines(t testing.TB, prefix string) []string {
	t.Helper()
	var lines []string
	for _, key := range w.keys(prefix) {
		for line := range strings.Lines(contents(t, w.objects[key])) {
			line = strings.TrimSuffix(line, "\n")
			if in, ok := strings.CutPrefix(line, `{"id":"`); ok {
				line = strings.TrimSuffix(in, `"}`)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// failures returns the error records of the bucket.
func (w *world) failures(t testing.TB) []objectkey.ErrorRecord {
	t.Helper()
	var all []objectkey.ErrorRecord
	for _, line := range w.lines(t, "b/errors/") {
		e, err := objectkey.ParseErrorLine([]byte(line))
		if err != nil {
			t.Fatalf("error object: %v", err)
		}
		all = append(all, e)
	}
	return all
}

// count returns how often each record is in the bucket, in data and error objects.
func (w *world) count(t testing.TB) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, line := range w.lines(t, "b/logs/") {
		n[line]++
	}
	for _, e := range w.failures(t) {
		n[string(e.RawData)]++
	}
	return n
}

// exactlyOnce checks that the bucket contains each record once, no dropped records, and nothing
// else.
func (w *world) exactlyOnce(t testing.TB, records []string) {
	t.Helper()
	got := w.count(t)
	for _, r := range records {
		want := 1
		if strings.HasPrefix(r, "drop") {
			want = 0
		}
		if got[r] != want {
			t.Errorf("record %q delivered %d times, want %d", r, got[r], want)
		}
		delete(got, r)
	}
	for r, n := range got {
		t.Errorf("record %q delivered %d times but never sent", r, n)
	}
}

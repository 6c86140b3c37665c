package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/delivery/replay"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/record"
)

var delivered = time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC)

type object struct {
	body     []byte
	meta     map[string]string
	modified time.Time
}

// bucket is an in-memory bucket. One of its calls fails, before or after taking effect.
type bucket struct {
	mu      sync.Mutex // guards all
	objects map[string]object
	calls   int
	puts    int
	failAt  int  // number of the failing call; 0 means none
	after   bool // the call takes effect, but returns errLost
}

var errLost = errors.New("connection lost")

// call runs one call under the lock.
func (b *bucket) call(work func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	fails := b.calls == b.failAt
	if fails && !b.after {
		return errLost
	}
	if err := work(); err != nil {
		return err
	}
	if fails {
		return errLost
	}
	return nil
}

func (b *bucket) List(_ context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	var found []record.Object
	if err := b.call(func() error {
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if o := b.objects[key]; strings.HasPrefix(key, prefix) && key > startAfter {
				found = append(found, record.Object{Key: key, Size: int64(len(o.body)), Modified: o.modified, ETag: fmt.Sprintf("%x", len(o.body))})
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, o := range found {
		if err := fn(o); err != nil {
			return err
		}
	}
	return nil
}

func (b *bucket) Get(_ context.Context, key string) (r io.ReadCloser, err error) {
	err = b.call(func() error {
		o, ok := b.objects[key]
		if !ok {
			return record.ErrNotFound
		}
		r = io.NopCloser(bytes.NewReader(o.body))
		return nil
	})
	return r, err
}

func (b *bucket) Head(_ context.Context, key string) (meta record.Meta, err error) {
	err = b.call(func() error {
		o, ok := b.objects[key]
		if !ok {
			return record.ErrNotFound
		}
		meta.User = o.meta
		return nil
	})
	return meta, err
}

func (b *bucket) Put(_ context.Context, key string, body io.ReadSeeker, m record.Meta) error {
	all, err := io.ReadAll(body)
	if err != nil || int64(len(all)) != m.Size {
		return fmt.Errorf("%d bytes, want %d: %w", len(all), m.Size, err)
	}
	return b.call(func() error {
		b.puts++
		b.objects[key] = object{all, m.User, delivered}
		return nil
	})
}

func (b *bucket) Delete(_ context.Context, key string) error {
	return b.call(func() error {
		delete(b.objects, key)
		return nil
	})
}

// enricher converts to upper case, and rejects records that contain one of bad.
type enricher struct{ bad []string }

func (e enricher) Append(dst, rec []byte) ([]byte, error) {
	for _, bad := range e.bad {
		if strings.Contains(string(rec), bad) {
			return nil, errors.New("not JSON")
		}
	}
	return append(append(dst, bytes.ToUpper(rec)...), '\n'), nil
}

func errorLine(rec string) string {
	return string(objectkey.ErrorRecord{RawData: []byte(rec), ErrorCode: "Lambda.FunctionError", AttemptsMade: 4, Arrived: delivered}.AppendLine(nil))
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// errorOutput returns a bucket with an error output of three objects and five records.
func errorOutput(t testing.TB) *bucket {
	return &bucket{objects: map[string]object{
		"errors/processing-failed/2026/a.gz": {body: packed(t, errorLine(`{"id":"r1"}`)+errorLine(`{"id":"r2"}`)), modified: delivered},
		"errors/processing-failed/2026/b":    {body: []byte(errorLine(`{"id":"r3"}`) + errorLine(`{"id":"r4"}`)), modified: delivered},
		"errors/processing-failed/2026/c":    {body: []byte(errorLine(`{"id":"r5"}`)), modified: delivered.Add(time.Hour)},
		"errors/empty":                       {modified: delivered},
	}}
}

func errorsConfig(b *bucket, bad ...string) replay.Config {
	return replay.Config{
		Bucket: b, Enricher: enricher{bad}, From: "errors/", Errors: true, Into: "logs/replayed/", Failed: "errors/replay/",
		Except: []string{"stagelog/"}, Parallel: 1, Now: func() time.Time { return delivered },
	}
}

// records returns the records below a prefix with the keys of their objects.
func records(t testing.TB, b *bucket, prefix string, failed bool) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for key, o := range b.objects {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		r, _, err := lines.Open(bytes.NewReader(o.body))
		if err != nil {
			t.Fatal(err)
		}
		if err := lines.Lines(r, 1<<20, 1<<20, func(line []byte, _ bool) error {
			if failed {
				e, err := objectkey.ParseErrorLine(line)
				if err != nil {
					t.Fatalf("%s: %v", key, err)
				}
				line = e.RawData
			}
			found[string(line)] = append(found[string(line)], key)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func run(t testing.TB, cfg replay.Config) replay.Summary {
	t.Helper()
	sum, err := replay.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestReplayRetriesFailedRecords(t *testing.T) {
	b := errorOutput(t)
	sum := run(t, errorsConfig(b, "r2", "r5"))
	if sum.Objects != 4 || sum.Done != 4 || sum.Records != 3 || sum.Failed != 2 || sum.Skipped != 0 {
		t.Errorf("first: %+v", sum)
	}
	wantKeys(t, records(t, b, "logs/", false), map[string]string{
		`{"ID":"R1"}`: "logs/replayed/processing-failed/2026/a.gz",
		`{"ID":"R3"}`: "logs/replayed/processing-failed/2026/b",
		`{"ID":"R4"}`: "logs/replayed/processing-failed/2026/b",
	})
	wantKeys(t, records(t, b, "errors/replay/", true), map[string]string{
		`{"id":"r2"}`: "errors/replay/errors/processing-failed/2026/a.gz",
		`{"id":"r5"}`: "errors/replay/errors/processing-failed/2026/c",
	})
	// The error record contains the new error and the number of attempts.
	again, err := objectkey.ParseErrorLine(b.objects["errors/replay/errors/processing-failed/2026/c"].body)
	if err != nil || again.AttemptsMade != 5 || again.ErrorMessage != "not JSON" || !again.Arrived.Equal(delivered) {
		t.Errorf("record that failed again: %+v, %v", again, err)
	}

	// A record that fails in the same way is read but not put again.
	puts := b.puts
	if sum = run(t, errorsConfig(b, "r2", "r5")); sum.Failed != 2 || b.puts != puts {
		t.Errorf("same failures again: %+v and %d puts, want 0", sum, b.puts-puts)
	}

	// With the cause fixed, only the failed records are replayed, and no failure is left.
	sum = run(t, errorsConfig(b))
	if sum.Skipped != 1 || sum.Records != 3 || sum.Failed != 0 {
		t.Errorf("second: %+v", sum)
	}
	if left := records(t, b, "errors/replay/", true); len(left) != 0 {
		t.Errorf("records still failed: %v", left)
	}
	if all := records(t, b, "logs/", false); len(all) != 5 {
		t.Errorf("enriched: %v", all)
	}
	if sum = run(t, errorsConfig(b)); sum.Records != 0 || sum.Skipped != 3 {
		t.Errorf("third: %+v, want nothing to do", sum)
	}
}

// Whichever call fails, before or after taking effect, each record exists exactly once after another
// replay. The set of failing records changes between the two runs, in both directions.
func TestInterruptedReplayIsExactlyOnce(t *testing.T) {
	for _, bads := range [][2][]string{{{"r2", "r5"}, nil}, {nil, {"r1", "r3"}}, {{"r1"}, {"r2"}}, {nil, nil}} {
		for _, after := range []bool{false, true} {
			for failAt := 1; ; failAt++ {
				b := errorOutput(t)
				b.failAt, b.after = failAt, after
				_, err := replay.Run(t.Context(), errorsConfig(b, bads[0]...))
				if err == nil {
					break // fewer calls than failAt
				}
				if !errors.Is(err, errLost) {
					t.Fatal(err)
				}
				b.objects["errors/processing-failed/2026/b"] = object{ // the object is replaced in between
					body: []byte(errorLine(`{"id":"r3"}`) + errorLine(`{"id":"r4"}`) + "\n"), modified: delivered}
				run(t, errorsConfig(b, bads[1]...))
				found := map[string]int{}
				for rec, keys := range records(t, b, "logs/", false) {
					found[strings.ToLower(rec)] += len(keys)
				}
				for rec, keys := range records(t, b, "errors/replay/", true) {
					found[rec] += len(keys)
				}
				for i := range 5 {
					if n := found[fmt.Sprintf(`{"id":"r%d"}`, i+1)]; n != 1 {
						t.Errorf("call %d failed (after effect: %v), bad %v: record %d exists %d times, want 1", failAt, after, bads, i+1, n)
					}
				}
			}
		}
	}
}

func TestReplaySelectsByTime(t *testing.T) {
	b := &bucket{objects: map[string]object{
		"logs/2026/a":        {body: []byte(`{"id":"r1"}{"id":"r2"}` + "\n"), modified: delivered},
		"logs/2026/b.zip":    {body: packed(t, `{"id":"r3"}`), modified: delivered.Add(59 * time.Minute)},
		"logs/2026/early":    {body: []byte(`{"id":"r4"}`), modified: delivered.Add(-time.Second)},
		"logs/2026/late":     {body: []byte(`{"id":"r5"}`), modified: delivered.Add(time.Hour)},
		"logs/2026/folder/":  {modified: delivered},
		"stagelog/directory": {body: []byte(`{}`), modified: delivered},
	}}
	sum := run(t, replay.Config{
		Bucket: b, Enricher: enricher{}, From: "logs/", Into: "fixed/", Failed: "errors/replay/", Except: []string{"stagelog/"},
		Since: delivered, Until: delivered.Add(time.Hour),
	})
	if sum.Objects != 2 || sum.Records != 2 {
		t.Errorf("%+v", sum)
	}
	wantKeys(t, records(t, b, "fixed/", false), map[string]string{`{"ID":"R1"}{"ID":"R2"}`: "fixed/2026/a", `{"ID":"R3"}`: "fixed/2026/b.zip.gz"})
}

func TestReplaySkipsUnreadableObjects(t *testing.T) {
	b := errorOutput(t)
	whole := b.objects["errors/processing-failed/2026/a.gz"].body
	b.objects["errors/processing-failed/2026/a.gz"] = object{body: whole[:len(whole)-12], modified: delivered}
	b.objects["errors/foreign"] = object{body: []byte("a,b,c\n"), modified: delivered}
	sum := run(t, errorsConfig(b))
	if len(sum.Unread) != 2 || sum.Unread[0].Key != "errors/foreign" || !strings.Contains(sum.Unread[1].Reason, "EOF") || sum.Records != 3 {
		t.Errorf("%+v", sum)
	}
	if found := records(t, b, "logs/", false); len(found) != 3 {
		t.Errorf("enriched: %v", found)
	}
}

func TestReplayKeepsForeignObjects(t *testing.T) {
	b := errorOutput(t)
	b.objects["logs/replayed/processing-failed/2026/b"] = object{body: []byte("mine"), modified: delivered}
	if _, err := replay.Run(t.Context(), errorsConfig(b)); err == nil || !strings.Contains(err.Error(), "was not created by a replay") {
		t.Errorf("Run = %v", err)
	}
	if string(b.objects["logs/replayed/processing-failed/2026/b"].body) != "mine" {
		t.Error("foreign object was replaced")
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*replay.Config)
		want   string
	}{
		"empty":            {func(c *replay.Config) { c.Into = "" }, "must not be empty"},
		"no slash":         {func(c *replay.Config) { c.Into = "logs" }, "use logs/"},
		"below the source": {func(c *replay.Config) { c.Errors, c.From, c.Into = false, "logs/", "logs/x/" }, "counted twice"},
		"into the state":   {func(c *replay.Config) { c.Into = "stagelog/x/" }, "reserved"},
		"above the state":  {func(c *replay.Config) { c.Into = "errors/" }, "reserved"},
		"below Failed":     {func(c *replay.Config) { c.Into = "errors/replay/x/" }, "reserved"},
		"valid":            {func(*replay.Config) {}, ""},
	} {
		cfg := errorsConfig(nil)
		c.change(&cfg)
		if err := cfg.Check(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func wantKeys(t *testing.T, got map[string][]string, want map[string]string) {
	t.Helper()
	for rec, keys := range got {
		if !slices.Equal(keys, []string{want[rec]}) {
			t.Errorf("record %s in %v, want %q", rec, keys, want[rec])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records, want %d: %v", len(got), len(want), got)
	}
}

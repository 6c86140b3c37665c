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

// bucket is a bucket in memory, one of whose calls fails, before or after it has worked.
type bucket struct {
	mu      sync.Mutex // guards all
	objects map[string]object
	calls   int
	puts    int
	failAt  int  // 0 is never
	after   bool // the call works, and its answer is lost
}

var errLost = errors.New("the connection is gone")

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
		return fmt.Errorf("%d bytes, %d were promised: %w", len(all), m.Size, err)
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

// enricher upper-cases, and refuses what holds one of bad.
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

// errorOutput is an error output of three objects with five records.
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

// records are the records below a prefix with the keys of their objects.
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

func TestErrorsAreReplayedAndTriedAgain(t *testing.T) {
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
	// What failed says so, and how often.
	again, err := objectkey.ParseErrorLine(b.objects["errors/replay/errors/processing-failed/2026/c"].body)
	if err != nil || again.AttemptsMade != 5 || again.ErrorMessage != "not JSON" || !again.Arrived.Equal(delivered) {
		t.Errorf("the record that failed again: %+v, %v", again, err)
	}

	// What fails as before is read, and not put again.
	puts := b.puts
	if sum = run(t, errorsConfig(b, "r2", "r5")); sum.Failed != 2 || b.puts != puts {
		t.Errorf("again: %+v and %d puts, want none", sum, b.puts-puts)
	}

	// The cause is mended: only what had failed is done again, and nothing is left over.
	sum = run(t, errorsConfig(b))
	if sum.Skipped != 1 || sum.Records != 3 || sum.Failed != 0 {
		t.Errorf("second: %+v", sum)
	}
	if left := records(t, b, "errors/replay/", true); len(left) != 0 {
		t.Errorf("failed and enriched: %v", left)
	}
	if all := records(t, b, "logs/", false); len(all) != 5 {
		t.Errorf("enriched: %v", all)
	}
	if sum = run(t, errorsConfig(b)); sum.Records != 0 || sum.Skipped != 3 {
		t.Errorf("third: %+v, want nothing to do", sum)
	}
}

// Whichever call fails, and whether it had worked or not: after another replay each record is
// there once. The cause of failures changes between both, in both directions.
func TestReplayIsExactlyOnceWhereverItStopped(t *testing.T) {
	for _, bads := range [][2][]string{{{"r2", "r5"}, nil}, {nil, {"r1", "r3"}}, {{"r1"}, {"r2"}}, {nil, nil}} {
		for _, after := range []bool{false, true} {
			for failAt := 1; ; failAt++ {
				b := errorOutput(t)
				b.failAt, b.after = failAt, after
				_, err := replay.Run(t.Context(), errorsConfig(b, bads[0]...))
				if err == nil {
					break // it made fewer calls
				}
				if !errors.Is(err, errLost) {
					t.Fatal(err)
				}
				b.objects["errors/processing-failed/2026/b"] = object{ // meanwhile, as a replaced object
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
						t.Errorf("call %d failed (worked: %v), bad %v: record %d is there %d times", failAt, after, bads, i+1, n)
					}
				}
			}
		}
	}
}

func TestDeliveredObjectsInATime(t *testing.T) {
	b := &bucket{objects: map[string]object{
		"logs/2026/a":        {body: []byte(`{"id":"r1"}{"id":"r2"}` + "\n"), modified: delivered},
		"logs/2026/b.zip":    {body: packed(t, `{"id":"r3"}`), modified: delivered.Add(59 * time.Minute)},
		"logs/2026/early":    {body: []byte(`{"id":"r4"}`), modified: delivered.Add(-time.Second)},
		"logs/2026/late":     {body: []byte(`{"id":"r5"}`), modified: delivered.Add(time.Hour)},
		"logs/2026/folder/":  {modified: delivered},
		"stagelog/directory": {body: []byte(`{}`), modified: delivered},
	}}
	sum := run(t, replay.Config{
		Bucket: b, Enricher: enricher{}, From: "logs/", Into: "mended/", Failed: "errors/replay/", Except: []string{"stagelog/"},
		Since: delivered, Until: delivered.Add(time.Hour),
	})
	if sum.Objects != 2 || sum.Records != 2 {
		t.Errorf("%+v", sum)
	}
	wantKeys(t, records(t, b, "mended/", false), map[string]string{`{"ID":"R1"}{"ID":"R2"}`: "mended/2026/a", `{"ID":"R3"}`: "mended/2026/b.zip.gz"})
}

func TestUnreadableObjectsAreNamedAndNothingOfThemIsPut(t *testing.T) {
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

func TestObjectsOfOthersAreNotReplaced(t *testing.T) {
	b := errorOutput(t)
	b.objects["logs/replayed/processing-failed/2026/b"] = object{body: []byte("mine"), modified: delivered}
	if _, err := replay.Run(t.Context(), errorsConfig(b)); err == nil || !strings.Contains(err.Error(), "no replay has put it") {
		t.Errorf("Run = %v", err)
	}
	if string(b.objects["logs/replayed/processing-failed/2026/b"].body) != "mine" {
		t.Error("it was replaced")
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*replay.Config)
		want   string
	}{
		"nothing":             {func(c *replay.Config) { c.Into = "" }, "no prefix"},
		"no slash":            {func(c *replay.Config) { c.Into = "logs" }, "write logs/"},
		"below what is read":  {func(c *replay.Config) { c.Errors, c.From, c.Into = false, "logs/", "logs/x/" }, "there twice"},
		"into the state":      {func(c *replay.Config) { c.Into = "stagelog/x/" }, "no place for logs"},
		"above the state":     {func(c *replay.Config) { c.Into = "errors/" }, "no place for logs"},
		"into what failed":    {func(c *replay.Config) { c.Into = "errors/replay/x/" }, "no place for logs"},
		"nothing wrong at it": {func(*replay.Config) {}, ""},
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
			t.Errorf("%s is in %v, want %q", rec, keys, want[rec])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records, want %d: %v", len(got), len(want), got)
	}
}

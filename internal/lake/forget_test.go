//go:build cgo

package lake_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
	"github.com/stagelog/stagelog/internal/record"
)

// Forget removes exactly the objects that should have been listed and were not.
func TestForgetRemovesOnlyMissingObjects(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	whole := []string{"errors/2026/11/20/x", "logs/2026/11/01/a", "logs/2026/11/10/b", "logs/2026/11/19/undated-by-prefix", "logs/2026/11/20/c", "logs/2026/11/21/d", "logs/2026/misplaced", "other/e"}
	for name, c := range map[string]struct {
		gone              []string
		opts              lake.ImportOptions
		forgotten, spared int
		left              []string // of those that are gone
	}{
		"nothing is gone":             {opts: lake.ImportOptions{Prefix: "logs/"}},
		"two are gone":                {gone: []string{"logs/2026/11/01/a", "logs/2026/11/21/d"}, opts: lake.ImportOptions{Prefix: "logs/"}, forgotten: 2},
		"not those of another prefix": {gone: []string{"logs/2026/11/01/a", "other/e"}, opts: lake.ImportOptions{Prefix: "logs/"}, forgotten: 1, left: []string{"other/e"}},
		"not those before the range":  {gone: []string{"logs/2026/11/01/a", "logs/2026/11/20/c"}, opts: lake.ImportOptions{Prefix: "logs/", From: day(15)}, forgotten: 1, left: []string{"logs/2026/11/01/a"}},
		"not those after the range":   {gone: []string{"logs/2026/11/01/a", "logs/2026/11/21/d"}, opts: lake.ImportOptions{Prefix: "logs/", To: day(5)}, forgotten: 1, left: []string{"logs/2026/11/21/d"}},
		"all of the range are gone":   {gone: []string{"logs/2026/11/20/c", "logs/2026/11/21/d"}, opts: lake.ImportOptions{Prefix: "logs/", From: day(20).Add(2 * time.Hour)}, forgotten: 2},
		"a mistyped prefix":           {gone: []string{"logs/2026/11/01/a"}, opts: lake.ImportOptions{Prefix: "lgos/"}, left: []string{"logs/2026/11/01/a"}},
		"nothing is below the prefix": {gone: []string{"logs/2026/11/01/a", "logs/2026/11/10/b", "logs/2026/11/19/undated-by-prefix", "logs/2026/11/20/c", "logs/2026/11/21/d", "logs/2026/misplaced"},
			opts: lake.ImportOptions{Prefix: "logs/"}, spared: 6, left: []string{"logs/2026/11/01/a", "logs/2026/11/10/b", "logs/2026/11/19/undated-by-prefix", "logs/2026/11/20/c", "logs/2026/11/21/d", "logs/2026/misplaced"}},
		"an empty bucket":              {gone: whole, opts: lake.ImportOptions{}, spared: len(whole), left: whole},
		"those that hold no logs stay": {opts: lake.ImportOptions{Except: []string{"errors/"}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, "")
			b := &bucket{name: "b", bodies: map[string][]byte{}}
			for i, key := range whole {
				b.bodies[key] = fmt.Appendf(nil, `{"request_id":"r%d","status":"200"}`, i)
			}
			other := &bucket{name: "other", bodies: map[string][]byte{"logs/2026/11/20/c": []byte(`{"request_id":"elsewhere","status":"200"}`)}}
			importAll(t, l, b, lake.ImportOptions{})
			importAll(t, l, other, lake.ImportOptions{})
			for _, key := range c.gone {
				delete(b.bodies, key)
			}
			c.opts.Forget = true
			sum := importAll(t, l, b, c.opts)
			if sum.Forgotten != c.forgotten || sum.Spared != c.spared || sum.Imported != 0 {
				t.Errorf("%+v, want %d forgotten and %d spared", sum, c.forgotten, c.spared)
			}
			kept := append(slices.Collect(maps.Keys(b.bodies)), c.left...)
			slices.Sort(kept)
			want(t, "kept", ask(t, l, "SELECT key FROM objects WHERE bucket = 'b' ORDER BY 1"), kept...)
			want(t, "of another bucket", ask(t, l, "SELECT count(*) FROM requests WHERE object IN (SELECT id FROM objects WHERE bucket = 'other')"), "1")
			want(t, "rows", ask(t, l, "SELECT count(*) FROM requests"), fmt.Sprint(len(kept)+1))
		})
	}
}

// Objects in the skipped part of the listing are not known to be missing.
func TestForgetKeepsUnlistedObjects(t *testing.T) {
	l := open(t, "")
	// An object without a date in its key belongs to the day when it was stored, which is in the range.
	b := &bucket{name: "b", bodies: map[string][]byte{"logs/2025/01/01/old": []byte(`{"request_id":"r1","status":"200"}`), "logs/2026/10/0-misplaced": []byte(`{"request_id":"r2","status":"200"}`), "logs/2026/11/20/c": []byte(`{"request_id":"r3","status":"200"}`)}}
	importAll(t, l, b, lake.ImportOptions{Prefix: "logs/"})
	sum := importAll(t, l, b, lake.ImportOptions{Prefix: "logs/", From: time.Date(2026, 10, 31, 12, 0, 0, 0, time.UTC), Forget: true})
	if sum.Forgotten != 0 || sum.Found != 1 {
		t.Errorf("%+v, want nothing forgotten: all objects are in the bucket", sum)
	}
}

// halfway is a bucket whose listing fails after some objects.
type halfway struct {
	*bucket
	at int
}

func (h halfway) List(ctx context.Context, prefix, startAfter string, fn func(record.Object) error) error {
	n := 0
	return h.bucket.List(ctx, prefix, startAfter, func(o record.Object) error {
		if n++; n > h.at {
			return errAway
		}
		return fn(o)
	})
}

// A failed import forgets nothing, wherever it fails.
func TestFailedImportForgetsNothing(t *testing.T) {
	l := open(t, "")
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	for i := range 20 {
		b.bodies[fmt.Sprintf("o%02d", i)] = fmt.Appendf(nil, `{"request_id":"r%d","status":"200"}`, i)
	}
	importAll(t, l, b, lake.ImportOptions{})
	b.bodies["o05"] = []byte(`{"request_id":"new","status":"200"}`)
	b.sort()
	for at := range 100 {
		if _, err := l.Import(t.Context(), halfway{b, at % 20}, lake.ImportOptions{Forget: true}); !errors.Is(err, errAway) {
			t.Fatalf("failed listing: %v", err)
		}
	}
	delete(b.bodies, "o19")
	b.bodies["o07"] = []byte(`{"request_id":"newer","status":"200"}`)
	b.sort()
	for range 20 {
		if _, err := l.Import(t.Context(), &failing{bucket: b, at: "o07"}, lake.ImportOptions{Forget: true}); !errors.Is(err, errAway) {
			t.Fatalf("unreadable object: %v", err)
		}
	}
	want(t, "objects", ask(t, l, "SELECT count(*) FROM objects"), "20")
}

// Each remaining request counts once, whichever of its objects were removed or replaced.
func TestForgetKeepsEachRequestOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	l := open(t, "")
	b := &bucket{name: "b", bodies: map[string][]byte{}}
	ids := map[string][]int{}
	body := func(key string) {
		ids[key] = nil
		for range random.IntN(5) {
			ids[key] = append(ids[key], random.IntN(300))
		}
		b.bodies[key] = []byte("\n")
		for _, id := range ids[key] {
			b.bodies[key] = fmt.Appendf(b.bodies[key], `{"request_id":"r%03d","status":"200"}`, id)
		}
	}
	for i := range 200 {
		body(fmt.Sprintf("o%03d", i))
	}
	for round := range 10 {
		importAll(t, l, b, lake.ImportOptions{Forget: true})
		left := map[string]bool{}
		rows := 0
		for key := range b.bodies {
			rows += len(ids[key])
			for _, id := range ids[key] {
				left[fmt.Sprintf("r%03d", id)] = true
			}
		}
		what := fmt.Sprintf("round %d of seed %d", round, seed)
		want(t, what, ask(t, l, "SELECT request_id FROM requests ORDER BY 1"), slices.Sorted(maps.Keys(left))...)
		want(t, what, ask(t, l, "SELECT count(*) FROM request_rows SEMI JOIN objects ON object = id"), fmt.Sprint(rows))
		want(t, what, ask(t, l, "SELECT count(*) FROM request_rows ANTI JOIN objects ON object = id"), "0")
		for key := range b.bodies {
			switch random.IntN(8) {
			case 0:
				delete(b.bodies, key)
			case 1:
				body(key)
			}
		}
	}
}

package recordtest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/record"
)

// TestStore checks that s, which must be empty, implements the contract of record.Store.
func TestStore(t *testing.T, s record.Store) {
	t.Run("revisions", func(t *testing.T) { testRevisions(t, s) })
	t.Run("all", func(t *testing.T) { testAll(t, s) })
}

// TestSharedStore checks that s, which must be empty and may be written by other processes, reports changes.
func TestSharedStore(t *testing.T, s record.Store) {
	ctx := t.Context()
	type change struct {
		Key, Value string
		Rev        uint64
	}
	changes := func(since uint64) (all []change, upTo uint64) {
		t.Helper()
		upTo, err := s.Changes(ctx, since, func(key string, value []byte, rev uint64) {
			if value == nil {
				value = []byte("deleted")
			}
			all = append(all, change{key, string(value), rev})
		})
		if err != nil {
			t.Fatalf("Changes(%d): %v", since, err)
		}
		return all, upTo
	}
	set := func(key, value string) uint64 {
		t.Helper()
		rev, err := s.Set(ctx, key, []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	if all, upTo := changes(0); len(all) != 0 || upTo != 0 {
		t.Errorf("Changes of an empty store: %v up to %d", all, upTo)
	}
	set("a/1", "old")
	b := set("b", "")
	a := set("a/1", "new")
	all, upTo := changes(0)
	if diff := cmp.Diff([]change{{"b", "", b}, {"a/1", "new", a}}, all); diff != "" || upTo != a {
		t.Errorf("Changes(0) up to %d, want %d (-want +got):\n%s", upTo, a, diff)
	}
	if all, upTo := changes(a); len(all) != 0 || upTo != a {
		t.Errorf("Changes without a change: %v up to %d, want none up to %d", all, upTo, a)
	}
	if err := s.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	c := set("c", "x")
	all, upTo = changes(a)
	if len(all) != 2 || all[0].Key != "b" || all[0].Value != "deleted" || all[0].Rev <= a || all[1] != (change{"c", "x", c}) || upTo != c {
		t.Errorf("Changes(%d): %v up to %d, want the deletion of b and c", a, all, upTo)
	}
}

func testRevisions(t *testing.T, s record.Store) {
	ctx := t.Context()
	if _, _, err := s.Get(ctx, "k"); !errors.Is(err, record.ErrNotFound) {
		t.Fatalf("Get of a missing key = %v, want ErrNotFound", err)
	}
	conflict := func(what string, rev uint64) {
		t.Helper()
		if _, err := s.Put(ctx, "k", []byte("x"), rev); !errors.Is(err, record.ErrConflict) {
			t.Errorf("Put %s = %v, want ErrConflict", what, err)
		}
	}
	conflict("with revision 7 for a missing key", 7)
	first, err := s.Put(ctx, "k", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	conflict("with revision 0 for an existing key", 0)
	second, err := s.Put(ctx, "k", []byte("two"), first)
	if err != nil || second <= first {
		t.Fatalf("Put with the current revision = %d, %v, want more than %d", second, err, first)
	}
	conflict("with an old revision", first)
	value, rev, err := s.Get(ctx, "k")
	if err != nil || string(value) != "two" || rev != second {
		t.Errorf("Get = %q, %d, %v, want two, %d", value, rev, err, second)
	}
	third, err := s.Set(ctx, "k", []byte("three"))
	if err != nil || third <= second {
		t.Errorf("Set = %d, %v, want more than %d", third, err, second)
	}
	if err := s.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "missing"); err != nil {
		t.Errorf("Delete of a missing key = %v, want nil", err)
	}
	if _, _, err := s.Get(ctx, "k"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Get after Delete = %v, want ErrNotFound", err)
	}
	conflict("with the revision before Delete", third)
	if rev, err := s.Put(ctx, "k", []byte("four"), 0); err != nil || rev <= third {
		t.Errorf("Put with revision 0 after Delete = %d, %v, want more than %d", rev, err, third)
	}
	if err := s.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
}

func testAll(t *testing.T, s record.Store) {
	ctx := t.Context()
	revs := map[string]uint64{}
	for _, key := range []string{"a/b", "a.b", "a b", "k"} {
		rev, err := s.Set(ctx, key, []byte("of "+key))
		if err != nil {
			t.Fatalf("Set(%q): %v", key, err)
		}
		revs[key] = rev
	}
	for prefix, want := range map[string]map[string]string{
		"a":    {"a/b": "of a/b", "a.b": "of a.b", "a b": "of a b"},
		"k":    {"k": "of k"},
		"none": {},
	} {
		got := map[string]string{}
		if err := s.All(ctx, prefix, func(key string, value []byte, rev uint64) error {
			if rev != revs[key] {
				t.Errorf("All(%q): revision %d of %q, want %d", prefix, rev, key, revs[key])
			}
			got[key] = string(value)
			return nil
		}); err != nil {
			t.Fatalf("All(%q): %v", prefix, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("All(%q) (-want +got):\n%s", prefix, diff)
		}
	}
	enough := errors.New("enough")
	err := s.All(ctx, "", func(string, []byte, uint64) error { return enough })
	if err != enough { //nolint:errorlint // All returns fn's error unchanged
		t.Errorf("All = %v, want the error of fn", err)
	}
}

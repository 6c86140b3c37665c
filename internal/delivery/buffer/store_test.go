package buffer_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

func openStore(t testing.TB, b *buffer.Buffer, name string) *buffer.Store {
	t.Helper()
	s, err := b.Store(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreRevisionsFence(t *testing.T) {
	s := openStore(t, open(t, buffer.Config{Dir: t.TempDir()}), "delivery")
	ctx := t.Context()
	if _, _, err := s.Get(ctx, "k"); !errors.Is(err, record.ErrNotFound) {
		t.Fatalf("Get of nothing = %v, want ErrNotFound", err)
	}
	if _, err := s.Put(ctx, "k", []byte("x"), 7); !errors.Is(err, record.ErrConflict) {
		t.Errorf("Put of rev 7 onto nothing = %v, want ErrConflict", err)
	}
	first, err := s.Put(ctx, "k", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, "k", []byte("x"), 0); !errors.Is(err, record.ErrConflict) {
		t.Errorf("Put of rev 0 onto a value = %v, want ErrConflict", err)
	}
	second, err := s.Put(ctx, "k", []byte("two"), first)
	if err != nil || second <= first {
		t.Fatalf("Put of the current rev = %d, %v, want more than %d", second, err, first)
	}
	if _, err := s.Put(ctx, "k", []byte("x"), first); !errors.Is(err, record.ErrConflict) {
		t.Errorf("Put of an old rev = %v, want ErrConflict", err)
	}
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
	if err := s.Delete(ctx, "never there"); err != nil {
		t.Errorf("Delete of nothing = %v, want nil", err)
	}
	if _, _, err := s.Get(ctx, "k"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("Get after Delete = %v, want ErrNotFound", err)
	}
	if _, err := s.Put(ctx, "k", []byte("x"), third); !errors.Is(err, record.ErrConflict) {
		t.Errorf("Put of the rev before Delete = %v, want ErrConflict", err)
	}
	if rev, err := s.Put(ctx, "k", []byte("four"), 0); err != nil || rev <= third {
		t.Errorf("Put of rev 0 after Delete = %d, %v, want more than %d", rev, err, third)
	}
}

func TestStoreHoldsAnyKeyAndReopens(t *testing.T) {
	dir := t.TempDir()
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"", "k", "_", "_6B", "a/b", "a.b", "a b", "*", ">", "ä€", "\x00\xff", "Gold Plan/shop.prod"}
	s := openStore(t, b, "api gateway.v1")
	for i, key := range keys {
		if _, err := s.Put(t.Context(), key, fmt.Append(nil, i), 0); err != nil {
			t.Fatalf("Put(%q): %v", key, err)
		}
	}
	if _, err := s.Put(t.Context(), "gone", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	s = openStore(t, open(t, buffer.Config{Dir: dir}), "api gateway.v1")
	want := map[string]string{}
	for i, key := range keys {
		want[key] = fmt.Sprint(i)
		if value, _, err := s.Get(t.Context(), key); err != nil || string(value) != want[key] {
			t.Errorf("Get(%q) = %q, %v, want %q", key, value, err, want[key])
		}
	}
	diff(t, "All", want, all(t, s, ""))
	diff(t, "All(a)", map[string]string{"a/b": "4", "a.b": "5", "a b": "6"}, all(t, s, "a"))
	diff(t, "All(none)", map[string]string{}, all(t, s, "none"))
}

func all(t *testing.T, s *buffer.Store, prefix string) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := s.All(t.Context(), prefix, func(key string, value []byte, rev uint64) error {
		got[key] = string(value)
		return nil
	}); err != nil {
		t.Fatalf("All(%q): %v", prefix, err)
	}
	return got
}

func TestAllReturnsTheErrorOfFn(t *testing.T) {
	s := openStore(t, open(t, buffer.Config{Dir: t.TempDir()}), "s")
	if _, err := s.Set(t.Context(), "k", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.All(t.Context(), "", func(string, []byte, uint64) error { return errEnough }); err != errEnough { //nolint:errorlint // it is promised as it is
		t.Errorf("All = %v, want the error of fn", err)
	}
}

func TestOneOfManyWritersWinsEachRevision(t *testing.T) {
	b := open(t, buffer.Config{Dir: t.TempDir()})
	s := openStore(t, b, "lease")
	rev, err := s.Put(t.Context(), "k", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := s.Put(t.Context(), "k", nil, rev)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, record.ErrConflict):
				t.Errorf("Put = %v, want nil or ErrConflict", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d writers won the same revision, want 1", won.Load())
	}
}

func BenchmarkStorePut(b *testing.B) {
	s := openStore(b, open(b, buffer.Config{Dir: b.TempDir()}), "s")
	value := make([]byte, 300)
	for b.Loop() {
		if _, err := s.Set(b.Context(), "k", value); err != nil {
			b.Fatal(err)
		}
	}
}

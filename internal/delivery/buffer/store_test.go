package buffer_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func openStore(t testing.TB, b *buffer.Buffer, name string) *buffer.Store {
	t.Helper()
	s, err := b.Store(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreContract(t *testing.T) {
	recordtest.TestStore(t, openStore(t, open(t, buffer.Config{Dir: t.TempDir()}), "delivery"))
}

func TestClusterStoreReportsChanges(t *testing.T) {
	b := open(t, buffer.Config{URL: cluster(t, true), Replicas: 1})
	recordtest.TestSharedStore(t, openStore(t, b, "shared"))
	recordtest.TestStore(t, openStore(t, b, "delivery"))
}

// A process that reads on in a store that was replaced would miss every change.
func TestChangesDetectReplacedStore(t *testing.T) {
	url := cluster(t, true)
	b := open(t, buffer.Config{URL: url, Replicas: 1})
	s := openStore(t, b, "s")
	if _, err := s.Changes(t.Context(), 7, nil); err == nil || !strings.Contains(err.Error(), "was replaced") {
		t.Errorf("Changes after a revision that does not exist = %v, want an error", err)
	}
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err == nil {
		err = js.DeleteStream(t.Context(), "KV_s")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Changes(t.Context(), 0, nil); err == nil {
		t.Error("Changes of a store that is gone succeeded")
	}
	if _, err := openStore(t, b, "s").Set(t.Context(), "k", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Changes(t.Context(), 0, nil); err == nil || !strings.Contains(err.Error(), "was replaced") {
		t.Errorf("Changes of a store that was deleted and made again = %v, want an error", err)
	}
}

func TestStoreKeepsAnyKeyAfterReopen(t *testing.T) {
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

func TestPutConflictHasOneWinner(t *testing.T) {
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

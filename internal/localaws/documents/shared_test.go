package documents_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

func TestFollowShowsChangesOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &recordtest.Store{}
		a, b := open(t, store), open(t, store)
		ctx, stop := context.WithCancel(t.Context())
		var following sync.WaitGroup
		for _, s := range []*documents.Set[thing]{a, b} {
			following.Go(func() { _ = s.Follow(ctx) })
		}
		want := func(names ...string) {
			t.Helper()
			time.Sleep(documents.Interval + 1)
			synctest.Wait()
			for _, s := range []*documents.Set[thing]{a, b} {
				if diff := cmp.Diff(names, s.Names()); diff != "" {
					t.Errorf("names (-want +got):\n%s", diff)
				}
			}
		}
		refused := func(r *wire.Error) {
			t.Helper()
			if r != nil {
				t.Fatal(r)
			}
		}
		refused(a.Create(ctx, "x", &thing{Text: "1"}))
		refused(b.Create(ctx, "y", &thing{}))
		want("x", "y")
		refused(b.Change(ctx, "x", func(d *thing) *wire.Error { d.Text += "2"; return nil }))
		refused(a.Delete(ctx, "y", nil))
		want("x")
		if x, _ := a.Get("x"); x.Text != "12" {
			t.Errorf("x is %+v, want the change of the other process", x)
		}
		refused(b.Delete(ctx, "x", nil))
		refused(b.Create(ctx, "x", &thing{Text: "new"}))
		want("x")
		if x, _ := a.Get("x"); x.Text != "new" {
			t.Errorf("x is %+v, want the one that was created again", x)
		}
		if _, err := store.Set(ctx, "thing/bad", []byte("secret")); err != nil {
			t.Fatal(err)
		}
		refused(a.Create(ctx, "z", &thing{}))
		want("x", "z")
		stop()
		following.Wait()
	})
}

// Two processes that change the same documents at once lose no change.
func TestProcessesDoNotOverwriteEachOther(t *testing.T) {
	ctx, store := t.Context(), &recordtest.Store{}
	sets := []*documents.Set[thing]{open(t, store), open(t, store)}
	if refused := sets[0].Create(ctx, "a", &thing{}); refused != nil {
		t.Fatal(refused)
	}
	var wg sync.WaitGroup
	for i, s := range sets {
		wg.Go(func() {
			for range 50 {
				if refused := s.Change(ctx, "a", func(d *thing) *wire.Error { d.Text += string(rune('a' + i)); return nil }); refused != nil {
					t.Error(refused)
				}
			}
		})
	}
	wg.Wait()
	a, _ := open(t, store).Get("a")
	if strings.Count(a.Text, "a") != 50 || strings.Count(a.Text, "b") != 50 {
		t.Errorf("kept %d and %d of 50 changes each", strings.Count(a.Text, "a"), strings.Count(a.Text, "b"))
	}
	if refused := sets[0].Create(ctx, "new", &thing{}); refused != nil {
		t.Fatal(refused)
	}
	if refused := sets[1].Create(ctx, "new", &thing{}); refused == nil || refused.Code != "new exists" {
		t.Errorf("Create of what another process has created: %v", refused)
	}
	if refused := sets[1].Delete(ctx, "a", nil); refused != nil {
		t.Fatal(refused)
	}
	if refused := sets[0].Change(ctx, "a", nil); refused == nil || refused.Code != "no a" {
		t.Errorf("Change of what another process has deleted: %v", refused)
	}
}

// lostResponse is a store whose next Put succeeds, but returns an error.
type lostResponse struct {
	*recordtest.Store
	lose bool
}

func (s *lostResponse) Put(ctx context.Context, key string, value []byte, rev uint64) (uint64, error) {
	newRev, err := s.Store.Put(ctx, key, value, rev)
	if s.lose {
		s.lose = false
		return 0, errors.New("timeout")
	}
	return newRev, err
}

// A write whose result is unknown does not make later writes fail.
func TestChangeAfterLostResponse(t *testing.T) {
	ctx, store := t.Context(), &lostResponse{Store: &recordtest.Store{}}
	s, err := documents.Open[thing](ctx, store, config())
	if err != nil {
		t.Fatal(err)
	}
	if refused := s.Create(ctx, "a", &thing{Text: "1"}); refused != nil {
		t.Fatal(refused)
	}
	store.lose = true
	if refused := s.Change(ctx, "a", func(d *thing) *wire.Error { d.Text = "2"; return nil }); refused == nil {
		t.Fatal("a change without a response succeeded")
	}
	if refused := s.Change(ctx, "a", func(d *thing) *wire.Error { d.Text += "3"; return nil }); refused != nil {
		t.Fatal(refused)
	}
	if a, _ := s.Get("a"); a.Text != "23" {
		t.Errorf("a is %+v, want 23", a)
	}
}

// What a document refers to is refreshed before the document is applied, and after gets each change once, also one that was
// found by a conflict.
func TestRefreshCallsInOrder(t *testing.T) {
	ctx, store := t.Context(), &recordtest.Store{}
	var mu sync.Mutex
	var calls []string
	s := documents.Share(store, &mu, func(_ context.Context, changes []documents.Change) error {
		calls = append(calls, "apply "+string(changes[0].Value))
		return nil
	}, func(_ context.Context, changes []documents.Change) {
		calls = append(calls, "after "+string(changes[0].Value))
	})
	missing := errors.New("not there yet")
	s.Needs(func(context.Context) error { calls = append(calls, "first"); return missing })
	change := func(value string) {
		t.Helper()
		if _, err := store.Set(ctx, "k", []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	change("1")
	if err := s.Refresh(ctx); !errors.Is(err, missing) {
		t.Errorf("Refresh = %v, want the error of what the documents refer to", err)
	}
	missing = nil
	if err := s.Refresh(ctx); err != nil {
		t.Error(err)
	}
	change("2")
	mu.Lock()
	if err := s.Save(ctx, "k", "3"); !errors.Is(err, record.ErrConflict) {
		t.Errorf("Save = %v, want ErrConflict", err)
	}
	mu.Unlock()
	for range 2 {
		if err := s.Refresh(ctx); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"first", "first", "apply 1", "after 1", "apply 2", "first", "after 2"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// Changes that could not be applied are applied later.
func TestFailedApplyIsRepeated(t *testing.T) {
	store := &recordtest.Store{}
	var mu sync.Mutex
	fail, applied := true, 0
	s := documents.Share(store, &mu, func(_ context.Context, changes []documents.Change) error {
		if fail {
			return errors.New("cannot open")
		}
		applied += len(changes)
		return nil
	}, nil)
	if _, err := store.Set(t.Context(), "k", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.Refresh(t.Context()); err == nil {
		t.Error("Refresh = nil, want the error of apply")
	}
	fail = false
	for range 2 {
		if err := s.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if applied != 1 {
		t.Errorf("%d changes applied, want 1", applied)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Follow(ctx, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("Follow after the end = %v", err)
	}
}

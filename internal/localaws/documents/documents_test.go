package documents_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

type thing struct {
	Text string            `json:"text,omitempty"`
	Tags map[string]string `json:"tags,omitempty"`
}

func refusal(code string) *wire.Error { return &wire.Error{Code: code} }

func config() documents.Config {
	return documents.Config{Prefix: "thing/", Max: 3, Errors: documents.Errors{
		NotFound: func(name string) *wire.Error { return refusal("no " + name) },
		Exists:   func(name string) *wire.Error { return refusal(name + " exists") },
		Limit:    refusal("limit"), TooLarge: refusal("too large"), NotStored: refusal("not stored"),
	}}
}

func open(t *testing.T, store *recordtest.Store) *documents.Set[thing] {
	t.Helper()
	s, err := documents.Open[thing](t.Context(), store, config())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSetKeepsResources(t *testing.T) {
	ctx, store := t.Context(), recordtest.StoreOf(map[string]string{"other/x": `{"text":"another kind"}`})
	s := open(t, store)
	want := func(what string, got *wire.Error, code string) {
		t.Helper()
		if code == "" && got != nil || code != "" && (got == nil || got.Code != code) {
			t.Errorf("%s: %v, want %q", what, got, code)
		}
	}
	want("create", s.Create(ctx, "a", &thing{Text: "1", Tags: map[string]string{"k": "v"}}), "")
	want("create twice", s.Create(ctx, "a", &thing{}), "a exists")
	before, _ := s.Get("a")
	want("change", s.Change(ctx, "a", func(x *thing) *wire.Error { x.Text, x.Tags["k"] = "2", "w"; return nil }), "")
	if before.Text != "1" || before.Tags["k"] != "v" {
		t.Errorf("a change reached the resource that was read before: %+v", before)
	}
	want("refused change", s.Change(ctx, "a", func(x *thing) *wire.Error { x.Text = "3"; return refusal("no") }), "no")
	want("change of a missing one", s.Change(ctx, "b", nil), "no b")
	want("too large", s.Create(ctx, "b", &thing{Text: strings.Repeat("x", documents.MaxBytes)}), "too large")
	store.Fail(errors.New("disk full"))
	want("create on a full disk", s.Create(ctx, "b", &thing{}), "not stored")
	want("change on a full disk", s.Change(ctx, "a", func(x *thing) *wire.Error { x.Text = "4"; return nil }), "not stored")
	want("delete on a full disk", s.Delete(ctx, "a", nil), "not stored")
	store.Fail(nil)
	want("second", s.Create(ctx, "c", &thing{}), "")
	want("third", s.Create(ctx, "b", &thing{}), "")
	want("fourth of three", s.Create(ctx, "d", &thing{}), "limit")
	want("refused delete", s.Delete(ctx, "b", func(*thing) *wire.Error { return refusal("in use") }), "in use")
	want("delete", s.Delete(ctx, "b", func(*thing) *wire.Error { return nil }), "")
	want("delete again", s.Delete(ctx, "b", nil), "no b")

	for what, s := range map[string]*documents.Set[thing]{"in memory": s, "after a restart": open(t, store)} {
		if diff := cmp.Diff([]*thing{{Text: "2", Tags: map[string]string{"k": "w"}}, {}}, s.All()); diff != "" || !slices.Equal(s.Names(), []string{"a", "c"}) {
			t.Errorf("%s: names %v, resources (-want +got):\n%s", what, s.Names(), diff)
		}
	}
}

// A client that disconnects must not interrupt a write, because its result would be unknown.
func TestSetWritesAfterCallerDisconnects(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	store := &recordtest.Store{}
	s := open(t, store)
	if refused := s.Create(ctx, "a", &thing{}); refused != nil || store.Writes() != 1 {
		t.Errorf("Create: %v after %d writes, want it stored", refused, store.Writes())
	}
	if refused := s.Delete(ctx, "a", nil); refused != nil || len(store.Docs()) != 0 {
		t.Errorf("Delete: %v, documents left: %v", refused, store.Docs())
	}
}

func TestConcurrentChangesAllApply(t *testing.T) {
	s := open(t, &recordtest.Store{})
	if refused := s.Create(t.Context(), "a", &thing{}); refused != nil {
		t.Fatal(refused)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_ = s.Change(t.Context(), "a", func(x *thing) *wire.Error { x.Text += "x"; return nil })
			_ = s.All()
		})
	}
	wg.Wait()
	if x, _ := s.Get("a"); len(x.Text) != 20 {
		t.Errorf("%d of 20 changes were kept", len(x.Text))
	}
}

func TestOpenRefusesInvalidDocument(t *testing.T) {
	_, err := documents.Open[thing](t.Context(), recordtest.StoreOf(map[string]string{"thing/a": `{"text":"secret`}), config())
	if err == nil || !strings.Contains(err.Error(), "load thing documents: document thing/a is not valid") || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open: %v", err)
	}
}

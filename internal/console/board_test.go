package console

import (
	"context"
	"database/sql"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"github.com/stagelog/stagelog/internal/lake"
)

func TestFrameIsSentBeforePanels(t *testing.T) {
	c := New(config(newLake(t, randomRows(1, 50)...)))
	w := &stopwatch{ResponseRecorder: httptest.NewRecorder(), start: time.Now()}
	release := make(chan struct{})
	v := view{period: periodOf(t, "")}
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	flushed := make(chan string, 10)
	go func() {
		defer close(flushed)
		c.board(&flushing{w, flushed}, r, c.newFrame(r, "Test", "/", &v), []panel{
			{Name: "slow", Title: "Slow", Kind: "foot", load: func(context.Context, *sql.DB) (any, error) { <-release; return "slow figure", nil }},
			{Name: "broken", Title: "Broken", Kind: "foot", load: func(context.Context, *sql.DB) (any, error) { return nil, errors.New("no such luck") }},
			{Name: "panics", Title: "Panics", Kind: "foot", load: func(context.Context, *sql.DB) (any, error) { panic("at the disco") }},
			{Name: "quick", Title: "Quick", Kind: "foot", load: func(context.Context, *sql.DB) (any, error) { return "quick figure", nil }},
		})
	}()
	if first := <-flushed; !strings.Contains(first, "<h1>Test") || strings.Contains(first, "figure") {
		t.Errorf("first flush: got %q, want the frame only", first)
	}
	close(release)
	for range flushed { // until the page is complete
	}
	doc := parse(t, w.Body.String())
	for heading, want := range map[string]string{"Slow": "slow figure", "Broken": "no such luck", "Panics": "failed because of a bug", "Quick": "quick figure"} {
		if got := text(section(t, doc, heading)); !strings.Contains(got, want) {
			t.Errorf("panel %s: got %q, want %q in it", heading, got, want)
		}
	}
}

// flushing sends the output so far to a channel at each flush.
type flushing struct {
	*stopwatch
	flushed chan<- string
}

func (w *flushing) Flush() { w.flushed <- w.Body.String() }

func TestCacheComputesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(time.Now)
		var computed atomic.Int64
		ask := func() (any, error) {
			return c.get(t.Context(), "key", time.Second, func(context.Context) (any, error) {
				time.Sleep(100 * time.Millisecond) // of the bubble's clock
				return computed.Add(1), nil
			})
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, err := ask(); err != nil || got != int64(1) {
					t.Errorf("got %v, %v; want 1", got, err)
				}
			})
		}
		wg.Wait()
		time.Sleep(2 * time.Second)
		if got, _ := ask(); got != int64(2) {
			t.Errorf("after its expiry: got %v, want a new result", got)
		}
	})
}

// A canceled caller does not affect the others.
func TestCacheSurvivesCanceledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(time.Now)
		wait := func(ctx context.Context) (any, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
				return "result", nil
			}
		}
		canceled, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.get(canceled, "key", time.Minute, wait); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled caller: got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if got, err := c.get(t.Context(), "key", time.Minute, wait); err != nil || got != "result" {
				t.Errorf("waiting caller: got %v, %v", got, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(func() time.Time { return testNow })
	for i := range 3 * maxCached {
		if _, err := c.get(t.Context(), strings.Repeat("x", i), time.Hour, func(context.Context) (any, error) { return i, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.all) > maxCached {
		t.Errorf("%d cached results, want at most %d", len(c.all), maxCached)
	}
	failed := errors.New("failed")
	for range 2 {
		if _, err := c.get(t.Context(), "error", time.Hour, func(context.Context) (any, error) { return nil, failed }); !errors.Is(err, failed) {
			t.Errorf("got %v, want the error", err)
		}
	}
	if got, err := c.get(t.Context(), "error", time.Hour, func(context.Context) (any, error) { return "better", nil }); err != nil || got != "better" {
		t.Errorf("after an error: got %v, %v; want the new result", got, err)
	}
}

func TestPagesShowWhyLakeCannotBeOpened(t *testing.T) {
	cfg := config(nil)
	cfg.Lake = func(context.Context) (*lake.Lake, error) { return nil, errors.New("lake.db is locked by process 7") }
	for _, path := range []string{"/", "/requests", "/sql", "/request?object=1&line=1"} {
		if got := text(pageAt(t, New(cfg), path)); !strings.Contains(got, "lake.db is locked by process 7") {
			t.Errorf("GET %s: got %q, want the cause", path, got)
		}
	}
}

// Screen readers and keyboards can be used on every page.
func TestPagesAreAccessible(t *testing.T) {
	c, _ := testConsole(t)
	for _, path := range everyPage {
		doc := pageAt(t, c, path)
		ids := map[string]int{}
		for n := range doc.Descendants() {
			if id := attr(n, "id"); id != "" {
				ids[id]++
			}
		}
		for id, n := range ids {
			if n > 1 {
				t.Errorf("%s: %d elements have the id %s", path, n, id)
			}
		}
		for n := range doc.Descendants() {
			for _, name := range []string{"aria-labelledby", "aria-describedby", "for"} {
				for _, id := range strings.Fields(attr(n, name)) {
					if ids[id] == 0 {
						t.Errorf("%s: %s of %s refers to %s, which does not exist", path, name, n.Data, id)
					}
				}
			}
			if problem := inaccessible(n); problem != "" {
				t.Errorf("%s: %s: %s", path, n.Data, problem)
			}
		}
		if got := len(find(doc, "h1", "")); got != 1 {
			t.Errorf("%s: got %d h1, want 1", path, got)
		}
		if got := len(find(doc, "main", "")) + len(find(doc, "header", "")) + len(find(doc, "nav", "menu")); got != 3 {
			t.Errorf("%s: got %d landmarks, want 3", path, got)
		}
		if first := find(doc, "a", "")[0]; attr(first, "href") != "#main" {
			t.Errorf("%s: the first link leads to %s, want the content", path, attr(first, "href"))
		}
	}
}

func inaccessible(n *html.Node) string {
	if n.Type != html.ElementNode {
		return ""
	}
	switch n.Data {
	case "table":
		if len(find(n, "caption", "")) == 0 {
			return "a table without a caption"
		}
	case "th":
		if attr(n, "scope") == "" {
			return "a heading without a scope: " + text(n)
		}
	case "svg":
		if attr(n, "aria-hidden") == "" && (attr(n, "role") != "img" || len(find(n, "title", "")) == 0 || len(find(n, "desc", "")) == 0) {
			return "a drawing without title and description"
		}
	case "img":
		if !strings.Contains(attr(n, "src"), "icon") {
			return "an image that is not the icon"
		}
	case "a", "button", "summary":
		if text(n) == "" && attr(n, "aria-label") == "" {
			return "no text and no label"
		}
	case "input", "textarea":
		if attr(n, "type") != "hidden" && n.Parent.Data != "label" && attr(n, "id") != "q" {
			return "a field without a label"
		}
	}
	return ""
}

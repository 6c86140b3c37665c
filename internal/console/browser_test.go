package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/stagelog/stagelog/internal/testenv"
)

// browser is a chromium tab with a new profile.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu     sync.Mutex // guards faults
	faults []string   // errors that the browser's console showed
}

// newBrowser opens a tab on c. Without chromium the test is skipped.
func newBrowser(t *testing.T, c *Console) *browser {
	t.Helper()
	path, home := testenv.Chromium(t), t.TempDir()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.NoInheritEnv, chromedp.Env(testenv.Environ(home)...),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(alloc)
	b := &browser{t: t, ctx: tab, base: server.URL}
	b.size(1360, 900) // starts it
	messages := chromedp.Console(tab)
	var wg sync.WaitGroup
	t.Cleanup(func() { closeTab(); wg.Wait() })
	wg.Go(func() {
		for m, err := range messages {
			if err != nil {
				return // the tab is closed
			}
			if m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning {
				b.fault(fmt.Sprintf("%s %s %s:%d", m.Type, m.Text, m.URL, m.Line))
			}
		}
	})
	return b
}

func (b *browser) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// do runs steps, with a time limit.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open loads a page, which must not log errors to the browser's console.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
	b.noFaults(path)
}

func (b *browser) noFaults(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		b.t.Errorf("%s: the browser's console has: %s", where, strings.Join(b.faults, "; "))
		b.faults = nil
	}
}

func (b *browser) size(width, height int64) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		b.t.Fatal(err)
	}
}

// scheme sets the preferred color scheme: light or dark.
func (b *browser) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
		return err
	}))
}

// eval returns the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// until waits for an expression to become true, on this page or on the next one.
func (b *browser) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if is {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("waiting for %s: %v", expression, err)
		case <-again.C:
		}
	}
}

// shot writes a screenshot of the whole page to the folder STAGELOG_SCREENSHOTS, if it is set.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("STAGELOG_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// everyPage has a URL of each page for the lake of randomRows.
var everyPage = map[string]string{
	"overview": "/", "customers": "/customers", "plans": "/plans", "apis": "/apis", "routes": "/routes",
	"customer": "/customer?key=key001", "api": "/api?api=shop", "route": "/route?method=GET&route=%2Forders%2F%7Bid%7D",
	"requests": "/requests?status=errors", "request": "/request?object=1&line=7", "live": "/live", "delivery": "/delivery",
	"sql": "/sql?q=SELECT+1", "empty": "/?range=15m&customer=unknown",
}

// testConsole returns a console with all optional parts.
func testConsole(t testing.TB) (*Console, *feed) {
	cfg := config(newLake(t, randomRows(7, 6000)...))
	live := newFeed()
	cfg.Live, cfg.Delivery, cfg.Logger = live.Subscribe, status(someDeliveries()), slog.New(slog.NewTextHandler(t.Output(), nil))
	return New(cfg), live
}

func TestBrowserShowsEveryPage(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	c, _ := testConsole(t)
	b := newBrowser(t, c)
	for name, path := range everyPage {
		b.scheme("light")
		b.size(1360, 900)
		b.open(path)
		if title := eval[string](b, "document.title"); !strings.HasSuffix(title, "stagelog") {
			t.Errorf("%s: title %q", path, title)
		}
		b.shot(name + "-light")
		b.scheme("dark")
		if dark := eval[string](b, "getComputedStyle(document.body).backgroundColor"); dark != "rgb(13, 16, 21)" {
			t.Errorf("%s in the dark: the background is %s", path, dark)
		}
		b.shot(name + "-dark")
		b.scheme("light")
		b.size(360, 740)
		b.open(path)
		if width := eval[int](b, "document.documentElement.scrollWidth"); width > 360 {
			t.Errorf("%s on a phone: %d px wide, want at most 360: %s", path, width, eval[string](b,
				`[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 361 && !e.closest(".scroll")).slice(0, 5).map(e => e.tagName + "." + e.className).join(" ")`))
		}
		b.shot(name + "-phone")
	}
}

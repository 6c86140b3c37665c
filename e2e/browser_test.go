package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stagelog/stagelog/internal/testenv"
)

// browser is a Chromium tab.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex // guards faults
	faults []string   // errors in the browser's console
}

// newBrowser opens a tab. It skips the test if Chromium is not installed.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, home := testenv.Chromium(t), t.TempDir()
	alloc, stop := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.NoInheritEnv, chromedp.Env(testenv.Environ(home)...),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(alloc)
	b := &browser{t: t, ctx: tab}
	if err := chromedp.Do(tab, chromedp.EmulateViewport(1360, 900)); err != nil { // starts it
		t.Fatal(err)
	}
	messages := chromedp.Console(tab)
	var wg sync.WaitGroup
	t.Cleanup(func() { closeTab(); wg.Wait() })
	wg.Go(func() {
		for m, err := range messages {
			if err != nil {
				return // the tab is closed
			}
			if m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning {
				b.mu.Lock()
				b.faults = append(b.faults, fmt.Sprintf("%s %s %s:%d", m.Type, m.Text, m.URL, m.Line))
				b.mu.Unlock()
			}
		}
	})
	return b
}

// open loads a page. It fails if the browser's console has errors or warnings.
func (b *browser) open(url string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		b.t.Errorf("%s: browser console: %s", url, strings.Join(b.faults, "; "))
		b.faults = nil
	}
}

// eval returns the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

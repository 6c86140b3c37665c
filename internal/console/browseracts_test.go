package console

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stagelog/stagelog/internal/testenv"
)

func TestBrowserFilters(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	c, _ := testConsole(t)
	b := newBrowser(t, c)
	b.open("/?range=7d")
	b.run(`document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "/", bubbles: true}))`)
	if got := eval[string](b, `document.activeElement.name`); got != "customer" {
		t.Errorf("after / the focus is on %q, want the first filter", got)
	}
	b.shot("filter-light")
	b.do(chromedp.SendKeys(chromedp.CSS("input[name=plan]"), "Gold"), chromedp.Submit(chromedp.CSS("input[name=plan]")))
	b.until(`location.search !== "?range=7d" && document.readyState === "complete"`)
	if got := eval[string](b, "location.search"); got != "?plan=Gold&range=7d" {
		t.Errorf("the address after filtering: got %s, want the range and the one filter", got)
	}
	if got := eval[[]string](b, `[...document.querySelectorAll(".chip b")].map(e => e.textContent)`); len(got) != 1 || got[0] != "Gold" {
		t.Errorf("chips: got %v, want Gold", got)
	}
	b.do(chromedp.Click(chromedp.CSS(".chip")))
	b.until(`location.search === "?range=7d" && document.readyState === "complete"`)
	if got := eval[int](b, `document.querySelectorAll(".chip").length`); got != 0 {
		t.Errorf("chips after removing the one: got %d", got)
	}
	b.do(chromedp.Click(chromedp.CSS(".k-top table a")))
	b.until(`location.pathname === "/customer" && document.readyState === "complete"`)
	b.noFaults("a customer's page")
}

// The pointer and the keys select a column in all charts; a drag zooms in.
func TestBrowserChartsSelectAndZoom(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	c, _ := testConsole(t)
	b := newBrowser(t, c)
	b.open("/")
	box := eval[[]float64](b, `(r => [r.x, r.y, r.width, r.height])(document.querySelector(".plot").getBoundingClientRect())`)
	at := func(column float64) (x, y float64) { return box[0] + box[2]*(column+0.5)/72, box[1] + box[3]/2 }
	x, y := at(30)
	b.do(chromedp.MouseEvent("mouseMoved", x, y))
	row := eval[[]string](b, `[...document.querySelector("figure.chart tbody").rows[30].cells].map(e => e.textContent)`)
	tip := eval[string](b, `document.querySelector(".tip").innerText`)
	if !strings.HasPrefix(tip, row[0]) || !strings.Contains(tip, row[len(row)-1]) {
		t.Errorf("the tip is %q, want it to contain %v", tip, row)
	}
	if got := eval[int](b, `[...document.querySelectorAll(".cross")].filter(e => e.getAttribute("x") === "30" && e.getAttribute("width") === "1").length`); got != 3 {
		t.Errorf("got %d charts marked, want 3", got)
	}
	b.shot("hover-light")
	b.do(chromedp.MouseEvent("mousePressed", x, y, chromedp.ButtonLeft))
	x, y = at(35)
	b.do(chromedp.MouseEvent("mouseMoved", x, y, chromedp.ButtonLeft), chromedp.MouseEvent("mouseReleased", x, y, chromedp.ButtonLeft))
	b.until(`location.search.includes("from=") && document.readyState === "complete"`)
	if got := eval[string](b, `decodeURIComponent(location.search)`); got != "?from=2026-03-14T01:20:00&to=2026-03-14T03:20:00" {
		t.Errorf("columns 30 to 35 of 20 minutes: got %s", got)
	}
	b.noFaults("a drag")
	b.open("/")
	b.do(chromedp.Focus(chromedp.CSS(".plot")), chromedp.KeyEvent("\ue010"), chromedp.KeyEvent("\ue012"))
	b.run(`document.querySelector(".plot").dispatchEvent(new KeyboardEvent("keydown", {key: "Home", bubbles: true}))`)
	if got := eval[string](b, `document.querySelector(".tip p").textContent`); got != "13 Mar 15:20" {
		t.Errorf("the first column by keys: got %q", got)
	}
	b.noFaults("keys")
}

// run runs a script in the page.
func (b *browser) run(script string) {
	b.t.Helper()
	eval[any](b, script+", null")
}

func TestBrowserLiveTail(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	c, live := testConsole(t)
	b := newBrowser(t, c)
	b.open("/live")
	<-live.joined
	b.until(`document.getElementById("state").textContent === "Live"`)
	send := func(path, customer string, status int) {
		live.send(fmt.Sprintf(`{"api_id":"shop","stage":"prod","key_id":"k","method":"GET","uri":%q,"response_status":"%d","request_latency":"12","usage_plan":"Gold","customer":%q}`, path, status, customer))
	}
	start := time.Now()
	send("/orders/now", "Acme Corp", 200)
	b.until(`document.querySelector("#lines .path")?.textContent === "/orders/now"`)
	t.Logf("a request was shown after %v", time.Since(start))
	hostile := `<img src=x onerror="window.hostile=1"><script>window.hostile=1</script>`
	send(hostile, hostile, 500)
	b.until(`document.querySelector("#lines .path")?.textContent.startsWith("<img")`)
	if got := eval[int](b, `document.querySelectorAll("#lines img, #lines script").length`); got != 0 {
		t.Errorf("a hostile line created %d elements", got)
	}
	if eval[bool](b, `"hostile" in window`) {
		t.Error("a hostile line ran as script")
	}
	for i := range 40 {
		send(fmt.Sprintf("/orders/%d", i), "Globex", []int{200, 200, 304, 404, 500}[i%5])
	}
	b.until(`document.querySelectorAll("#lines tr").length === 42`)
	b.shot("livelines-light")
	b.do(chromedp.SendKeys(chromedp.ID("grep"), "acme"))
	if got := eval[int](b, `[...document.querySelectorAll("#lines tr")].filter(e => !e.hidden).length`); got != 1 {
		t.Errorf("lines that contain acme: got %d, want 1", got)
	}
	b.run(`document.getElementById("grep").value = "", document.getElementById("grep").dispatchEvent(new Event("input"))`)
	b.do(chromedp.Click(chromedp.ID("pause")))
	send("/while/paused", "Globex", 200)
	b.until(`document.getElementById("state").textContent === "Paused, 1 waiting"`)
	if eval[bool](b, `document.getElementById("lines").textContent.includes("/while/paused")`) {
		t.Error("a paused tail shows a line")
	}
	b.do(chromedp.Click(chromedp.ID("pause")))
	b.until(`document.querySelector("#lines .path").textContent === "/while/paused"`)
	for i := range 2000 {
		send(fmt.Sprintf("/flood/%d", i), "Globex", 200)
	}
	b.until(`document.getElementById("state").textContent.endsWith("skipped")`)
	if got := eval[int](b, `document.querySelectorAll("#lines tr").length`); got > 300 {
		t.Errorf("got %d rows on the page, want at most 300", got)
	}
	b.noFaults("the live tail")
}

func TestBrowserThemeAndKeys(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	c, _ := testConsole(t)
	b := newBrowser(t, c)
	b.scheme("light")
	b.open("/")
	b.do(chromedp.KeyEvent("t"))
	if got := eval[string](b, `getComputedStyle(document.body).backgroundColor`); got != "rgb(13, 16, 21)" {
		t.Errorf("after t the background is %s, want the dark one", got)
	}
	b.do(chromedp.KeyEvent("g"), chromedp.KeyEvent("r"))
	b.until(`location.pathname === "/requests" && document.readyState === "complete"`)
	if got := eval[string](b, `document.documentElement.dataset.theme`); got != "dark" {
		t.Errorf("the next page has theme %q, want dark", got)
	}
	b.do(chromedp.KeyEvent("?"))
	if !eval[bool](b, `document.getElementById("keys").open`) {
		t.Error("? shows no list of keys")
	}
	b.shot("keys-dark")
	b.noFaults("keys")
}

func TestBrowserRunsSQL(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	c, _ := testConsole(t)
	b := newBrowser(t, c)
	b.open("/sql")
	b.do(chromedp.SendKeys(chromedp.ID("q"), "SELECT customer, usage_plan AS plan, count(*) AS requests, quantile_disc(latency, 0.95) AS p95_ms, max(time) AS last FROM requests GROUP BY ALL ORDER BY requests DESC"),
		chromedp.Click(chromedp.CSS("#sql .button")))
	b.until(`document.querySelector(".cells tbody tr") !== null`)
	if got := eval[string](b, `document.querySelector(".cells td").textContent`); got != "Acme Corp" {
		t.Errorf("the first cell: got %q, want Acme Corp", got)
	}
	b.until(`location.search.startsWith("?q=SELECT")`)
	b.shot("sqlresult-light")
	b.noFaults("SQL")
}

func TestBrowserSignsIn(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	cfg := config(newLake(t, randomRows(3, 200)...))
	cfg.Password = "correct horse"
	b := newBrowser(t, New(cfg))
	b.open("/requests?status=errors")
	b.shot("login-light")
	b.do(chromedp.SendKeys(chromedp.CSS("input[type=password]"), "correct horse"), chromedp.Submit(chromedp.CSS("input[type=password]")))
	b.until(`location.pathname === "/requests" && location.search === "?status=errors" && document.readyState === "complete"`)
	b.do(chromedp.Click(chromedp.CSS("form[action='/logout'] button")))
	b.until(`location.pathname === "/login"`)
	b.noFaults("signing in")
}

// The frame is painted before the figures. STAGELOG_CONSOLE_ROWS sets the size of the lake.
func TestBrowserPaintsSoon(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	db := newLake(t, randomRows(3, 500)...)
	if os.Getenv("STAGELOG_CONSOLE_ROWS") != "" {
		db = benchLake(t, benchRows(t))
	}
	b := newBrowser(t, New(config(db)))
	b.open("/sql") // starts the browser's renderer
	for _, path := range []string{"/", "/?range=30d"} {
		b.open(path)
		b.until(`performance.getEntriesByName("first-contentful-paint").length === 1`)
		paint := eval[float64](b, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
		whole := eval[float64](b, `performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd`)
		if paint > 2000 { // the machine may be busy; on a quiet one it is a tenth of that
			t.Errorf("%s: the first paint came after %.0f ms", path, paint)
		}
		t.Logf("%s: first contentful paint after %.0f ms, everything after %.0f ms", path, paint, whole)
	}
}

func TestBrowserRefreshesDelivery(t *testing.T) {
	testenv.Need(t, testenv.Browser)
	c, _ := testConsole(t)
	b := newBrowser(t, c)
	b.open("/delivery")
	b.run(`document.querySelector(".panels > section").old = true`)
	b.until(`!document.querySelector(".panels > section").old`)
	if got := eval[int](b, `document.querySelectorAll(".panels > section.stream").length`); got != 3 {
		t.Errorf("after refresh: got %d sections, want 3", got)
	}
	b.noFaults("refresh")
}

package console

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// post sends a form as a page of the console does.
func post(h http.Handler, path string, form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestUnknownHostNamesAreRefused(t *testing.T) {
	cfg := config(newLake(t))
	cfg.Hosts = []string{"logs.example.com"}
	c := New(cfg)
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8081": 200, "LOCALHOST:8081": 200, "localhost.:8081": 200, "127.0.0.1": 200, "127.0.0.1:8081": 200, "127.9.9.9:1": 200,
		"[::1]:8081": 200, "[::1]": 200, "logs.example.com": 200, "Logs.Example.Com:443": 200,
		"evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "192.0.2.1:8081": 421, "0.0.0.0:8081": 421, "x.logs.example.com": 421, "": 421,
	} {
		for _, path := range []string{"/", "/assets/" + c.assets.names["console.css"], "/sql"} {
			r := httptest.NewRequest("GET", "http://localhost"+path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("GET %s from host %q: got %d, want %d", path, host, w.Code, want)
			}
		}
	}
}

// A browser on another machine opens the console by the address that it listens on.
func TestListeningAddressIsAKnownHost(t *testing.T) {
	c := New(config(newLake(t)))
	for host, want := range map[string]int{"192.0.2.1:8081": 200, "192.0.2.1": 200, "192.0.2.2:8081": 421, "evil.example:8081": 421, "[2001:db8::1]:8081": 421} {
		r := httptest.NewRequest("GET", "http://localhost/", nil)
		r.Host = host
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 8081}))
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("GET / at 192.0.2.1 with host %q: got %d, want %d", host, w.Code, want)
		}
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	c := New(config(newLake(t)))
	for name, tt := range map[string]struct {
		header, value string
		want          int
	}{
		"our page":                 {"Sec-Fetch-Site", "same-origin", 200},
		"another site":             {"Sec-Fetch-Site", "cross-site", 403},
		"another port of the host": {"Sec-Fetch-Site", "same-site", 403},
		"an old browser, ours":     {"Origin", "http://localhost", 200},
		"an old browser, another":  {"Origin", "http://evil.example", 403},
		"a sandboxed frame":        {"Origin", "null", 403},
	} {
		r := httptest.NewRequest("POST", "http://localhost/sql", strings.NewReader("q=SELECT+1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(tt.header, tt.value)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("POST /sql from %s: got %d, want %d", name, w.Code, tt.want)
		}
	}
}

func TestOtherSitesCanOnlyLink(t *testing.T) {
	c := New(config(newLake(t)))
	for mode, want := range map[string]int{"navigate": 200, "no-cors": 403, "cors": 403, "": 403} {
		r := httptest.NewRequest("GET", "http://localhost/", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", mode)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("GET / from another site, mode %q: got %d, want %d", mode, w.Code, want)
		}
	}
}

func TestEveryResponseHasSecurityHeaders(t *testing.T) {
	c, _ := testConsole(t)
	for _, path := range []string{"/", "/requests", "/sql", "/delivery", "/live", "/nowhere", "/?range=x", "/assets/" + c.assets.names["console.js"]} {
		h := get(c, path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("GET %s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
		if cached := strings.Contains(h.Get("Cache-Control"), "immutable"); cached != strings.HasPrefix(path, "/assets/") {
			t.Errorf("GET %s: Cache-Control is %q", path, h.Get("Cache-Control"))
		}
	}
	for _, word := range []string{"unsafe", "*", "http:", "https:", "data:"} {
		if strings.Contains(policy, word) {
			t.Errorf("the policy contains %q", word)
		}
	}
}

func TestPasswordProtectsEveryPage(t *testing.T) {
	now := testNow
	cfg := config(newLake(t, randomRows(1, 10)...))
	cfg.Password, cfg.Live, cfg.Delivery = "correct horse", newFeed().Subscribe, status(someDeliveries())
	cfg.Now = func() time.Time { return now }
	c := New(cfg)
	for _, path := range []string{"/", "/requests", "/sql", "/live", "/live/stream", "/delivery", "/customer?key=key001", "/nowhere"} {
		if w := get(c, path); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "key0") {
			t.Errorf("GET %s without a session: got %d, want 401", path, w.Code)
		}
		r := httptest.NewRequest("GET", "http://localhost"+path, nil)
		r.Header.Set("Accept", "text/html,*/*")
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if want := "/login?next=" + url.QueryEscape(path); w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("GET %s by a browser without a session: got %d to %q, want 303 to %q", path, w.Code, w.Header().Get("Location"), want)
		}
	}
	if w := post(c, "/sql", url.Values{"q": {"SELECT 1"}}); w.Code != http.StatusUnauthorized {
		t.Errorf("POST /sql without a session: got %d, want 401", w.Code)
	}
	if w := get(c, "/assets/"+c.assets.names["console.css"]); w.Code != 200 {
		t.Errorf("the form's style: got %d, want 200", w.Code)
	}
	w := post(c, "/login", url.Values{"password": {"correct horse"}, "next": {"/requests?status=5xx"}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/requests?status=5xx" {
		t.Fatalf("the right password: got %d to %q", w.Code, w.Header().Get("Location"))
	}
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" {
		t.Errorf("the session's cookie: %+v", cookie)
	}
	with := func(path string) int {
		r := httptest.NewRequest("GET", "http://localhost"+path, nil)
		r.AddCookie(cookie)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Code
	}
	if got := with("/"); got != 200 {
		t.Errorf("GET / with a session: got %d, want 200", got)
	}
	now = now.Add(sessionAge + time.Second)
	if got := with("/"); got != 401 {
		t.Errorf("GET / with an old session: got %d, want 401", got)
	}
	cookie = post(c, "/login", url.Values{"password": {"correct horse"}}).Result().Cookies()[0]
	if got := with("/"); got != 200 {
		t.Errorf("GET / with a new session: got %d, want 200", got)
	}
	post(c, "/logout", nil, cookie)
	if got := with("/"); got != 401 {
		t.Errorf("GET / after signing out: got %d, want 401", got)
	}
}

func TestWrongPasswordsSlowDown(t *testing.T) {
	now := testNow
	cfg := config(newLake(t))
	cfg.Password, cfg.Now = "right", func() time.Time { return now }
	c := New(cfg)
	try := func(password string) int { return post(c, "/login", url.Values{"password": {password}}).Code }
	for i := range freeTries {
		if got := try("wrong"); got != http.StatusForbidden {
			t.Errorf("wrong password %d: got %d, want 403", i+1, got)
		}
	}
	if got := try("right"); got != http.StatusTooManyRequests {
		t.Errorf("the right password at once after %d wrong ones: got %d, want 429", freeTries, got)
	}
	guesses := 0
	for range 3600 { // an hour of one try a second
		now = now.Add(time.Second)
		if try("wrong") == http.StatusForbidden {
			guesses++
		}
	}
	if guesses > 80 {
		t.Errorf("got %d guesses in an hour, want about one a minute", guesses)
	}
	now = now.Add(maxWait + time.Second)
	if got := try("right"); got != http.StatusSeeOther {
		t.Errorf("the right password after the wait: got %d, want 303", got)
	}
}

// Behind a proxy, a stranger and a user have the same address.
func TestStrangerDoesNotLockOutKnownBrowser(t *testing.T) {
	cfg := config(newLake(t))
	cfg.Password = "correct horse"
	c := New(cfg)
	right, wrong := url.Values{"password": {"correct horse"}}, url.Values{"password": {"wrong"}}
	w := post(c, "/login", right)
	var device []*http.Cookie
	for _, cookie := range w.Result().Cookies() {
		if cookie.Name == deviceCookie {
			device = append(device, cookie)
		}
	}
	if w.Code != http.StatusSeeOther || len(device) != 1 {
		t.Fatalf("sign in: %d with %d device cookies, want 303 and one", w.Code, len(device))
	}
	for range 50 {
		post(c, "/login", wrong)
	}
	if w := post(c, "/login", right); w.Code != http.StatusTooManyRequests {
		t.Errorf("sign in with an unknown browser: %d, want 429", w.Code)
	}
	forged := &http.Cookie{Name: deviceCookie, Value: "name.0123456789abcdef"}
	if w := post(c, "/login", right, forged); w.Code != http.StatusTooManyRequests {
		t.Errorf("sign in with a forged device cookie: %d, want 429", w.Code)
	}
	if w := post(c, "/login", right, device...); w.Code != http.StatusSeeOther {
		t.Errorf("sign in with a known browser: %d, want 303", w.Code)
	}
	for range 50 {
		post(c, "/login", wrong, device...)
	}
	if w := post(c, "/login", right, device...); w.Code != http.StatusTooManyRequests {
		t.Errorf("sign in with a known browser after its own wrong passwords: %d, want 429", w.Code)
	}
}

func TestLoginRedirectsToOwnPathsOnly(t *testing.T) {
	for next, want := range map[string]string{
		"/requests?x=1": "/requests?x=1", "": "/", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "javascript:x": "/", "/a\nb": "/", "evil": "/",
	} {
		if got := ownPath(next); got != want {
			t.Errorf("ownPath(%q): got %q, want %q", next, got, want)
		}
	}
}

func TestThemeIsKept(t *testing.T) {
	c := New(config(newLake(t)))
	w := post(c, "/theme", nil)
	if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 1 {
		t.Fatalf("POST /theme: got %d and %v", w.Code, w.Result().Cookies())
	}
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	r.AddCookie(w.Result().Cookies()[0])
	page := httptest.NewRecorder()
	c.ServeHTTP(page, r)
	if got := attr(find(parse(t, page.Body.String()), "html", "")[0], "data-theme"); got != "dark" {
		t.Errorf("the page after the choice: theme %q, want dark", got)
	}
	r.Header.Set("Cookie", `theme="><script>`)
	page = httptest.NewRecorder()
	c.ServeHTTP(page, r)
	if got := attr(find(parse(t, page.Body.String()), "html", "")[0], "data-theme"); got != "" {
		t.Errorf("invalid theme: got %q, want none", got)
	}
}

func TestEveryPageShowsNotices(t *testing.T) {
	cfg := config(newLake(t))
	cfg.Delivery = status(someDeliveries())
	cfg.Notices = func(context.Context) []string { return []string{"buffer: <b>full</b>"} }
	c := New(cfg)
	for _, path := range []string{"/", "/requests", "/sql", "/delivery"} {
		notices := find(pageAt(t, c, path), "div", "notices")
		if len(notices) != 1 || text(notices[0]) != "buffer: <b>full</b>" {
			t.Errorf("GET %s: notices %v, want one with the text", path, notices)
		}
	}
}

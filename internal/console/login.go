package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	sessionCookie = "stagelog_session"
	// deviceCookie marks a browser in which someone has signed in. Its wrong passwords are counted separately from those of its
	// address, which it may share with strangers behind a proxy.
	deviceCookie = "stagelog_device"
	deviceAge    = 365 * 24 * time.Hour
	sessionAge   = 12 * time.Hour
	maxSessions  = 1000
	// freeTries is the number of wrong passwords that an address or a known browser may send before it has to wait.
	freeTries = 5
	maxWait   = time.Minute
	maxTried  = 10_000 // number of entries in auth.tries
)

// auth checks the password and keeps sessions, identified by a cookie, until the user signs out, twelve hours pass or the
// process ends.
type auth struct {
	password [sha256.Size]byte
	devices  [sha256.Size]byte // key of the device cookies
	now      func() time.Time
	page     func(w http.ResponseWriter, r *http.Request, next, problem string)

	mu       sync.Mutex // guards sessions and tries
	sessions map[[sha256.Size]byte]time.Time
	tries    map[string]*tried // by the origin of the tries, see from
}

// tried counts the wrong passwords from one origin.
type tried struct {
	count int
	until time.Time // no password is checked before
}

func newAuth(password string, now func() time.Time) *auth {
	a := &auth{password: sha256.Sum256([]byte(password)), now: now, sessions: map[[sha256.Size]byte]time.Time{}, tries: map[string]*tried{}}
	rand.Read(a.devices[:]) // never fails
	return a
}

// guard passes on requests with a session. It redirects other requests for pages to the login form and refuses the rest with 401.
func (a *auth) guard(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { a.page(w, r, ownPath(r.URL.Query().Get("next")), "") })
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	mux.Handle("GET /assets/", next)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.signedIn(r):
			next.ServeHTTP(w, r)
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		default:
			http.Error(w, "Sign in at /login.", http.StatusUnauthorized)
		}
	})
	return mux
}

// signedIn reports whether the request has a session. Sessions are stored by the token's hash, so that the timing of a lookup
// reveals nothing about tokens.
func (a *auth) signedIn(r *http.Request) bool {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return false
	}
	id := sha256.Sum256([]byte(cookie.Value))
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.sessions[id]
	return ok && a.now().Before(until)
}

func (a *auth) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form could not be read", http.StatusBadRequest)
		return
	}
	next := ownPath(r.PostForm.Get("next"))
	refuse := func(status int, problem string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		a.page(w, r, next, problem)
	}
	from := a.from(r)
	if wait := a.mustWait(from); wait > 0 {
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		refuse(http.StatusTooManyRequests, fmt.Sprintf("Too many wrong passwords. Wait %d seconds.", seconds))
		return
	}
	given := sha256.Sum256([]byte(r.PostForm.Get("password")))
	if subtle.ConstantTimeCompare(given[:], a.password[:]) != 1 {
		a.wrong(from)
		refuse(http.StatusForbidden, "Wrong password.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: a.open(from), Path: "/", MaxAge: int(sessionAge / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	if _, ok := a.device(r); !ok {
		name := rand.Text()
		http.SetCookie(w, &http.Cookie{Name: deviceCookie, Value: name + "." + a.signDevice(name), Path: "/login", MaxAge: int(deviceAge / time.Second),
			HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (a *auth) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		a.mu.Lock()
		delete(a.sessions, sha256.Sum256([]byte(cookie.Value)))
		a.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// open starts a session and resets the count of wrong passwords of the origin.
func (a *auth) open(from string) (token string) {
	token = rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tries, from)
	now := a.now()
	for id, until := range a.sessions {
		if !now.Before(until) || len(a.sessions) >= maxSessions {
			delete(a.sessions, id)
		}
	}
	a.sessions[sha256.Sum256([]byte(token))] = now.Add(sessionAge)
	return token
}

func (a *auth) mustWait(from string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.tries[from]; t != nil {
		return t.until.Sub(a.now())
	}
	return 0
}

// wrong counts a wrong password. Each one after the free ones doubles the wait.
func (a *auth) wrong(from string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.tries) >= maxTried {
		clear(a.tries)
	}
	t := a.tries[from]
	if t == nil {
		t = &tried{}
		a.tries[from] = t
	}
	t.count++
	if over := t.count - freeTries; over >= 0 {
		t.until = a.now().Add(min(maxWait, time.Second<<min(over, 10)))
	}
}

// from returns the origin of a request for the count of wrong passwords: the browser if it is known, else the address.
func (a *auth) from(r *http.Request) string {
	if name, ok := a.device(r); ok {
		return name
	}
	return source(r).String()
}

// device returns the name of a browser that has a device cookie of this process.
func (a *auth) device(r *http.Request) (name string, ok bool) {
	cookie, err := r.Cookie(deviceCookie)
	if err != nil {
		return "", false
	}
	name, signature, _ := strings.Cut(cookie.Value, ".")
	return name, hmac.Equal([]byte(signature), []byte(a.signDevice(name)))
}

func (a *auth) signDevice(name string) string {
	mac := hmac.New(sha256.New, a.devices[:])
	mac.Write([]byte(name))
	return hex.EncodeToString(mac.Sum(nil))
}

// source returns the address that a request came from; for IPv6, its /64 network.
func source(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if ip = ip.Unmap(); ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.WithZone("").Prefix(bits) // bits is valid for the address family
	return prefix
}

// ownPath returns next if it is a path on this console, else "/": a link to /login must not redirect to other sites.
func ownPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

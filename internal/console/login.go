package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
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
	sessionAge    = 12 * time.Hour
	maxSessions   = 1000
	// freeTries is how many wrong passwords an address may send before it has to wait.
	freeTries = 5
	maxWait   = time.Minute
	maxTried  = 10_000 // addresses that are remembered
)

// door lets in who knows the password, and remembers them by a cookie until they sign out, twelve hours pass, or the
// process ends.
type door struct {
	password [sha256.Size]byte
	now      func() time.Time
	page     func(w http.ResponseWriter, r *http.Request, next, problem string)

	mu       sync.Mutex // guards sessions and tries
	sessions map[[sha256.Size]byte]time.Time
	tries    map[netip.Prefix]*tried
}

// tried is the wrong passwords that came from one address.
type tried struct {
	count int
	until time.Time // no password is looked at before
}

func newDoor(password string, now func() time.Time) *door {
	return &door{password: sha256.Sum256([]byte(password)), now: now, sessions: map[[sha256.Size]byte]time.Time{}, tries: map[netip.Prefix]*tried{}}
}

// guard lets requests with a session pass. Pages lead to the form; everything else gets 401.
func (d *door) guard(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { d.page(w, r, ownPath(r.URL.Query().Get("next")), "") })
	mux.HandleFunc("POST /login", d.login)
	mux.HandleFunc("POST /logout", d.logout)
	mux.Handle("GET /assets/", next)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case d.knows(r):
			next.ServeHTTP(w, r)
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		default:
			http.Error(w, "Sign in at /login.", http.StatusUnauthorized)
		}
	})
	return mux
}

// knows says whether the request has a session. What is kept is the token's hash, so that its look-up tells nothing.
func (d *door) knows(r *http.Request) bool {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return false
	}
	id := sha256.Sum256([]byte(cookie.Value))
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.sessions[id]
	return ok && d.now().Before(until)
}

func (d *door) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form could not be read", http.StatusBadRequest)
		return
	}
	next := ownPath(r.PostForm.Get("next"))
	from := source(r)
	if wait := d.mustWait(from); wait > 0 {
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusTooManyRequests)
		d.page(w, r, next, fmt.Sprintf("Too many wrong passwords. Wait %d seconds.", seconds))
		return
	}
	given := sha256.Sum256([]byte(r.PostForm.Get("password")))
	if subtle.ConstantTimeCompare(given[:], d.password[:]) != 1 {
		d.wrong(from)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		d.page(w, r, next, "That is not the password.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: d.open(from), Path: "/", MaxAge: int(sessionAge / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (d *door) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		d.mu.Lock()
		delete(d.sessions, sha256.Sum256([]byte(cookie.Value)))
		d.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// open begins a session and forgets the address's wrong passwords.
func (d *door) open(from netip.Prefix) (token string) {
	token = rand.Text()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tries, from)
	now := d.now()
	for id, until := range d.sessions {
		if !now.Before(until) || len(d.sessions) >= maxSessions {
			delete(d.sessions, id)
		}
	}
	d.sessions[sha256.Sum256([]byte(token))] = now.Add(sessionAge)
	return token
}

func (d *door) mustWait(from netip.Prefix) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tries[from]; t != nil {
		return t.until.Sub(d.now())
	}
	return 0
}

// wrong counts a wrong password. Each one after the free ones doubles the wait.
func (d *door) wrong(from netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tries) >= maxTried {
		clear(d.tries)
	}
	t := d.tries[from]
	if t == nil {
		t = &tried{}
		d.tries[from] = t
	}
	t.count++
	if over := t.count - freeTries; over >= 0 {
		t.until = d.now().Add(min(maxWait, time.Second<<min(over, 10)))
	}
}

// source is where a request came from: an address, of IPv6 the network of one customer.
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
	prefix, _ := ip.WithZone("").Prefix(bits) // these are right for their kind
	return prefix
}

// ownPath is a path on this console, "/" for anything else: a link to /login may lead nowhere else.
func ownPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

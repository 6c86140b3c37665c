package console

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets a page load what the console itself serves, and nothing else: no inline script or style, no other host, no
// frame around it. Trusted Types forbid the ways in which a script makes markup of text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guard sets the headers of every answer, refuses names that are not ours, and changes that another site's page asks for.
func guard(hosts []string, next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !ours(r.Host, hosts) {
			http.Error(w, fmt.Sprintf("This console does not answer to the name %q. Open it as http://127.0.0.1 or http://localhost with "+
				"its port, or add the name to the hosts that it is configured with.", r.Host), http.StatusMisdirectedRequest)
			return
		}
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			http.Error(w, "Another site's page may lead here, and load nothing from here.", http.StatusForbidden)
			return
		}
		sameOrigin.ServeHTTP(w, r)
	})
}

// ours says whether a Host header names loopback or one of hosts.
func ours(header string, hosts []string) bool {
	name := header
	if host, _, err := net.SplitHostPort(header); err == nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if name == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil && ip.IsLoopback() {
		return true
	}
	for _, host := range hosts {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

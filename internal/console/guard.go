package console

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy lets a page load only what the console itself serves: no inline script or style, no other host, no framing. Trusted
// Types forbid scripts to convert text to markup.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Guard sets the headers of every response, and refuses unknown host names and requests of other sites that load or change anything.
// hosts are accepted besides those of loopback and the address that the client connected to.
func Guard(hosts []string, next http.Handler) http.Handler {
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
		if !isKnownHost(r, hosts) {
			http.Error(w, fmt.Sprintf("Unknown host name %q. Open this page by the address that the console listens on, "+
				"or allow the name with --console-host.", r.Host), http.StatusMisdirectedRequest)
			return
		}
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			http.Error(w, "Cross-site request refused: other sites may link to this page, but not embed or fetch it.", http.StatusForbidden)
			return
		}
		sameOrigin.ServeHTTP(w, r)
	})
}

// isKnownHost reports whether the Host header names loopback, one of hosts, or the address of this end of the connection. An
// address is safe: a site can point only a name of its own to another address.
func isKnownHost(r *http.Request, hosts []string) bool {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if name == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if ip.IsLoopback() || local != nil && isAddress(local, ip) {
			return true
		}
	}
	return slices.ContainsFunc(hosts, func(host string) bool { return strings.EqualFold(host, name) })
}

// isAddress reports whether local is a TCP address with this IP address.
func isAddress(local net.Addr, ip netip.Addr) bool {
	tcp, ok := local.(*net.TCPAddr)
	return ok && tcp.AddrPort().Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
}

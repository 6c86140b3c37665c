package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stagelog/stagelog/internal/record"
)

// location holds the parts of a request's address.
type location struct {
	ref  record.StageRef
	path string // escaped as received, including the stage: $context.path
	rest string // path after the stage, without leading slashes
}

// locate finds the API and the stage of a request, by Host or else by path.
func locate(r *http.Request) (at location, ok bool) {
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return at, false // OPTIONS *, CONNECT
	}
	if at.ref.API, ok = apiOfHost(r.Host); !ok {
		rest := strings.TrimLeft(path, "/")
		slash := strings.IndexByte(rest, '/')
		if slash <= 0 {
			return at, false
		}
		at.ref.API, path = rest[:slash], rest[slash:]
	}
	bare := strings.TrimLeft(path, "/")
	at.path = path[len(path)-len(bare)-1:]
	stage, rest, _ := strings.Cut(bare, "/")
	at.ref.Stage = stage
	at.rest = strings.TrimLeft(rest, "/")
	return at, stage != ""
}

// apiOfHost returns the API in {api}.execute-api.<anything>.
func apiOfHost(host string) (api string, ok bool) {
	api, rest, ok := strings.Cut(host, ".")
	if !ok || api == "" {
		return "", false
	}
	const label = "execute-api"
	if len(rest) < len(label) || !strings.EqualFold(rest[:len(label)], label) {
		return "", false
	}
	if rest = rest[len(label):]; rest != "" && rest[0] != '.' && rest[0] != ':' {
		return "", false
	}
	return strings.ToLower(api), true
}

// hasDotSegment reports whether a path contains "." or "..", also percent-encoded or between encoded
// slashes. Such a path could leave the folder in the integration's URI.
func hasDotSegment(path string) bool {
	if !strings.Contains(path, ".") && !strings.Contains(path, "%") {
		return false
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return true // cannot happen: net/http has parsed it
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(decoded, `\`, "/"), "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

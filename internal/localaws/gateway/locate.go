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
	path string // escaped as it came, with the stage in front: $context.path
	rest string // path after the stage, without the slashes that lead it
}

// locate finds the API and the stage that a request names: by Host, else by path.
func locate(r *http.Request) (at location, ok bool) {
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return at, false // OPTIONS *, CONNECT
	}
	if at.ref.API, ok = apiOfHost(r.Host); !ok {
		rest := strings.TrimLeft(path, "/")
		cut := strings.IndexByte(rest, '/')
		if cut <= 0 {
			return at, false
		}
		at.ref.API, path = rest[:cut], rest[cut:]
	}
	bare := strings.TrimLeft(path, "/")
	at.path = path[len(path)-len(bare)-1:]
	stage, rest, _ := strings.Cut(bare, "/")
	at.ref.Stage = stage
	at.rest = strings.TrimLeft(rest, "/")
	return at, stage != ""
}

// apiOfHost reads {api}.execute-api.<anything>.
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

// hasDotSegment reports whether a path holds "." or "..", also percent-encoded or between
// encoded slashes. Such a path could leave the folder of the upstream that the integration names.
func hasDotSegment(path string) bool {
	if !strings.Contains(path, ".") && !strings.Contains(path, "%") {
		return false
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return true // net/http has parsed it already
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(decoded, `\`, "/"), "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

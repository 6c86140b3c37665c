package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// upstream is an HTTP_PROXY integration, ready to make the URL of a request.
type upstream struct {
	scheme, host string
	path         []piece // escaped
	query        []piece
	timeout      time.Duration // 0: the Gateway's
}

// piece is text, or a parameter of the path.
type piece struct {
	text  string
	param int // index into the route's parameters, -1: text
}

// newUpstream compiles an integration's URI. names are the path parameters of the route, in
// order. A MOCK integration has no upstream and no error.
func newUpstream(in apigateway.Integration, names []string) (*upstream, error) {
	if in.Type != apigateway.HTTPProxy {
		return nil, nil
	}
	scheme, rest, _ := strings.Cut(in.URI, "://")
	scheme = strings.ToLower(scheme)
	if scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("integration URI: the scheme is not http or https")
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	host, path := rest, "/"
	if cut := strings.IndexByte(rest, '/'); cut >= 0 {
		host, path = rest[:cut], rest[cut:]
	}
	// A host that the caller could choose would make the stage a way into any network.
	if host == "" || strings.ContainsAny(host, "{}@") {
		return nil, fmt.Errorf("integration URI: the host is empty, holds a path parameter or holds a user")
	}
	if _, err := url.Parse(scheme + "://" + host); err != nil {
		return nil, fmt.Errorf("integration URI: the host cannot be read")
	}
	up := &upstream{scheme: scheme, host: host, timeout: in.Timeout}
	var err error
	if up.path, err = pieces(path, in.Params, names); err != nil {
		return nil, err
	}
	up.query, err = pieces(query, in.Params, names)
	return up, err
}

// pieces cuts a template at its {variables}. A variable that no path parameter fills is empty.
func pieces(template string, params map[string]string, names []string) (out []piece, err error) {
	for template != "" {
		text, rest, found := strings.Cut(template, "{")
		if text != "" {
			out = append(out, piece{text, -1})
		}
		if !found {
			break
		}
		variable, tail, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("integration URI: a { is not closed")
		}
		template = tail
		variable = strings.TrimSuffix(variable, "+")
		from, ok := params[variable]
		if !ok {
			from = variable
		}
		if i := slices.Index(names, from); i >= 0 {
			out = append(out, piece{"", i})
		}
	}
	return out, nil
}

// fill makes u the URL for a request with these path parameters and this query. The percent
// encoding of the path stays as the client wrote it.
func (up *upstream) fill(u *url.URL, params []string, query string) {
	u.Scheme, u.Host, u.User, u.Opaque, u.Fragment = up.scheme, up.host, nil, "", ""
	escaped := join(up.path, params)
	u.Path, u.RawPath = unescaped(escaped), ""
	if u.Path != escaped {
		u.RawPath = escaped
	}
	u.RawQuery, u.ForceQuery = query, false
	if len(up.query) == 0 {
		return
	}
	values := make([]string, len(params))
	for i, p := range params {
		values[i] = url.QueryEscape(unescaped(p))
	}
	u.RawQuery = join(up.query, values)
	if query != "" {
		u.RawQuery += "&" + query
	}
}

func join(pieces []piece, params []string) string {
	if len(pieces) == 1 && pieces[0].param < 0 {
		return pieces[0].text
	}
	var b strings.Builder
	n := 0
	for _, p := range pieces {
		n += len(p.text)
		if p.param >= 0 {
			n += len(params[p.param])
		}
	}
	b.Grow(n)
	for _, p := range pieces {
		b.WriteString(p.text)
		if p.param >= 0 {
			b.WriteString(params[p.param])
		}
	}
	return b.String()
}

// unescaped decodes percent encoding. Text that is not well encoded stays as it is.
func unescaped(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}

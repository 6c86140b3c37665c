package gateway

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// upstream is a compiled HTTP_PROXY integration, which builds the URLs of requests.
type upstream struct {
	scheme, host string
	path         []piece // escaped
	query        []piece
	timeout      time.Duration // 0: the Gateway's
}

// piece is a text or a path parameter.
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
		return nil, errors.New("integration URI: scheme is not http or https")
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	host, path := rest, "/"
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		host, path = rest[:slash], rest[slash:]
	}
	// A host chosen by the caller would give access to any network.
	if host == "" || strings.ContainsAny(host, "{}@") {
		return nil, errors.New("integration URI: host is empty, or contains a path parameter or a user")
	}
	if _, err := url.Parse(scheme + "://" + host); err != nil {
		return nil, errors.New("integration URI: host is invalid")
	}
	up := &upstream{scheme: scheme, host: host, timeout: in.Timeout}
	var err error
	if up.path, err = pieces(path, in.Params, names); err != nil {
		return nil, err
	}
	up.query, err = pieces(query, in.Params, names)
	return up, err
}

// pieces splits a template at its {variables}. A variable without a path parameter is empty.
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
			return nil, errors.New("integration URI: unclosed {")
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

// fill sets u to the URL for a request with these path parameters and this query. It keeps the client's
// percent encoding of the path.
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

// unescaped decodes percent encoding. It returns invalid encodings unchanged.
func unescaped(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}

package wire

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// stringToSign writes the string to sign of a request to dst and returns the extended buffer.
func (a *auth) stringToSign(dst []byte, r *http.Request, path string, bodyHash []byte) []byte {
	dst = a.appendCanonical(dst, r, path, bodyHash)
	sum := sha256.Sum256(dst)
	dst = append(dst[:0], algorithm+"\n"...)
	dst = a.at.AppendFormat(dst, amzDate)
	dst = append(dst, '\n')
	dst = append(dst, a.scope.Date...)
	dst = append(dst, '/')
	dst = append(dst, a.scope.Region...)
	dst = append(dst, '/')
	dst = append(dst, a.scope.Service...)
	dst = append(dst, "/aws4_request\n"...)
	return hex.AppendEncode(dst, sum[:])
}

// sign replaces text with its signature and writes the signature to out in hexadecimal.
func sign(text []byte, out *[64]byte, key [sha256.Size]byte) []byte {
	h := hmac.New(sha256.New, key[:])
	h.Write(text)
	text = h.Sum(text[:0])
	hex.Encode(out[:], text)
	return text
}

// appendCanonical appends the canonical request.
func (a *auth) appendCanonical(dst []byte, r *http.Request, path string, bodyHash []byte) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, '\n')
	// Every service except S3 signs the path as sent, escaped a second time.
	dst = appendEscaped(dst, path, true)
	dst = append(dst, '\n')
	dst = a.appendQuery(dst, r.URL.RawQuery)
	dst = append(dst, '\n')
	for name := range strings.SplitSeq(a.signedHeaders, ";") {
		dst = append(dst, name...)
		dst = append(dst, ':')
		dst = appendHeader(dst, r, name)
		dst = append(dst, '\n')
	}
	dst = append(dst, '\n')
	dst = append(dst, a.signedHeaders...)
	dst = append(dst, '\n')
	return append(dst, bodyHash...)
}

// paths returns the forms of the path that a client may have signed. botocore and Java first remove ".",
// ".." and double slashes, the Go SDK does not. Nearly always there is only one form.
func (a *auth) paths(r *http.Request) []string {
	sent := r.URL.EscapedPath()
	if sent == "" {
		sent = "/"
	}
	if !strings.Contains(sent, "//") && !strings.Contains(sent, "/.") {
		return []string{sent}
	}
	cleaned := path.Clean(sent)
	if strings.HasSuffix(sent, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return []string{sent, cleaned}
}

// appendQuery appends the query's parameters, escaped and sorted, without the signature.
func (a *auth) appendQuery(dst []byte, raw string) []byte {
	if raw == "" {
		return dst
	}
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name = reescape(name)
		if a.presigned && name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, pair{name, reescape(value)})
	}
	slices.SortFunc(pairs, func(x, y pair) int { return cmp.Or(strings.Compare(x.name, y.name), strings.Compare(x.value, y.value)) })
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, p.name...)
		dst = append(dst, '=')
		dst = append(dst, p.value...)
	}
	return dst
}

// reescape normalises the escaping of a part of a query to the signed form.
func reescape(s string) string {
	plain, err := url.QueryUnescape(s)
	if err != nil {
		plain = s
	}
	return string(appendEscaped(nil, plain, false))
}

// appendEscaped escapes everything except RFC 3986's unreserved characters, and slashes if slashes is set.
func appendEscaped(dst []byte, s string, slashes bool) []byte {
	const upper = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && slashes:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', upper[c>>4], upper[c&15])
		}
	}
	return dst
}

// appendHeader appends a header's values in the signed form: joined by commas, each trimmed, with runs of
// spaces collapsed.
func appendHeader(dst []byte, r *http.Request, name string) []byte {
	if name == "host" {
		return append(dst, r.Host...)
	}
	values := r.Header[http.CanonicalHeaderKey(name)]
	if values == nil && name == "content-length" {
		return strconv.AppendInt(dst, r.ContentLength, 10) // net/http removes it from the headers of some requests
	}
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCollapsed(dst, strings.Trim(v, " \t"))
	}
	return dst
}

func appendCollapsed(dst []byte, v string) []byte {
	if !strings.Contains(v, "  ") {
		return append(dst, v...)
	}
	for i := range len(v) {
		if v[i] != ' ' || v[i-1] != ' ' { // v is trimmed, so v[0] is not a space
			dst = append(dst, v[i])
		}
	}
	return dst
}

package wire

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	amzDate   = "20060102T150405Z"
	// maxExpires is the maximum lifetime of a presigned request: seven days.
	maxExpires = 7 * 24 * time.Hour
)

// auth holds the unverified parameters of a request's signature.
type auth struct {
	accessKeyID   string
	scope         Scope
	signedHeaders string // lower case, joined by semicolons
	signature     string // hexadecimal
	date          string // as given
	at            time.Time
	presigned     bool
	expires       time.Duration // of a presigned request
}

// readAuth reads the signature of a request from its header or its query. The scope may be set even if it
// returns an error.
func readAuth(r *http.Request) (auth, *Error) {
	if header := r.Header.Get("Authorization"); header != "" {
		return readHeader(r, header)
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-") {
		if q := r.URL.Query(); q.Has("X-Amz-Algorithm") || q.Has("X-Amz-Signature") || q.Has("X-Amz-Credential") {
			return readQuery(q)
		}
	}
	return auth{}, missing()
}

// readHeader reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`. The messages are the
// service's, which quotes the header only as a hash.
func readHeader(r *http.Request, header string) (a auth, _ *Error) {
	parts, ok := strings.CutPrefix(header, algorithm)
	if !ok {
		kind, _, _ := strings.Cut(header, " ")
		if strings.HasPrefix(kind, "AWS") {
			return a, incomplete("Unsupported AWS 'algorithm'. This endpoint takes " + algorithm + ".")
		}
	}
	var credential string
	for part := range strings.SplitSeq(parts, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok || strings.ContainsAny(value, " \t") {
			return a, incomplete("Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '" + hashed(header) + "'.")
		}
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			a.signedHeaders = value
		case "Signature":
			a.signature = value
		}
	}
	a.date = cmp.Or(r.Header.Get("X-Amz-Date"), r.Header.Get("Date"))
	var missing strings.Builder
	for _, p := range []struct{ name, value string }{{"Credential", credential}, {"Signature", a.signature}, {"SignedHeaders", a.signedHeaders}} {
		if p.value == "" {
			missing.WriteString("Authorization header requires '" + p.name + "' parameter. ")
		}
	}
	if a.date == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	err := a.readCredential(credential)
	if missing.Len() > 0 {
		return a, incomplete(missing.String() + "(Hashed with SHA-256 and encoded with Base64) Authorization=" + hashed(header))
	}
	if err != nil {
		return a, err
	}
	return a, a.readDate()
}

// readQuery reads the X-Amz-* parameters of a presigned request.
func readQuery(q url.Values) (a auth, _ *Error) {
	a.presigned = true
	a.signedHeaders, a.signature, a.date = q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"), q.Get("X-Amz-Date")
	err := a.readCredential(q.Get("X-Amz-Credential"))
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if q.Get(name) == "" {
			return a, incomplete("AWS query-string parameters must include '" + name + "'. Re-examine the query-string parameters.")
		}
	}
	if q.Get("X-Amz-Algorithm") != algorithm {
		return a, incomplete("Unsupported AWS 'algorithm'. This endpoint takes " + algorithm + ".")
	}
	if err != nil {
		return a, err
	}
	a.expires = maxSkew
	if given := q.Get("X-Amz-Expires"); given != "" {
		seconds, err := strconv.Atoi(given)
		if err != nil || seconds < 1 || seconds > int(maxExpires/time.Second) {
			return a, incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800.")
		}
		a.expires = time.Duration(seconds) * time.Second
	}
	return a, a.readDate()
}

// readCredential reads <key>/<date>/<region>/<service>/aws4_request.
func (a *auth) readCredential(credential string) *Error {
	var parts [5]string
	rest := credential
	for i := range parts {
		var more bool
		parts[i], rest, more = strings.Cut(rest, "/")
		if more != (i < len(parts)-1) {
			return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got a different number.")
		}
	}
	a.accessKeyID, a.scope = parts[0], Scope{Date: parts[1], Region: parts[2], Service: parts[3]}
	if parts[4] != "aws4_request" {
		return &Error{Code: codeMismatch, Message: "Credential should be scoped with a valid terminator: 'aws4_request'."}
	}
	return nil
}

func (a *auth) readDate() *Error {
	for _, layout := range []string{amzDate, http.TimeFormat, time.RFC1123Z} {
		if t, err := time.Parse(layout, a.date); err == nil {
			a.at = t.UTC()
			return nil
		}
	}
	return incomplete("Date must be in ISO-8601 'basic format'. Got something else. See http://en.wikipedia.org/wiki/ISO_8601")
}

// checkSigned checks that the signature covers the headers that AWS requires: the host and every X-Amz-*
// header.
func (a *auth) checkSigned(r *http.Request) *Error {
	if !a.signs("host") {
		return &Error{Code: codeMismatch, Message: "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	for name := range r.Header {
		if len(name) > 6 && strings.EqualFold(name[:6], "X-Amz-") && !a.signs(strings.ToLower(name)) {
			return &Error{Code: codeMismatch, Message: "'" + name + "' must be a 'SignedHeader' in the AWS Authorization."}
		}
	}
	if !a.presigned && r.Header.Get("X-Amz-Date") == "" && !a.signs("date") {
		return &Error{Code: codeMismatch, Message: "'Date' must be a 'SignedHeader' in the AWS Authorization."}
	}
	return nil
}

// signs reports whether the signature covers the header, given in lower case.
func (a *auth) signs(name string) bool {
	for signed := range strings.SplitSeq(a.signedHeaders, ";") {
		if signed == name {
			return true
		}
	}
	return false
}

func incomplete(message string) *Error {
	return &Error{Code: codeIncomplete, Message: message}
}

func hashed(header string) string {
	sum := sha256.Sum256([]byte(header))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (id keyID) clone() keyID {
	return keyID{strings.Clone(id.accessKeyID), Scope{strings.Clone(id.scope.Date), strings.Clone(id.scope.Region), strings.Clone(id.scope.Service)}}
}

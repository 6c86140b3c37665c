package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Identity is the owner of a request's credentials.
type Identity struct {
	AccessKeyID string
	Account     string // 12 digits
	ARN         string
	UserID      string
}

// Credentials looks up the secret of an access key. It is called for every request, concurrently.
type Credentials interface {
	Secret(accessKeyID string) (secret string, id Identity, ok bool)
}

// Scope is the validity of a signature.
type Scope struct {
	Date    string // YYYYMMDD
	Region  string
	Service string // signing name: firehose, apigateway, ...
}

// maxSkew is the permitted clock skew of a request: 5 minutes for every service except S3.
const maxSkew = 5 * time.Minute

// Codes of a rejected signature in awsJson.
const (
	codeMismatch   = "InvalidSignatureException"
	codeUnknownKey = "UnrecognizedClientException"
	codeMissing    = "MissingAuthenticationTokenException"
	codeIncomplete = "IncompleteSignatureException"
)

// Verifier verifies signatures of version 4. It is safe for concurrent use.
type Verifier struct {
	creds   Credentials
	clock   func() time.Time
	keys    keyCache
	scratch sync.Pool // *[]byte: canonical requests
}

// NewVerifier returns a Verifier that gets secrets from creds and the time from clock.
func NewVerifier(creds Credentials, clock func() time.Time) *Verifier {
	return &Verifier{creds: creds, clock: clock}
}

// begin makes the checks that do not need the body, so that the body of an unknown client is never read.
func (v *Verifier) begin(r *http.Request, a *auth) (Identity, string, *Error) {
	if err := v.checkTime(a); err != nil {
		return Identity{}, "", err
	}
	if err := a.checkSigned(r); err != nil {
		return Identity{}, "", err
	}
	secret, id, ok := v.creds.Secret(a.accessKeyID)
	if !ok {
		return Identity{}, "", &Error{Code: codeUnknownKey, Message: "The security token included in the request is invalid."}
	}
	return id, secret, nil
}

// finish checks the signature, in constant time.
func (v *Verifier) finish(r *http.Request, a *auth, secret string, body []byte) *Error {
	sum := sha256.Sum256(body)
	var bodyHash [64]byte
	hex.Encode(bodyHash[:], sum[:])
	if given := r.Header.Get("X-Amz-Content-Sha256"); given != "" && given != string(bodyHash[:]) {
		if given == "UNSIGNED-PAYLOAD" {
			return &Error{Code: codeMismatch, Message: "The payload must be signed: UNSIGNED-PAYLOAD is only for S3."}
		}
		return mismatch()
	}
	key := v.keys.get(keyID{a.accessKeyID, a.scope}, secret)
	scratch := v.space()
	defer v.scratch.Put(scratch)
	for _, path := range a.paths(r) {
		var want [64]byte
		*scratch = sign(a.stringToSign((*scratch)[:0], r, path, bodyHash[:]), &want, key)
		if subtle.ConstantTimeCompare(want[:], []byte(a.signature)) == 1 {
			return nil
		}
	}
	return mismatch()
}

func (v *Verifier) space() *[]byte {
	if p, ok := v.scratch.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, 0, 2048)
	return &p
}

func mismatch() *Error {
	return &Error{Code: codeMismatch, Message: "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
}

func missing() *Error {
	return &Error{Code: codeMissing, Message: "Missing Authentication Token"}
}

// checkTime checks the skew of 5 minutes, or the lifetime of a presigned request. The texts are the
// service's (from reports such as osquery/osquery#3593 and s12v/awsbeats#48).
func (v *Verifier) checkTime(a *auth) *Error {
	if day := a.at.Format("20060102"); day != a.scope.Date {
		return &Error{Code: codeMismatch, Message: fmt.Sprintf(
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", a.scope.Date, day, a.date)}
	}
	now := v.clock().UTC()
	lifetime := maxSkew
	if a.presigned {
		lifetime = a.expires
	}
	if oldest := now.Add(-lifetime); a.at.Before(oldest.Truncate(time.Second)) {
		return &Error{Code: codeMismatch, Message: fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %s.)",
			a.at.Format(amzDate), oldest.Format(amzDate), now.Format(amzDate), durationText(lifetime))}
	}
	if newest := now.Add(maxSkew); a.at.After(newest) {
		return &Error{Code: codeMismatch, Message: fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %s.)",
			a.at.Format(amzDate), newest.Format(amzDate), now.Format(amzDate), durationText(maxSkew))}
	}
	return nil
}

func durationText(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d sec", d/time.Second)
}

// keyID identifies a signing key.
type keyID struct {
	accessKeyID string
	scope       Scope
}

// keyCache caches signing keys, which cost four HMACs and change once a day.
type keyCache struct {
	mu   sync.RWMutex
	keys map[keyID]signingKey // guarded by mu
}

type signingKey struct {
	secret string
	key    [sha256.Size]byte
}

// maxKeys bounds the cache: access keys are known ones, but callers choose region and service freely.
const maxKeys = 256

func (c *keyCache) get(id keyID, secret string) [sha256.Size]byte {
	c.mu.RLock()
	k, ok := c.keys[id]
	c.mu.RUnlock()
	if ok && k.secret == secret {
		return k.key
	}
	k = signingKey{secret: secret}
	sum := hmacSHA256([]byte("AWS4"+secret), []byte(id.scope.Date))
	sum = hmacSHA256(sum, []byte(id.scope.Region))
	sum = hmacSHA256(sum, []byte(id.scope.Service))
	copy(k.key[:], hmacSHA256(sum, []byte("aws4_request")))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= maxKeys {
		c.keys = map[keyID]signingKey{}
	}
	// The id's strings are parts of a request's header; a copy does not keep the header in memory.
	c.keys[id.clone()] = k
	return k.key
}

func hmacSHA256(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

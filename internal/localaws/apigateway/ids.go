package apigateway

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

const (
	idChars  = "abcdefghijklmnopqrstuvwxyz0123456789"
	idLength = 10
	// valueLength is the length of the API key values that API Gateway generates.
	valueLength = 40
)

// newID returns a random id like AWS's: ten lower-case letters and digits.
func newID() string { return strings.ToLower(rand.Text()[:idLength]) }

// newValue returns a random API key value like AWS's: 40 letters and digits.
func newValue() string { return (rand.Text() + rand.Text())[:valueLength] }

// derivedID hashes the parts to an id, which is the same on every machine.
func derivedID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	out := make([]byte, idLength)
	for i := range out {
		out[i] = idChars[int(sum[i])%len(idChars)]
	}
	return string(out)
}

// validID reports whether stagelog.yaml may use the id.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return strings.Trim(id, idChars+"-_") == ""
}

package apigateway

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

const (
	idChars    = "abcdefghijklmnopqrstuvwxyz0123456789"
	valueChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	idLength   = 10
	// valueLength is the length of the API key values that API Gateway makes.
	valueLength = 40
)

// newID is a random id like AWS's: ten lower-case letters and digits.
func newID() string { return randomText(idLength, idChars) }

// newValue is a random API key value like AWS's: 40 letters and digits.
func newValue() string { return randomText(valueLength, valueChars) }

func randomText(n int, alphabet string) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	limit := 256 - 256%len(alphabet) // above it, letters would not be equally likely
	for len(out) < n {
		_, _ = rand.Read(buf[:]) // never fails: crypto/rand ends the process instead
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// derivedID is the id that stands for the words: the same words give the same id on every machine.
func derivedID(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	out := make([]byte, idLength)
	for i := range out {
		out[i] = idChars[int(sum[i])%len(idChars)]
	}
	return string(out)
}

// validID accepts the ids that local configuration may choose.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return strings.Trim(id, idChars+"-_") == ""
}

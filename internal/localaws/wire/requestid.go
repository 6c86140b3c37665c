package wire

import (
	"crypto/rand"
	"encoding/hex"
)

// requestIDHeader is set on every response, as in AWS. It has net/http's canonical form.
const requestIDHeader = "X-Amzn-Requestid"

// RequestID returns a new request id: a random UUID, as in AWS.
func RequestID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], u[0:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:], u[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
)

const (
	requestIDHeader  = "X-Amzn-Requestid" // in net/http's canonical form; clients may set it
	extendedIDHeader = "X-Amz-Apigw-Id"
	errorTypeHeader  = "X-Amzn-Errortype"

	// replacedRequestID replaces a request id of the client that is not a UUID.
	replacedRequestID = "UUID_REPLACED_INVALID_REQUEST_ID"
)

const (
	uuidLen     = 36
	extendedLen = 16
)

// newIDs returns a request id (a random UUID) and an extended request id (15 characters and "=", as in API
// Gateway).
func newIDs() (requestID, extendedID string) {
	var random [16 + 11]byte
	rand.Read(random[:]) // never fails
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	var text [uuidLen + extendedLen]byte
	hex.Encode(text[0:], random[0:4])
	hex.Encode(text[9:], random[4:6])
	hex.Encode(text[14:], random[6:8])
	hex.Encode(text[19:], random[8:10])
	hex.Encode(text[24:], random[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	base64.URLEncoding.Encode(text[uuidLen:], random[16:])
	both := string(text[:])
	return both[:uuidLen], both[uuidLen:]
}

// chosenID returns the request id for the header of a client: the header if it is a UUID, else API
// Gateway's replacement.
func chosenID(header string) string {
	if isUUID(header) {
		return header
	}
	return replacedRequestID
}

func isUUID(s string) bool {
	if len(s) != uuidLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
	}
	return true
}

package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
)

// StatusClientClosed is the logged status of a request whose client disconnected before the response began.
// It is never sent. Once a response has begun, its own status is logged, and error.message notes that it
// was cut short.
const StatusClientClosed = 499

// failure describes a request without a response of its integration: the response to the client, and the
// values of the log line.
type failure struct {
	status       int
	body         string // exactly as API Gateway writes it
	message      string // $context.error.message
	responseType string // $context.error.responseType; "" if API Gateway has none
	errorType    string // the x-amzn-ErrorType header
	integration  string // $context.integration.error; "" if the integration is not involved
}

// API Gateway's own responses, and ours where it has none.
var (
	missingToken = failure{403, `{"message":"Missing Authentication Token"}`, "Missing Authentication Token",
		"MISSING_AUTHENTICATION_TOKEN", "MissingAuthenticationTokenException", ""}
	forbidden = failure{403, `{"message":"Forbidden"}`, "Forbidden", "INVALID_API_KEY", "ForbiddenException", ""}
	tooLong   = failure{413, `{"message":"Request Too Long"}`, "Request Too Long",
		"REQUEST_TOO_LARGE", "RequestTooLongException", ""}
	bodyTooSlow     = failure{408, `{"message":"Request Timeout"}`, "Request Timeout", "", "RequestTimeoutException", ""}
	tooManyRequests = failure{429, `{"message":"Too Many Requests"}`, "Too Many Requests",
		"THROTTLED", "TooManyRequestsException", ""}
	limitExceeded = failure{429, `{"message":"Limit Exceeded"}`, "Limit Exceeded",
		"QUOTA_EXCEEDED", "LimitExceededException", ""}
	misconfigured = failure{500, `{"message": "Internal server error"}`, "Internal server error",
		"API_CONFIGURATION_ERROR", "InternalServerErrorException", "Invalid endpoint"}
	internalError = failure{500, `{"message": "Internal server error"}`, "Internal server error",
		"DEFAULT_5XX", "InternalServerErrorException", ""}
	badGateway = failure{502, `{"message": "Internal server error"}`, "Internal server error",
		"INTEGRATION_FAILURE", "InternalServerErrorException", "Network error communicating with endpoint"}
	timedOut = failure{504, `{"message": "Endpoint request timed out"}`, "Endpoint request timed out",
		"INTEGRATION_TIMEOUT", "InternalServerErrorException", "Endpoint request timed out"}

	// The following are never sent: the client has disconnected or already received the header.
	clientClosed = failure{status: StatusClientClosed, message: "Client closed the connection"}
	cutByClient  = failure{message: "Client closed the connection during the response"}
	cutUpstream  = failure{message: "Response cut short", integration: "Endpoint closed the connection during the response"}
)

// refuse writes the response of a failure.
func (x *exchange) refuse(f failure) {
	x.failure = f
	h := x.Header()
	clear(h) // the proxy may have set some
	x.identify(h)
	f.setHeader(h)
	x.WriteHeader(f.status)
	x.writeString(f.body)
}

func (f *failure) setHeader(h http.Header) {
	h[errorTypeHeader] = []string{f.errorType}
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(f.body))}
}

// refuseUnrouted writes the response for an unknown API or stage.
func refuseUnrouted(w http.ResponseWriter) {
	h := w.Header()
	requestID, extendedID := newIDs()
	h.Set(requestIDHeader, requestID)
	h.Set(extendedIDHeader, extendedID)
	forbidden.setHeader(h)
	w.WriteHeader(forbidden.status)
	_, _ = w.Write([]byte(forbidden.body)) // an error means that the client has disconnected
}

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

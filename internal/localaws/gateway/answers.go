package gateway

import (
	"net/http"
	"strconv"
)

// StatusClientClosed is the status in the log line of a request whose client went away before
// anything was answered. It is never sent. Once an answer has begun, its own status stays, and
// error.message notes that it was cut short.
const StatusClientClosed = 499

// failure describes why a request was not answered by its integration: the response that the
// client gets, and what the log line has.
type failure struct {
	status       int
	body         string // as API Gateway writes it, its spaces included
	message      string // $context.error.message
	responseType string // $context.error.responseType; "" where API Gateway has none
	errorType    string // the x-amzn-ErrorType header
	integration  string // $context.integration.error; "" where the integration has no part in it
}

// The answers of API Gateway itself, and ours where it has none.
var (
	missingToken = failure{403, `{"message":"Missing Authentication Token"}`, "Missing Authentication Token",
		"MISSING_AUTHENTICATION_TOKEN", "MissingAuthenticationTokenException", ""}
	forbidden = failure{403, `{"message":"Forbidden"}`, "Forbidden", "INVALID_API_KEY", "ForbiddenException", ""}
	tooLong   = failure{413, `{"message":"Request Too Long"}`, "Request Too Long",
		"REQUEST_TOO_LARGE", "RequestTooLongException", ""}
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

	// The following are never sent: the client is gone, or has the answer's head already.
	clientClosed = failure{status: StatusClientClosed, message: "Client closed the connection"}
	cutByClient  = failure{message: "Client closed the connection during the response"}
	cutUpstream  = failure{message: "Response cut short", integration: "Endpoint closed the connection during the response"}
)

// refuse answers in the place of the integration.
func (x *exchange) refuse(f failure) {
	x.failure = f
	h := x.Header()
	clear(h) // what the proxy may have begun
	x.identify(h)
	h[errorTypeHeader] = []string{f.errorType}
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(f.body))}
	x.WriteHeader(f.status)
	x.writeString(f.body)
}

// refuseUnrouted answers a request for an API or a stage that does not exist.
func refuseUnrouted(w http.ResponseWriter, _ *http.Request) {
	requestID, extendedID := newIDs()
	h := w.Header()
	h.Set(requestIDHeader, requestID)
	h.Set(extendedIDHeader, extendedID)
	h.Set(errorTypeHeader, forbidden.errorType)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(forbidden.body)))
	w.WriteHeader(forbidden.status)
	_, _ = w.Write([]byte(forbidden.body)) // the client may be gone: there is nothing to do
}

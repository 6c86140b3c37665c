package gateway

import (
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

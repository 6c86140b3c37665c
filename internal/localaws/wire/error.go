package wire

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"
)

// Protocol is the format of a service's requests and errors.
type Protocol int

// The protocols of the supported services, and of others that clients may call.
const (
	JSON11   Protocol = iota // awsJson 1.1: X-Amz-Target, {"__type","message"}
	JSON10                   // awsJson 1.0: the same with another content type
	RESTJSON                 // rest-json: x-amzn-ErrorType and {"message"}
	Query                    // awsQuery: Action=..., <ErrorResponse>
	RESTXML                  // rest-xml of S3: <Error>
)

// Error is an error of an AWS service: a code for programs and a message for people. Neither contains a
// secret or a record's content.
type Error struct {
	Code    string // without namespace: InvalidArgumentException
	Message string
	Status  int  // HTTP status; 0: 400, or 500 with Fault
	Fault   bool // the service is at fault, not the caller
}

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// HTTPStatus returns the status of the response.
func (e *Error) HTTPStatus() int {
	switch {
	case e.Status != 0:
		return e.Status
	case e.Fault:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// WriteError writes e in the format of the protocol.
func WriteError(w http.ResponseWriter, p Protocol, e *Error) {
	h := w.Header()
	switch p {
	case Query, RESTXML:
		h.Set("Content-Type", "text/xml")
		w.WriteHeader(e.HTTPStatus())
		_, _ = w.Write(xmlError(p, e, h.Get(requestIDHeader)))
		return
	case RESTJSON:
		h.Set("x-amzn-ErrorType", e.Code)
		WriteJSON(w, p, e.HTTPStatus(), struct {
			Message string `json:"message"`
		}{e.Message})
		return
	}
	WriteJSON(w, p, e.HTTPStatus(), struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.Code, e.Message})
}

func contentType(p Protocol) string {
	switch p {
	case RESTJSON:
		return "application/json"
	case JSON10:
		return "application/x-amz-json-1.0"
	}
	return "application/x-amz-json-1.1"
}

// WriteJSON writes a response in one of the JSON protocols.
func WriteJSON(w http.ResponseWriter, p Protocol, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode response: " + err.Error())
	}
	w.Header().Set("Content-Type", contentType(p))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client has disconnected
}

func xmlError(p Protocol, e *Error, requestID string) []byte {
	kind := "Sender"
	if e.Fault {
		kind = "Receiver"
	}
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	if p == RESTXML {
		b.WriteString("<Error><Code>" + escape(e.Code) + "</Code><Message>" + escape(e.Message) +
			"</Message><RequestId>" + escape(requestID) + "</RequestId></Error>")
		return []byte(b.String())
	}
	b.WriteString(`<ErrorResponse xmlns="` + stsNamespace + `"><Error><Type>` + kind + "</Type><Code>" + escape(e.Code) +
		"</Code><Message>" + escape(e.Message) + "</Message></Error><RequestId>" + escape(requestID) + "</RequestId></ErrorResponse>\n")
	return []byte(b.String())
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// authCode describes how the protocols report a rejected signature.
//
// awsJson always returns 400 (DynamoDB's error page; Firehose: "Signature expired" with 400 in
// awslabs/amazon-kinesis-agent#177). REST services return 403 (Lambda: UnrecognizedClientException with
// 403; API Gateway: "Missing Authentication Token" with 403), but 400 for a malformed header, as on the
// common errors page. Query services use the codes of the common errors page.
type authCode struct {
	status int // of REST and Query
	query  string
}

// authCodes is keyed by awsJson's code.
var authCodes = map[string]authCode{
	codeMismatch:   {http.StatusForbidden, "SignatureDoesNotMatch"},
	codeUnknownKey: {http.StatusForbidden, "InvalidClientTokenId"},
	codeMissing:    {http.StatusForbidden, "MissingAuthenticationToken"},
	codeIncomplete: {http.StatusBadRequest, "IncompleteSignature"},
}

// inProtocol converts e, an error of the Verifier in awsJson's form, to the form of the protocol.
func (e *Error) inProtocol(p Protocol) *Error {
	a, ok := authCodes[e.Code]
	if !ok || p == JSON11 || p == JSON10 {
		return e
	}
	if p == RESTJSON {
		return &Error{Code: e.Code, Message: e.Message, Status: a.status}
	}
	return &Error{Code: a.query, Message: e.Message, Status: a.status}
}

// protocolOf determines the protocol of a request from its form, even if its service is unknown.
func protocolOf(r *http.Request, service string) Protocol {
	kind := r.Header.Get("Content-Type")
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		if strings.HasPrefix(kind, "application/x-amz-json-1.0") {
			return JSON10
		}
		return JSON11
	case service == "s3":
		return RESTXML
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"), service == "sts", service == "iam":
		return Query
	case service == "firehose", strings.HasPrefix(kind, "application/x-amz-json-1.1"):
		return JSON11
	}
	return RESTJSON
}

// Package wire implements what the AWS services of this project share: it verifies the signature (SigV4) of
// a request, passes the request to the service that it is signed for, and writes errors in the format of
// that service's protocol.
//
// A Mux reads the body of each request into a pooled buffer of limited size, verifies the signature, and
// then calls the service's handler with r.Body and Body(r) over the same bytes. S3 is the exception: its
// requests are passed on unread, because its server implements SigV4 with streaming bodies itself.
//
// Codes, messages and statuses are AWS's. They differ by protocol: for a wrong signature a JSON service
// returns 400, a REST or Query service 403, and Query has its own codes. error.go notes the sources.
package wire

// Package wire is the wire that the AWS services of this project share: it checks the
// signature (SigV4) of a request, hands it to the service that it was signed for, and
// writes errors in the shape of that service's protocol.
//
// A Mux reads the body of each request into a pooled buffer, bounded, checks the
// signature against it, and calls the service's handler with r.Body and Body(r) over the
// same bytes. Nothing of a request is acted on before its signature was checked. S3 is the
// exception: its requests are passed on unread, because its server has its own SigV4 with
// streaming bodies.
//
// Codes, messages and statuses are AWS's. They differ by protocol: a JSON service answers
// 400 to a wrong signature, a REST or Query service 403, and Query has codes of its own.
// Sources are noted where they are decided, in error.go and sigv4.go.
package wire

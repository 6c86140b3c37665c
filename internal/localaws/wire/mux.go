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

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Config configures a Mux.
type Config struct {
	Verifier *Verifier
	// Region is the region that requests must be signed for; "": any. STS and IAM are global, and accept
	// any region.
	Region string
	// Account is the account of this machine, for the ARNs of handlers; the Mux does not check it.
	Account string
	// MaxBody is the maximum body size in bytes. 0: 8 MiB, the largest PutRecordBatch in base64.
	MaxBody int64
	// MaxBodyOf overrides MaxBody for single services; nil: 72 MiB for Lambda, a 50 MB zip in base64.
	MaxBodyOf map[string]int64
}

const (
	defaultMaxBody = 8 << 20
	lambdaMaxBody  = 72 << 20
)

// requestIDHeader is set on every response, as in AWS. It has net/http's canonical form.
const requestIDHeader = "X-Amzn-Requestid"

type mux struct {
	cfg      Config
	services map[string]http.Handler
	served   string // names of the services, for the error about others
	buffers  buffers
}

// NewMux returns one endpoint for several services, keyed by their signing names: firehose, apigateway,
// lambda, sts, s3. The signature of a request names its service. The handler of s3 receives requests unread
// and unverified, and must verify them itself; all others receive verified ones, with IdentityFrom and Body.
func NewMux(cfg Config, services map[string]http.Handler) http.Handler {
	if cfg.Verifier == nil {
		panic("BUG: a Mux without a Verifier")
	}
	cfg.MaxBody = cmp.Or(cfg.MaxBody, defaultMaxBody)
	if cfg.MaxBodyOf == nil {
		cfg.MaxBodyOf = map[string]int64{"lambda": lambdaMaxBody}
	}
	names := slices.Sorted(maps.Keys(services))
	return &mux{cfg: cfg, services: services, served: strings.Join(names, ", ")}
}

// ServeHTTP verifies the request and passes it to its service.
func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	auth, err := readAuth(r)
	if s3 := m.services["s3"]; s3 != nil && (err == nil && auth.scope.Service == "s3" || isV2(r)) {
		s3.ServeHTTP(w, r) // only S3 has ever accepted version 2; its server decides
		return
	}
	w.Header()[requestIDHeader] = []string{uuid.NewString()}
	protocol := protocolOf(r, auth.scope.Service)
	if err == nil {
		err = m.serve(w, r, &auth, protocol)
	}
	if err != nil {
		WriteError(w, protocol, err.inProtocol(protocol))
	}
}

func (m *mux) serve(w http.ResponseWriter, r *http.Request, auth *auth, p Protocol) *Error {
	handler := m.services[auth.scope.Service]
	if handler == nil {
		return m.notServed(auth.scope.Service, p)
	}
	id, secret, err := m.cfg.Verifier.begin(r, auth)
	if err == nil {
		err = m.checkRegion(auth.scope)
	}
	if err != nil {
		return err
	}
	limit := m.cfg.MaxBody
	if n := m.cfg.MaxBodyOf[auth.scope.Service]; n > 0 {
		limit = n
	}
	b, err := m.buffers.read(r, limit)
	if err != nil {
		return err
	}
	defer m.buffers.put(b)
	if err := m.cfg.Verifier.finish(r, auth, secret, b.bytes); err != nil {
		return err
	}
	r = r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
	r.Body = b
	r.ContentLength = int64(len(b.bytes))
	handler.ServeHTTP(w, r)
	return nil
}

func (m *mux) notServed(service string, p Protocol) *Error {
	message := fmt.Sprintf("stagelog does not serve the AWS service '%s' that this request was signed for. It serves: %s.", service, m.served)
	switch p {
	case Query:
		return &Error{Code: "InvalidAction", Message: message}
	case RESTXML:
		return &Error{Code: "NotImplemented", Message: message, Status: http.StatusNotImplemented}
	case RESTJSON:
		return &Error{Code: "UnknownOperationException", Message: message, Status: http.StatusNotFound}
	}
	return &Error{Code: "UnknownOperationException", Message: message}
}

func (m *mux) checkRegion(s Scope) *Error {
	if m.cfg.Region == "" || s.Region == m.cfg.Region || s.Service == "sts" || s.Service == "iam" {
		return nil
	}
	return &Error{Code: codeMismatch, Message: fmt.Sprintf(
		"Credential should be scoped to a valid region, not '%s'. This endpoint is %s.", s.Region, m.cfg.Region)}
}

// isV2 reports whether a request has a signature of version 2, in its header or, for S3, in its query.
func isV2(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS ") || strings.Contains(r.URL.RawQuery, "AWSAccessKeyId=")
}

type identityKey struct{}

// IdentityFrom returns the signer of a request from a Mux.
func IdentityFrom(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}

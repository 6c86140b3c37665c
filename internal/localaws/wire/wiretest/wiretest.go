// Package wiretest serves one AWS service behind a verifying endpoint, for tests with an SDK client.
package wiretest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

// Region and Account are those of the endpoint.
const (
	Region  = "eu-west-1"
	Account = "123456789012"
)

const keyID, secret = "AKIATEST", "secret"

// Serve starts an endpoint for the service with the given signing name and returns its URL.
func Serve(t *testing.T, service string, handler http.Handler) string {
	t.Helper()
	mux := wire.NewMux(wire.Config{Verifier: wire.NewVerifier(keys{}, time.Now), Region: Region, Account: Account}, map[string]http.Handler{service: handler})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// Credentials returns credentials that the endpoint accepts.
func Credentials() credentials.StaticCredentialsProvider {
	return credentials.NewStaticCredentialsProvider(keyID, secret, "")
}

// Code returns the AWS error code of err, or its text if it has none.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

type keys struct{}

// Secret implements wire.Credentials.
func (keys) Secret(id string) (string, wire.Identity, bool) {
	return secret, wire.Identity{AccessKeyID: id, Account: Account, ARN: "arn:aws:iam::" + Account + ":root"}, id == keyID
}

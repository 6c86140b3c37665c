package apigateway_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/smithy-go"

	"github.com/stagelog/stagelog/internal/localaws/apigateway"
	"github.com/stagelog/stagelog/internal/record/recordtest"
	"github.com/stagelog/stagelog/internal/testenv"
)

// world is a Service with a client and a settable clock.
type world struct {
	t     *testing.T
	store *recordtest.Store
	svc   *apigateway.Service
	c     *sdk.Client
	log   *bytes.Buffer
	url   string

	mu      sync.Mutex
	now     time.Time
	changes int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: &recordtest.Store{}, log: &bytes.Buffer{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	w.open(apigateway.Faults{})
	return w
}

// open starts the Service on what the store holds.
func (w *world) open(faults apigateway.Faults) {
	w.t.Helper()
	svc, err := apigateway.Open(w.t.Context(), apigateway.Config{
		Clock: w.clock, Logger: slog.New(slog.NewTextHandler(w.log, nil)),
		OnChange: func() { w.mu.Lock(); w.changes++; w.mu.Unlock() },
	}, w.store)
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	srv := httptest.NewServer(faults.Wrap(svc))
	w.t.Cleanup(srv.Close)
	w.svc, w.url, w.c = svc, srv.URL, client(srv.URL, 1)
}

func client(url string, attempts int) *sdk.Client {
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(url), HTTPClient: testenv.SDKClient(&http.Transport{}),
		RetryMaxAttempts: attempts,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	})
}

// clock advances by a millisecond at each call.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Millisecond)
	return w.now
}

func (w *world) at(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = t
}

func (w *world) changed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes
}

// must fails the test on an error: must(t)(v, err).
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantError checks a refusal's code and message.
func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Errorf("error = %v, want %s: %s", err, code, message)
		return
	}
	if api.ErrorCode() != code || api.ErrorMessage() != message {
		t.Errorf("error =\n%s: %q, want\n%s: %q", api.ErrorCode(), api.ErrorMessage(), code, message)
	}
}

// deployed creates an API with one open method at / and a stage.
func (w *world) deployed(name, stage string) (apiID string) {
	t := w.t
	t.Helper()
	api := must[*sdk.CreateRestApiOutput](t)(w.c.CreateRestApi(t.Context(), &sdk.CreateRestApiInput{Name: &name}))
	must[*sdk.PutMethodOutput](t)(w.c.PutMethod(t.Context(), &sdk.PutMethodInput{
		RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("NONE")}))
	must[*sdk.PutIntegrationOutput](t)(w.c.PutIntegration(t.Context(), &sdk.PutIntegrationInput{
		RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: aws.String("GET"), Type: "HTTP_PROXY",
		IntegrationHttpMethod: aws.String("GET"), Uri: aws.String("http://127.0.0.1:9000/")}))
	must[*sdk.CreateDeploymentOutput](t)(w.c.CreateDeployment(t.Context(), &sdk.CreateDeploymentInput{RestApiId: api.Id, StageName: &stage}))
	return *api.Id
}

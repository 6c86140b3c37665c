package usageplan_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/usageplan"
)

func TestListReadsAllShapes(t *testing.T) {
	plan := `{"id":"p","name":"Gold","apiStages":[{"apiId":"shop","stage":"prod","throttle":{"/GET":{"rateLimit":1}}}],"quota":{"limit":9},"tags":{}}`
	key := `{"id":"k","name":"Acme","value":"` + secret + `","type":"API_KEY"}`
	for name, shape := range map[string]string{
		"item":      `{"item":[%s]}`,
		"last page": `{"item":[%s],"position":""}`,
	} {
		t.Run(name, func(t *testing.T) {
			source, err := usageplan.NewAPISource(usageplan.APIConfig{
				Endpoint: "http://gateway.invalid/some/base/", Credentials: credentials,
				HTTPClient: handlerClient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/some/base/usageplans":
						fmt.Fprintf(w, shape, plan)
					case "/some/base/usageplans/p/keys":
						fmt.Fprintf(w, shape, key)
					}
				})),
			})
			if err != nil {
				t.Fatalf("NewAPISource: %v", err)
			}
			got, err := source.List(t.Context())
			if err != nil {
				t.Fatalf("List: %v", err)
			}
			want := usageplan.Listing{
				Plans: []usageplan.Plan{{ID: "p", Name: "Gold", Stages: []record.StageRef{{API: "shop", Stage: "prod"}}}},
				Keys:  []usageplan.Key{{ID: "k", Name: "Acme", Plans: []string{"p"}}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("List: -want +got\n%s", diff)
			}
		})
	}
}

func TestListRetriesTemporaryErrors(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int
		tries        int
	}{
		{"throttled", `{"message":"Too Many Requests"}`, 429, 6},
		{"internal", ``, 500, 6},
		{"unavailable", ``, 503, 6},
		{"denied", `{"Message":"User is not authorized"}`, 403, 1},
		{"bad request", `{"message":"bad"}`, 400, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := smallGateway()
				g.intercept(func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("X-Amzn-Errortype", "SomeException:http://internal.amazon.com/")
					http.Error(w, tt.answer+secret, tt.status)
					return false
				})
				_, err := newSource(t, g, nil).List(t.Context())
				if want := fmt.Sprintf("status %d SomeException", tt.status); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
					t.Errorf("List: %v, want %s without the response body", err, want)
				}
				if n := g.count(); n != tt.tries {
					t.Errorf("%d attempts, want %d", n, tt.tries)
				}
			})
		})
	}
}

func TestListSkipsWaitBeyondDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := smallGateway()
		g.intercept(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return false
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := newSource(t, g, nil).List(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("List: %v, want the response's error", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("List with a Retry-After beyond the deadline returned after %v, want immediately", took)
		}
	})
}

func TestEndpoints(t *testing.T) {
	for region, want := range map[string]string{
		"eu-west-1":      "https://apigateway.eu-west-1.amazonaws.com/usageplans?limit=500",
		"us-gov-west-1":  "https://apigateway.us-gov-west-1.amazonaws.com/usageplans?limit=500",
		"eusc-de-east-1": "https://apigateway.eusc-de-east-1.amazonaws.eu/usageplans?limit=500",
		"us-iso-east-1":  "https://apigateway.us-iso-east-1.c2s.ic.gov/usageplans?limit=500",
		"cn-north-1":     "https://apigateway.cn-north-1.amazonaws.com.cn/usageplans?limit=500",
	} {
		var got, auth string
		source, err := usageplan.NewAPISource(usageplan.APIConfig{
			Region: region, Credentials: credentials,
			HTTPClient: handlerClient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, auth = r.URL.String(), r.Header.Get("Authorization")
				fmt.Fprint(w, `{"item":[]}`)
			})),
		})
		if err != nil {
			t.Fatalf("NewAPISource: %v", err)
		}
		if _, err := source.List(t.Context()); err != nil || got != want || !strings.Contains(auth, "/"+region+"/apigateway/") {
			t.Errorf("List in %s called %s signed by %s (%v), want %s", region, got, auth, err, want)
		}
	}
}

func TestAPISourceIgnoresEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
		"AWS_CA_BUNDLE": filepath.Join(t.TempDir(), "missing"), "AWS_PROFILE": "stale", "AWS_REGION": "mars-1", "AWS_ACCESS_KEY_ID": "stale",
	} {
		t.Setenv(name, value)
	}
	server := httptest.NewServer(smallGateway())
	defer server.Close()
	source, err := usageplan.NewAPISource(usageplan.APIConfig{Endpoint: server.URL, Credentials: credentials})
	if err != nil {
		t.Fatalf("NewAPISource: %v", err)
	}
	if l, err := source.List(t.Context()); err != nil || len(l.Keys) != 4 {
		t.Errorf("List = %d keys, %v, want 4", len(l.Keys), err)
	}
}

func TestProxyIsUsedOnlyForAWS(t *testing.T) {
	if usageplan.UsesProxy(true) || !usageplan.UsesProxy(false) {
		t.Errorf("proxy from the environment: local %v, AWS %v, want false, true", usageplan.UsesProxy(true), usageplan.UsesProxy(false))
	}
}

func TestNewAPISourceRejects(t *testing.T) {
	for name, cfg := range map[string]usageplan.APIConfig{
		"no credentials":     {Region: "us-east-1"},
		"no scheme":          {Endpoint: "localhost:4580", Credentials: credentials},
		"another scheme":     {Endpoint: "ftp://localhost", Credentials: credentials},
		"no host":            {Endpoint: "http://", Credentials: credentials},
		"control characters": {Endpoint: "http://a\nb", Credentials: credentials},
	} {
		if _, err := usageplan.NewAPISource(cfg); err == nil {
			t.Errorf("%s: NewAPISource succeeded, want an error", name)
		}
	}
}

func TestListReportsCredentialsError(t *testing.T) {
	g := smallGateway()
	source := newSource(t, g, func(c *usageplan.APIConfig) {
		c.Tries = 1
		c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no role")
		})
	})
	if _, err := source.List(t.Context()); err == nil || !strings.Contains(err.Error(), "credentials: no role") {
		t.Errorf("List: %v, want the credentials' error", err)
	}
	if n := g.count(); n != 0 {
		t.Errorf("%d calls without credentials, want 0", n)
	}
}

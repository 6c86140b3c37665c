package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// plainS3 is an S3 server that stores objects and rejects all bucket settings with the same error.
type plainS3 struct {
	code   string
	status int

	mu      sync.Mutex // guards objects, policy
	objects map[string][]byte
	policy  string
}

func (s *plainS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	switch {
	case key != "" && r.Method == http.MethodPut:
		s.objects[key], _ = io.ReadAll(r.Body)
	case key != "" && s.objects[key] != nil:
		_, _ = w.Write(s.objects[key])
	case key != "":
		refuse(w, http.StatusNotFound, "NoSuchKey")
	case r.Method == http.MethodHead:
	case query.Has("policy") && r.Method == http.MethodPut:
		body, _ := io.ReadAll(r.Body)
		s.policy = string(body)
	case query.Has("policy"):
		refuse(w, http.StatusNotFound, "NoSuchBucketPolicy")
	default:
		refuse(w, s.status, s.code)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>no</Message></Error>")
}

// A pipeline starts with an S3 store that has no bucket settings, or whose credentials may not change them, and its readers
// get access.
func TestForeignBucketWithoutSettings(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "us-east-1")
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	for _, s := range []*plainS3{{code: "NotImplemented", status: http.StatusNotImplemented}, {code: "AccessDenied", status: http.StatusForbidden}} {
		t.Run(s.code, func(t *testing.T) {
			s.objects = map[string][]byte{}
			store := httptest.NewServer(s)
			defer store.Close()
			cfg := testConfig(t, upstream.URL)
			cfg.S3Endpoint, cfg.Pipeline.Readers = store.URL, []string{"111122223333"}
			steps := 0
			cfg.Progress = func(Step) { steps++ }
			if err := Run(t.Context(), cfg, func(context.Context, *Server) error { return nil }); err != nil {
				t.Fatalf("Run: %v", err)
			}
			if steps != 4 || !strings.Contains(s.policy, "111122223333") {
				t.Errorf("%d steps done, policy %q; want 4 steps and a policy with the reader", steps, s.policy)
			}
		})
	}
}

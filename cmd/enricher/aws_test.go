package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// fakeAWS serves API Gateway with usage plans and keys, and S3 with conditional puts.
type fakeAWS struct {
	*httptest.Server
	plans, keys int // number of plans, and of keys in each
	calls       atomic.Int64
	broken      atomic.Bool

	mu      sync.Mutex // guards extra, objects
	extra   []string   // ids of keys created later, in the first plan
	objects map[string][]byte
}

func newFakeAWS(t testing.TB, plans, keys int) *fakeAWS {
	f := &fakeAWS{plans: plans, keys: keys, objects: map[string][]byte{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /usageplans", f.getPlans)
	mux.HandleFunc("GET /usageplans/{plan}/keys", f.getKeys)
	mux.HandleFunc("GET /apikeys/{key}", f.getKey)
	mux.HandleFunc("GET /bucket/{key...}", f.getObject)
	mux.HandleFunc("PUT /bucket/{key...}", f.putObject)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		if f.broken.Load() {
			http.Error(w, `{"message":"no"}`, http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func planID(i int) string { return fmt.Sprintf("plan%02d", i) }

func (f *fakeAWS) getPlans(w http.ResponseWriter, r *http.Request) {
	var items []any
	n := f.plans
	if r.URL.Query().Get("keyId") != "" {
		n = 1
	}
	for i := range n {
		items = append(items, map[string]any{"id": planID(i), "name": fmt.Sprintf("Plan %d", i),
			"apiStages": []any{map[string]string{"apiId": "shop", "stage": "prod"}}})
	}
	answer(w, map[string]any{"item": items})
}

func (f *fakeAWS) getKeys(w http.ResponseWriter, r *http.Request) {
	var items []any
	for i := range f.keys {
		id := fmt.Sprintf("%s-key%04d", r.PathValue("plan"), i)
		items = append(items, map[string]string{"id": id, "type": "API_KEY", "value": "secret-" + id, "name": "Customer " + id})
	}
	answer(w, map[string]any{"item": items})
}

func (f *fakeAWS) getKey(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range f.extra {
		if id == r.PathValue("key") {
			answer(w, map[string]string{"id": id, "name": "Late " + id})
			return
		}
	}
	http.Error(w, `{"message":"Invalid API Key identifier specified"}`, http.StatusNotFound)
}

func (f *fakeAWS) getObject(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.objects[r.PathValue("key")]
	if !ok {
		http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", etag(data))
	_, _ = w.Write(data)
}

func (f *fakeAWS) putObject(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	old, exists := f.objects[r.PathValue("key")]
	if err != nil || r.Header.Get("If-None-Match") == "*" && exists || r.Header.Get("If-Match") != "" && (!exists || r.Header.Get("If-Match") != etag(old)) {
		http.Error(w, "<Error><Code>PreconditionFailed</Code></Error>", http.StatusPreconditionFailed)
		return
	}
	f.objects[r.PathValue("key")] = data
	w.Header().Set("ETag", etag(data))
}

func etag(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// environment returns the environment variables of a test's enricher.
func (f *fakeAWS) environment(more ...string) map[string]string {
	env := map[string]string{
		"STAGELOG_APIGATEWAY_ENDPOINT": f.URL, "STAGELOG_S3_ENDPOINT": f.URL,
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret",
	}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

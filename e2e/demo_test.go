package e2e

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// hostileEnv returns settings that point AWS clients to unreachable endpoints and missing files.
func hostileEnv(t *testing.T) []string {
	missing := filepath.Join(t.TempDir(), "missing")
	return []string{
		"AWS_CA_BUNDLE=" + missing, "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3=http://127.0.0.1:1",
		"AWS_PROFILE=stale", "AWS_DEFAULT_PROFILE=stale", "AWS_CONFIG_FILE=" + missing, "AWS_REGION=mars-north-1",
		"AWS_ACCESS_KEY_ID=AKIASTALE", "AWS_SECRET_ACCESS_KEY=stale", "AWS_SESSION_TOKEN=stale",
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1", "ALL_PROXY=http://127.0.0.1:1",
	}
}

func TestDemoDeliversEveryRequest(t *testing.T) {
	testenv.NeedPlain(t, testenv.E2E)
	stdout, stderr, code := runBinary(t, t.TempDir(), append(cleanEnv(), hostileEnv(t)...), "demo", "--for", "8s", "--json")
	if code != 0 {
		t.Fatalf("demo ended with %d\n%s", code, stderr)
	}
	var got struct {
		Requests         int64             `json:"requests"`
		RecordsAccepted  int64             `json:"records_accepted"`
		RecordsDelivered int64             `json:"records_delivered"`
		RecordsFailed    int64             `json:"records_failed"`
		Objects          []string          `json:"objects"`
		Customers        map[string]int64  `json:"customers"`
		Reader           map[string]string `json:"reader"`
		Endpoints        map[string]string `json:"endpoints"`
	}
	dec := json.NewDecoder(strings.NewReader(stdout))
	if err := dec.Decode(&got); err != nil || dec.More() {
		t.Fatalf("stdout is not exactly one JSON document (%v):\n%s", err, stdout)
	}
	if got.Requests < 100 || got.Requests != got.RecordsAccepted || got.RecordsDelivered+got.RecordsFailed != got.RecordsAccepted {
		t.Errorf("requests %d, accepted %d, delivered %d, failed %d: want requests = accepted = delivered + failed, and over 100",
			got.Requests, got.RecordsAccepted, got.RecordsDelivered, got.RecordsFailed)
	}
	if want := map[string]string{"list": "ok", "get": "ok", "put": "AccessDenied"}; !maps.Equal(got.Reader, want) {
		t.Errorf("reader = %v, want %v", got.Reader, want)
	}
	for _, name := range []string{"Acme Corp", "Globex", "Initech", "-"} {
		if got.Customers[name] == 0 {
			t.Errorf("customers = %v, want some records of %q", got.Customers, name)
		}
	}
	if len(got.Objects) < 2 || len(got.Endpoints) != 3 {
		t.Errorf("objects %v, endpoints %v: want at least two objects and three endpoints", got.Objects, got.Endpoints)
	}
	for n, step := range []string{"S3 Bucket for Access Logs", "Lambda Function for Log Enrichment", "Kinesis Firehose Delivery Stream", "access logging on the API Stage"} {
		if !strings.Contains(strings.ToLower(stderr), strings.ToLower(step)) {
			t.Errorf("stderr does not name the seed's step %d, %q:\n%s", n+1, step, stderr)
		}
	}
}

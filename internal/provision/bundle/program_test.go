package bundle

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/localaws/lambda/host"
	"github.com/stagelog/stagelog/internal/record"
	"github.com/stagelog/stagelog/internal/testenv"
)

// apiGateway starts an API with one usage plan and one key, and returns its URL.
func apiGateway(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, body := range map[string]string{
		"GET /usageplans":         `{"item":[{"id":"p1","name":"Gold","apiStages":[{"apiId":"shop","stage":"prod"}]}]}`,
		"GET /usageplans/p1/keys": `{"item":[{"id":"k1","type":"API_KEY","name":"Acme Corp","value":"never"}]}`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		})
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// TestZippedProgramEnriches runs the zip as Lambda does, and checks that it enriches a batch.
func TestZippedProgramEnriches(t *testing.T) {
	testenv.Need(t, testenv.Zip)
	arch := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	if runtime.GOOS != "linux" || arch == "" {
		t.Skip("the function runs only on Linux")
	}
	data, _, err := Zip(t.Context(), arch, Options{})
	if err != nil {
		t.Fatal(err)
	}
	code := filepath.Join(t.TempDir(), "code")
	if err := host.Unpack(data, code); err != nil {
		t.Fatal(err)
	}
	if err := host.Check(code, arch); err != nil {
		t.Fatal(err)
	}
	f, err := host.New(host.Config{
		Name: "enricher", ARN: "arn:aws:lambda:us-east-1:000000000000:function:enricher", Handler: "bootstrap", Region: "us-east-1",
		CodeDir: code, StateDir: t.TempDir(), Timeout: time.Minute, Credentials: host.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "secret"},
		Environment: map[string]string{"STAGELOG_APIGATEWAY_ENDPOINT": apiGateway(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	line := `{"requestId":"r1","key_id":"k1","api_id":"shop","stage":"prod","status":200}`
	outcomes, err := function.Call(t.Context(), f, function.CallInput{
		StreamARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-x", Region: "us-east-1",
		Records: []function.Record{{ID: "1", Data: []byte(line)}, {ID: "2", Data: []byte("not JSON")}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range outcomes {
		got = append(got, fmt.Sprintf("%v %s%s", o.Status == record.OK, o.Code, o.Data))
	}
	want := []string{
		"true " + line[:len(line)-1] + `,"usage_plan":"Gold","customer":"Acme Corp","usage_plan_id":"p1"}` + "\n",
		"false " + string(record.CodeProcessingFailed),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the program's outcomes (-want +got):\n%s", diff)
	}
}

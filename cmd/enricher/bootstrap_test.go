package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/localaws/lambda/host"
	"github.com/stagelog/stagelog/internal/record"
)

// maxZipBytes is the documented size limit of the function's zip.
const maxZipBytes = 8 << 20

var zipped = sync.OnceValues(buildZip)

// buildZip builds the function as it is deployed, and packs it.
func buildZip() ([]byte, error) {
	dir, err := os.MkdirTemp("", "enricher")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, function.BootstrapName)
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH, "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	program, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	var b bytes.Buffer
	err = function.Bundle(&b, program)
	return b.Bytes(), err
}

// unpacked returns the folder with the built function's code.
func unpacked(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the function is a Linux program")
	}
	z, err := zipped()
	if err != nil {
		t.Fatal(err)
	}
	if len(z) > maxZipBytes {
		t.Errorf("zip has %d bytes, limit is %d", len(z), maxZipBytes)
	}
	dir := filepath.Join(t.TempDir(), "code")
	if err := host.Unpack(z, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hosted runs the built function.
func hosted(t testing.TB, code string, env map[string]string) *host.Function {
	t.Helper()
	env = maps.Clone(env)
	credentials := host.Credentials{AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"]}
	f, err := host.New(host.Config{Name: "enricher", ARN: "arn:aws:lambda:us-east-1:000000000000:function:enricher", Handler: "bootstrap",
		Region: env["AWS_REGION"], CodeDir: code, StateDir: filepath.Join(t.TempDir(), "run"), Environment: env, Credentials: credentials,
		Timeout: 60e9, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestBuiltFunctionMatchesInProcess checks that enrichment in this process and in the Lambda function have the same results.
func TestBuiltFunctionMatchesInProcess(t *testing.T) {
	// The function must not see the environment of the machine.
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_PROFILE", "stale")
	t.Setenv("AWS_CA_BUNDLE", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("STAGELOG_PRESET", "nonsense")

	f := newFakeAWS(t, 3, 20)
	code := unpacked(t)
	records := []string{
		line("plan00-key0000"), line("plan02-key0019"), line("unknown"), line("-"), line("plan01-key0003") + "\n",
		line("plan00-key0001") + line("plan00-key0002"), `{"key_id":1.50,"x":"\u00e9\/"}`, `{"not":"json"`, ``, `[]`, "\xff\xfe",
		strings.NewReplacer(`{"`, "{“", `":"`, "”:“", `","`, "”,“", `"}`, "”}").Replace(line("plan01-key0001")), `{"customer":"kept","key_id":"plan00-key0000"}`,
		`{"api_id":"shop","key_id":"plan00-key0000","stage":"dev"}`, "{}", " " + line("plan01-key0009") + "\r\n\r\n",
	}
	for _, env := range [][]string{nil, {"STAGELOG_PRESET", "apiable"}, {"STAGELOG_API_KEY", "drop"}, {"STAGELOG_API_KEY", "hash", "STAGELOG_HASH_SALT", "pepper"}} {
		here, err := newEnricher(lookup(f.environment(env...)), discard())
		if err != nil {
			t.Fatal(err)
		}
		want := transform(t, function.InProcess(here.Invoke), records...)
		got := transform(t, hosted(t, code, f.environment(env...)), records...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %v (-in process +built function):\n%s", env, diff)
		}
		if !strings.Contains(want[0], "Customer plan00-key0000") || want[7] != string(record.CodeProcessingFailed) {
			t.Errorf("with %v: results %q, want a customer in the first and a failure in the eighth", env, want)
		}
	}
}

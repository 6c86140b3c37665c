package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// deploy, doctor and destroy work against the AWS endpoint of `up`: deploy creates the pipeline with
// the function's real zip, doctor finds its record enriched, requests are delivered, and destroy
// removes everything.
func TestDeployDoctorDestroyAgainstUp(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	for format, deliver := range map[string]string{"json": "{interval: 1s, size: 1MiB}", "parquet": "{interval: 1s, format: parquet}"} {
		t.Run(format, func(t *testing.T) { deployDoctorDestroy(t, deliver) })
	}
}

func deployDoctorDestroy(t *testing.T, deliver string) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	defer upstream.Close()
	dir := t.TempDir()
	key := keyValue("acme")
	write(t, dir, "stagelog.yaml", fmt.Sprintf(`name: acme
bucket: %s
readers: ["111122223333"]
deliver: %s
local:
  apis: [{id: shop, upstream: %q, stages: [prod]}]
  usage_plans:
    - {name: Gold, stages: [shop/prod], customers: [{name: Acme Corp, key: %s}]}
`, deployBucket, deliver, upstream.URL, key))
	u := startUp(t, dir, cleanEnv(), "--apis-only")
	env := append(u.clientEnv("stagelog"), "AWS_ENDPOINT_URL="+u.Endpoints.AWS)

	if out, stderr, code := runBinary(t, dir, env, "plan"); code != 2 {
		t.Fatalf("plan ended with %d, want 2\n%s\n%s", code, out, stderr)
	}
	if _, stderr, code := runBinary(t, dir, env, "deploy", "--yes"); code != 0 {
		t.Fatalf("deploy ended with %d\n%s", code, stderr)
	}
	if out, stderr, code := runBinary(t, dir, env, "plan"); code != 0 {
		t.Errorf("after a deploy plan ended with %d, want 0\n%s\n%s", code, out, stderr)
	}
	checkDoctor(t, dir, env)

	for range 5 {
		if status := u.call(t, "/shop/prod/orders", key); status != http.StatusOK {
			t.Fatalf("status %d from the stage, want 200", status)
		}
	}
	eventually(t, "five requests are in the bucket, attributed", func() bool {
		stdout, stderr, code := runBinary(t, dir, env, "query", "SELECT count(*) AS n FROM requests WHERE customer = 'Acme Corp' AND usage_plan = 'Gold'", "--csv")
		if code != 0 {
			t.Fatalf("query ended with %d\n%s", code, stderr)
		}
		return stdout == "n\n5\n"
	})
	reader := sdk(t, u, "reader-111122223333")
	if len(reader.keys(deployBucket, "logs/")) == 0 {
		t.Error("the reader lists no objects")
	}

	if _, stderr, code := runBinary(t, dir, env, "destroy", "--yes", "--delete-bucket", "--no-drain"); code != 0 {
		t.Fatalf("destroy ended with %d\n%s", code, stderr)
	}
	if out, stderr, code := runBinary(t, dir, env, "plan", "--json"); code != 2 || strings.Contains(out, `"no-op"`) {
		t.Errorf("plan after destroy: %d, want 2 and no existing resources\n%s\n%s", code, out, stderr)
	}
}

// checkDoctor runs doctor and fails unless all checks pass and the record is delivered enriched.
func checkDoctor(t *testing.T, dir string, env []string) {
	t.Helper()
	stdout, stderr, code := runBinary(t, dir, env, "doctor", "--json")
	var report struct {
		Failed int
		Checks []struct{ Name, Status, Found, Cause string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("doctor --json ended with %d: %v\n%s\n%s", code, err, stdout, stderr)
	}
	record := false
	for _, c := range report.Checks {
		if c.Status == "failed" {
			t.Errorf("doctor: %s failed: %s, %s", c.Name, c.Found, c.Cause)
		}
		record = record || strings.HasPrefix(c.Name, "record") && c.Status == "ok"
	}
	if code != 0 || !record {
		t.Errorf("doctor ended with %d; record enriched: %v\n%s", code, record, stdout)
	}
}

// doctor passes on the pipeline that `up` creates from stagelog.yaml, also after a restart, and plan finds only the function's
// code to change.
func TestDoctorPassesOnUp(t *testing.T) {
	for format, deliver := range map[string]string{"json": "{interval: 1s, size: 1MiB}", "parquet": "{interval: 1s, format: parquet}"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "stagelog.yaml", fmt.Sprintf(`name: acme
bucket: %s
readers: ["111122223333"]
deliver: %s
local:
  apis: [{id: shop, upstream: "http://127.0.0.1:9", stages: [prod]}]
  usage_plans:
    - {name: Gold, stages: [shop/prod], customers: [{name: Acme Corp, key: %s}]}
`, deployBucket, deliver, keyValue("acme")))
			for range 2 {
				u := startUp(t, dir, cleanEnv())
				env := u.clientEnv("stagelog") // the profile names the endpoint
				checkDoctor(t, dir, env)
				out, stderr, code := runBinary(t, dir, env, "doctor", "--no-record", "--json")
				for _, bad := range []string{`"failed"`, `"warning"`} {
					if code != 0 || strings.Contains(out, `"status": `+bad) {
						t.Errorf("doctor ended with %d, want 0 and no %s\n%s\n%s", code, bad, out, stderr)
					}
				}
				out, stderr, code = runBinary(t, dir, env, "plan", "--json")
				var plan struct {
					Steps []struct{ Kind, Action string }
				}
				if err := json.Unmarshal([]byte(out), &plan); err != nil {
					t.Fatalf("plan --json ended with %d: %v\n%s\n%s", code, err, out, stderr)
				}
				for _, s := range plan.Steps {
					if want := map[bool]string{false: "no-op", true: "change"}[s.Kind == "Lambda function"]; s.Action != want {
						t.Errorf("plan would %s the %s, want %s\n%s", s.Action, s.Kind, want, out)
					}
				}
				if err := u.stop(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

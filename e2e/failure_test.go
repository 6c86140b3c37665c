package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// Errors name the cause and the next step, and exit with the documented code.
func TestErrorsNameNextStep(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := []string{"--listen-aws", "127.0.0.1:0", "--listen-stages", "127.0.0.1:0", "--listen-console", "127.0.0.1:0"}
	tests := []struct {
		name  string
		setup func(t *testing.T, dir string)
		args  []string
		code  int
		want  []string
	}{
		{"no stagelog.yaml", nil, []string{"up"}, 1, []string{"stagelog.yaml", "stagelog init", "--bare"}},
		{"unknown flag", nil, []string{"up", "--colour"}, 3, []string{"--colour", "stagelog up --help"}},
		{"unknown command", nil, []string{"upp"}, 3, []string{"upp", "did you mean up?"}},
		{"wrong environment", nil, []string{"demo", "--for", "soon"}, 3, []string{"soon"}},
		{"port taken", nil, []string{"up", "--bare", "--listen-aws", taken.Addr().String()}, 1, []string{taken.Addr().String(), "in use", "--listen-aws"}},
		{"not an address of this machine", nil, []string{"up", "--bare", "--listen-aws", "192.0.2.1:4580"}, 1, []string{"192.0.2.1:4580", "--listen-aws"}},
		{"folder is a file", func(t *testing.T, dir string) { write(t, dir, ".stagelog", "") }, append([]string{"up", "--bare"}, free...), 1, []string{".stagelog"}},
		{"read-only disk", func(t *testing.T, dir string) {
			mountReadOnly(t, dir)
		}, append([]string{"up", "--bare"}, free...), 1, []string{".stagelog", "read-only", "--dir"}},
		{"data of a newer version", func(t *testing.T, dir string) {
			u := startUp(t, dir, cleanEnv(), "--bare")
			if err := u.stop(syscall.SIGINT); err != nil {
				t.Fatalf("up ended with %v", err)
			}
			setVersion(t, filepath.Join(dir, ".stagelog"), "999\n")
		}, append([]string{"up", "--bare"}, free...), 1, []string{"999", "newer"}},
		{"format has errors", func(t *testing.T, dir string) { write(t, dir, "f", curlyFormat) }, []string{"format", "lint", "f"}, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.setup != nil {
				tt.setup(t, dir)
			}
			stdout, stderr, code := runBinary(t, dir, cleanEnv(), tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, tt.code, stdout, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr does not contain %q:\n%s", want, stderr)
				}
			}
		})
	}
}

func TestConfigProblemsReportedWithLines(t *testing.T) {
	testenv.NeedPlain(t, testenv.E2E)
	dir := t.TempDir()
	write(t, dir, "stagelog.yaml", `name: Acme!
bucket: Acme_Logs
readers: [12345]
fromat: classic
api_key: maks
deliver: {interval: 1h, size: 5GiB}
local:
  apis:
    - {id: shop, upstream: "ftp://example.com", stages: [prod]}
`)
	_, stderr, code := runBinary(t, dir, cleanEnv(), "up")
	if code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
	for _, at := range []string{":1:", ":2:", ":3:", ":4:", ":5:", ":6:", ":9:"} {
		if !strings.Contains(stderr, "stagelog.yaml"+at) {
			t.Errorf("no problem is reported for stagelog.yaml%s\n%s", at, stderr)
		}
	}
	if n := strings.Count(stderr, "stagelog.yaml:"); n != 8 {
		t.Errorf("%d problems reported, want 8:\n%s", n, stderr)
	}
	if !strings.Contains(stderr, "format") || !strings.Contains(stderr, "mask") {
		t.Errorf("the nearest valid names, format and mask, are not suggested:\n%s", stderr)
	}
}

func TestLintFixRepairsSeedFormat(t *testing.T) {
	testenv.NeedPlain(t, testenv.E2E)
	dir := t.TempDir()
	write(t, dir, "f", curlyFormat)
	stdout, stderr, _ := runBinary(t, dir, cleanEnv(), "format", "lint", "--fix", "f")
	if strings.ContainsAny(stdout, "“”") || !strings.HasSuffix(stdout, "}\n") {
		t.Errorf("the fixed format still has curly quotes or no newline: %s", stdout)
	}
	if !strings.Contains(stderr, "quote") {
		t.Errorf("stderr does not mention the curly quotes:\n%s", stderr)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// setVersion overwrites the VERSION file of the data folder.
func setVersion(t *testing.T, state, version string) {
	t.Helper()
	found := false
	err := filepath.WalkDir(state, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "VERSION" {
			found = true
			err = os.WriteFile(path, []byte(version), 0o600)
		}
		return err
	})
	if err != nil || !found {
		t.Fatalf("no VERSION below %s (%v)", state, err)
	}
}

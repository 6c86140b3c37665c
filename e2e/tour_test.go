package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// The commands that init and up suggest work one after the other, without flags and without an API of one's own.
func TestSuggestedCommandsWork(t *testing.T) {
	testenv.Need(t, testenv.E2E)
	testenv.NeedTool(t, "curl", "curl", "--version")
	testenv.NeedTool(t, "the AWS CLI", "aws", "--version")
	dir := t.TempDir()
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "env"); code != 1 || !strings.Contains(stderr, "run `stagelog up` in this folder first") {
		t.Errorf("env before the first start ended with %d\n%s", code, stderr)
	}
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "init", "--local"); code != 0 {
		t.Fatalf("init ended with %d\n%s", code, stderr)
	}
	if _, stderr, code := runBinary(t, dir, cleanEnv(), "doctor"); code != 1 || !strings.Contains(stderr, "no pipeline runs in this folder") {
		t.Errorf("doctor before the first start ended with %d\n%s", code, stderr)
	}
	u := startUp(t, dir, cleanEnv())
	if len(u.next) != 5 || !strings.HasPrefix(u.next[0], "curl ") {
		t.Fatalf("up suggests %q, want 5 commands, the first with curl", u.next)
	}
	script := func(commands ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.Join(commands, "\n"))
		cmd.Dir, cmd.Env = dir, cleanEnv("AWS_PAGER=", "PATH="+filepath.Dir(bin.stagelog)+":"+pathOf(cleanEnv()))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", commands, err, out)
		}
		return string(out)
	}
	if out := script(u.next[0] + " --silent --fail"); !strings.Contains(out, "OK") {
		t.Errorf("%s printed %s", u.next[0], out)
	}
	if out := script("stagelog doctor --timeout 1m"); !strings.Contains(out, "The pipeline works.") { // waits for an object
		t.Errorf("doctor in the folder of up printed:\n%s", out)
	}
	if out := script(u.next[1:]...); strings.Count(out, "logs/20") < 2 || !strings.Contains(out, "The pipeline works.") {
		t.Errorf("the suggested commands printed:\n%s", out)
	}
	if out := script("stagelog report --json"); !strings.Contains(out, "Acme Corp") {
		t.Errorf("report printed:\n%s", out)
	}
}

// pathOf returns PATH in an environment.
func pathOf(env []string) string {
	for _, setting := range env {
		if path, ok := strings.CutPrefix(setting, "PATH="); ok {
			return path
		}
	}
	return ""
}

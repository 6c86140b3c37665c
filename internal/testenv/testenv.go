// Package testenv decides which slow tests run, skips those whose programs are missing, and keeps
// the programs that tests start away from the user's home. Only tests import it.
package testenv

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The levels of slow tests. Each is a target of the Makefile.
const (
	E2E     = "e2e"     // the real binary, all of it
	Interop = "interop" // the AWS CLI, boto3, moto, cfn-lint and Terraform as the other side
	Browser = "browser" // the console in chromium
	Cluster = "cluster" // several processes on a NATS cluster
	Kill    = "kill"    // long runs of kills
	Zip     = "zip"     // builds of the function's zip and of releases
)

// Variable is the environment variable with the levels to run, separated by commas; "all" is every level.
const Variable = "STAGELOG_TEST"

// Asked reports whether a level is to run.
func Asked(level string) bool {
	asked := strings.Split(os.Getenv(Variable), ",")
	return slices.Contains(asked, level) || slices.Contains(asked, "all")
}

// Need skips a test unless its level is to run.
func Need(t testing.TB, level string) {
	t.Helper()
	if !Asked(level) {
		t.Skip("SKIPPED: run with make " + level)
	}
}

// NeedPlain skips a test where only levels are to run that it does not belong to: it is part of a
// plain `go test` and of its level, which other levels need not repeat.
func NeedPlain(t testing.TB, level string) {
	t.Helper()
	if os.Getenv(Variable) != "" && !Asked(level) {
		t.Skip("SKIPPED: run with make test or make " + level)
	}
}

// NeedTool skips a test, loudly, unless a program that it needs runs.
func NeedTool(t testing.TB, name string, probe ...string) {
	t.Helper()
	if err := exec.Command(probe[0], probe[1:]...).Run(); err != nil {
		t.Skipf("SKIPPED: this machine has no %s, nothing was tested with it (%s: %v)", name, strings.Join(probe, " "), err)
	}
}

// Chromium returns the path of a chromium, or skips a test, loudly, where there is none.
func Chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: this machine has no chromium, nothing was tested in a browser: apt-get install -y chromium")
	return ""
}

// Environ returns this process's environment for a program that a test starts: without settings of AWS's clients
// and of stagelog, with home as its home directory, then extra.
func Environ(home string, extra ...string) []string {
	var env []string
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "STAGELOG_") && !strings.HasPrefix(name, "XDG_") {
			env = append(env, setting)
		}
	}
	return slices.Concat(env, below(home), toolchains(), extra)
}

// Isolate does the same to this process until the test ends.
func Isolate(t testing.TB) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	for _, setting := range slices.Concat(below(t.TempDir()), toolchains()) {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
}

// below returns settings that place a user's files below home. The files of AWS's clients need not exist there.
func below(home string) []string {
	return []string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"), "XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"XDG_DATA_HOME=" + filepath.Join(home, ".local", "share"), "XDG_STATE_HOME=" + filepath.Join(home, ".local", "state"), "XDG_RUNTIME_DIR=" + home,
		"AWS_CONFIG_FILE=" + filepath.Join(home, ".aws", "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(home, ".aws", "credentials"),
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// toolchains returns the places of Go's caches and Python's packages, which are below the real home by default.
var toolchains = sync.OnceValue(func() []string {
	var env []string
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if values := strings.Split(strings.TrimSpace(string(out)), "\n"); err == nil && len(values) == len(names) {
		for i, name := range names {
			env = append(env, name+"="+values[i])
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return env
	}
	for name, place := range map[string]string{"PYENV_ROOT": filepath.Join(home, ".pyenv"), "PYTHONUSERBASE": filepath.Join(home, ".local")} {
		if _, err := os.Stat(place); os.Getenv(name) == "" && !errors.Is(err, os.ErrNotExist) {
			env = append(env, name+"="+place)
		}
	}
	return env
})

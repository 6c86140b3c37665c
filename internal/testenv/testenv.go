// Package testenv selects the slow tests to run, skips tests whose programs are not installed, and
// isolates programs that tests start from the user's home. Only tests import it.
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

// Levels of slow tests. Each is a target of the Makefile.
const (
	E2E     = "e2e"     // the real binary
	Interop = "interop" // with the AWS CLI, boto3, moto, cfn-lint, Terraform and npm
	Browser = "browser" // the console in Chromium
	Cluster = "cluster" // several processes on a NATS cluster
	Kill    = "kill"    // long runs of kills
	Zip     = "zip"     // builds of the function's zip and of releases
)

// Variable is the environment variable with the levels to run, separated by commas; "all" is every level.
const Variable = "STAGELOG_TEST"

// Asked reports whether Variable selects a level.
func Asked(level string) bool {
	asked := strings.Split(os.Getenv(Variable), ",")
	return slices.Contains(asked, level) || slices.Contains(asked, "all")
}

// Need skips a test unless its level is selected.
func Need(t testing.TB, level string) {
	t.Helper()
	if !Asked(level) {
		t.Skip("SKIPPED: run with make " + level)
	}
}

// NeedPlain skips a test if only other levels are selected. The test runs in a plain `go test` and in
// its level.
func NeedPlain(t testing.TB, level string) {
	t.Helper()
	if os.Getenv(Variable) != "" && !Asked(level) {
		t.Skip("SKIPPED: run with make test or make " + level)
	}
}

// NeedTool skips a test unless the probe command of a tool succeeds.
func NeedTool(t testing.TB, name string, probe ...string) {
	t.Helper()
	if err := exec.Command(probe[0], probe[1:]...).Run(); err != nil {
		t.Skipf("SKIPPED: %s is not available (%s: %v)", name, strings.Join(probe, " "), err)
	}
}

// Chromium returns the path of Chromium. It skips the test if it is not installed.
func Chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: Chromium is not installed; apt-get install -y chromium")
	return ""
}

// Environ returns this process's environment for a program that a test starts, without settings of AWS clients and
// stagelog, with home as its home directory, and with extra appended.
func Environ(home string, extra ...string) []string {
	var env []string
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "STAGELOG_") && !strings.HasPrefix(name, "XDG_") {
			env = append(env, setting)
		}
	}
	return slices.Concat(env, below(home), toolchains(), extra)
}

// Isolate changes the environment of this process in the same way until the test ends.
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

// below returns settings that place a user's files below home. AWS's files need not exist there.
func below(home string) []string {
	return []string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"), "XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"XDG_DATA_HOME=" + filepath.Join(home, ".local", "share"), "XDG_STATE_HOME=" + filepath.Join(home, ".local", "state"), "XDG_RUNTIME_DIR=" + home,
		"AWS_CONFIG_FILE=" + filepath.Join(home, ".aws", "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(home, ".aws", "credentials"),
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// toolchains returns settings for Go's caches and Python's packages, which are below the real home by default.
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

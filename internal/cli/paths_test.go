package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The embedded S3 server changes the working directory of the process.
func TestBenchResolvesRelativePaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"tmp", "out"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", "tmp")
	var stderr bytes.Buffer
	code := Run(t.Context(), Process{
		Args:   []string{"bench", "--for", "50ms", "--clients", "1", "--batch", "1", "--keys", "1", "--cpuprofile", "out/cpu", "--dir", "state"},
		Getenv: func(string) string { return "" }, Stdin: &bytes.Buffer{}, Stdout: io.Discard, Stderr: &stderr,
	})
	if code != exitOK {
		t.Fatalf("bench: exit code %d: %s", code, &stderr)
	}
	if text := stderr.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("bench logs a problem:\n%s", text)
	}
	for _, path := range []string{"out/cpu", "state/bucket"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Errorf("bench with relative paths: %v", err)
		}
	}
}

//go:build cgo

package lake_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// holdEnv makes the test binary a process that keeps the named lake open until its stdin is closed.
const holdEnv = "STAGELOG_LAKE_TEST_HOLD"

// Open waits up to Options.Wait for a lake that another process has open.
func TestOpenWaitsForAnotherProcess(t *testing.T) {
	if path := os.Getenv(holdEnv); path != "" {
		open(t, path)
		if _, err := io.WriteString(os.Stdout, "open\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(os.Stdin); err != nil {
			t.Fatal(err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "clock", "lake.duckdb") // the name contains "lock"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenWaitsForAnotherProcess$")
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); line != "open\n" {
		t.Fatalf("the other process printed %q (%v)", line, err)
	}
	busy := func(what string, opts lake.Options, wantWaits int) {
		t.Helper()
		waits := 0
		opts.Waiting = func() { waits++ }
		if _, err := lake.Open(t.Context(), path, opts); err == nil || !strings.Contains(err.Error(), path+" is in use by another process") {
			t.Errorf("%s = %v", what, err)
		}
		if waits != wantWaits {
			t.Errorf("%s called Waiting %d times, want %d", what, waits, wantWaits)
		}
	}
	busy("Open without Wait", lake.Options{}, 0)
	busy("Open read-only", lake.Options{ReadOnly: true}, 0)
	busy("Open with a short Wait", lake.Options{Wait: 300 * time.Millisecond}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lake.Open(ctx, path, lake.Options{Wait: time.Hour, Waiting: cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open, canceled while waiting = %v", err)
	}
	l, err := lake.Open(t.Context(), path, lake.Options{Wait: time.Hour, Waiting: func() {
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
}

// Open does not wait if opening fails for another reason.
func TestOpenDoesNotWaitForOtherErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "Could not set lock on file")
	if err := writeFile(path, strings.Repeat("this is not a database, ", 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := lake.Open(t.Context(), path, lake.Options{Wait: time.Hour, Waiting: func() { t.Error("Waiting was called") }}); err == nil || strings.Contains(err.Error(), "in use") {
		t.Errorf("Open of another file = %v", err)
	}
}

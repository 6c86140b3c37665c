//go:build cgo && (linux || darwin)

package lake_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/lake"
)

// openElsewhere opens a lake in another process and returns the error.
func openElsewhere(t *testing.T, path string, readOnly bool) error {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestOpenForAnotherProcess$")
	cmd.Env = append(os.Environ(), "LAKE_PATH="+path)
	if readOnly {
		cmd.Env = append(cmd.Env, "LAKE_READ_ONLY=1")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}

func TestOpenForAnotherProcess(t *testing.T) {
	path := os.Getenv("LAKE_PATH")
	if path == "" {
		t.Skip("other tests start this one")
	}
	l, err := lake.Open(t.Context(), path, lake.Options{ReadOnly: os.Getenv("LAKE_READ_ONLY") != ""})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := l.DB().QueryRow("SELECT count(*) FROM requests").Scan(&n); err != nil || n != 1 {
		t.Errorf("got %d requests, %v; want 1", n, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// A shared lake can be read by another process, with what has been written so far, but not written.
func TestShareAllowsOtherReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lake.duckdb")
	l, err := lake.Open(t.Context(), path, lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	src := &bucket{name: "b", bodies: map[string][]byte{"logs/1": []byte(`{"request_id":"1","status":"200"}`)}}
	importAll(t, l, src, lake.ImportOptions{})
	if err := openElsewhere(t, path, true); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a reader before Share: got %v, want a refusal", err)
	}
	err = l.Share(t.Context(), func(shared string) error {
		if err := openElsewhere(t, path, false); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a writer during Share: got %v, want a refusal", err)
		}
		return openElsewhere(t, shared, true)
	})
	if err != nil {
		t.Errorf("a reader during Share: %v", err)
	}
	src.bodies["logs/2"] = []byte(`{"request_id":"2","status":"200"}`)
	if sum := importAll(t, l, src, lake.ImportOptions{}); sum.Rows != 1 {
		t.Errorf("import after Share: got %d rows, want 1", sum.Rows)
	}
	if err := openElsewhere(t, path, true); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a reader after the import: got %v, want a refusal", err)
	}
}

// An import waits until a shared lake is not used, and Share waits for the import.
func TestShareExcludesImports(t *testing.T) {
	l, err := lake.Open(t.Context(), filepath.Join(t.TempDir(), "lake.duckdb"), lake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = l.Share(t.Context(), func(string) error {
		soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := l.Import(soon, &bucket{name: "b"}, lake.ImportOptions{})
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("import during Share: got %v, want the end of its context", err)
	}
	if _, err := l.Import(t.Context(), &bucket{name: "b"}, lake.ImportOptions{}); err != nil {
		t.Errorf("import after Share: %v", err)
	}
}

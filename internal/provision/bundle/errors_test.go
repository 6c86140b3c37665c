package bundle

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// fakeGo puts a go command in PATH that runs the shell script for everything but `go env`.
func fakeGo(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go"), "#!/bin/sh\nif [ \"$1\" = env ]; then echo '{}'; exit; fi\n"+script+"\n")
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestZipErrors(t *testing.T) {
	tests := []struct {
		name, arch string
		setUp      func(t *testing.T) Options
		cannot     bool // wraps ErrCannotBuild
		want       []string
	}{
		{"unknown architecture", "riscv", func(*testing.T) Options { return Options{} }, false, []string{`"riscv"`, "arm64 and x86_64"}},
		{"directory without the source", "arm64", func(t *testing.T) Options { return Options{Dir: t.TempDir()} }, true, []string{"is not the directory of stagelog's source"}},
		{"no go command", "arm64", func(t *testing.T) Options {
			t.Setenv("PATH", t.TempDir())
			return Options{}
		}, true, []string{"https://go.dev/dl", "a release of stagelog", "--function-zip"}},
		{"Go too old", "arm64", func(t *testing.T) Options {
			fakeGo(t, `echo "go: go.mod requires go >= 1.26.0 (running go 1.21.0; GOTOOLCHAIN=local)" >&2; exit 1`)
			return Options{}
		}, true, []string{"go build in ", "a release of stagelog", "--function-zip", "requires go >= 1.26.0"}},
		{"go command that writes nothing", "arm64", func(t *testing.T) Options {
			fakeGo(t, `exit 0`)
			return Options{}
		}, false, []string{"bootstrap: no such file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			_, _, err := Zip(t.Context(), tt.arch, tt.setUp(t))
			if err == nil || errors.Is(err, ErrCannotBuild) != tt.cannot {
				t.Fatalf("Zip: %v, want ErrCannotBuild: %v", err, tt.cannot)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Zip: %v, want an error with %q", err, want)
				}
			}
			checkNoTempFiles(t)
		})
	}
}

// checkNoTempFiles checks that the directory for temporary files, which the test must have set, is empty.
func checkNoTempFiles(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v (%v)", left, err)
	}
}

func TestZipReportsCompilerErrors(t *testing.T) {
	testenv.Need(t, testenv.Zip)
	broken := copied(t)
	write(t, filepath.Join(broken, "cmd/enricher/broken.go"), "package main\nfunc {")
	if _, _, err := Zip(t.Context(), "arm64", Options{Dir: broken}); err == nil || !strings.Contains(err.Error(), "broken.go:2") {
		t.Errorf("source that does not compile: %v, want the compiler's message", err)
	}
}

func TestCanceledBuildLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Zip(ended, "arm64", Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before the start: %v, want context.Canceled", err)
	}
	checkNoTempFiles(t)

	// The compiler, a child of the go command, keeps the pipe open until it ends.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	fakeGo(t, `touch "$GOTMPDIR/half"; (exec >'`+pipe+`'; echo compiling; sleep 600) & wait`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, _, err := Zip(ctx, "arm64", Options{})
		done <- err
	}()
	f, err := os.Open(pipe) // waits for the compiler
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if line, err := r.ReadString('\n'); line != "compiling\n" {
		t.Fatalf("the compiler wrote %q (%v)", line, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("canceled while the compiler ran: %v, want context.Canceled", err)
	}
	if _, err := r.ReadByte(); err == nil { // waits for the compiler's end
		t.Error("the compiler is still running")
	}
	checkNoTempFiles(t)
}

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
	"time"
)

// fakeGo has the shell's script stand for all that the go command does but `go env`.
func fakeGo(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go"), "#!/bin/sh\nif [ \"$1\" = env ]; then echo '{}'; exit; fi\n"+script+"\n")
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestAZipThatCannotBeBuiltSaysWhatToDo(t *testing.T) {
	tests := []struct {
		name, arch string
		setUp      func(t *testing.T) Options
		cannot     bool // wraps ErrCannotBuild
		want       []string
	}{
		{"an unknown architecture", "riscv", func(*testing.T) Options { return Options{} }, false, []string{`"riscv"`, "arm64 and x86_64"}},
		{"a folder without the source", "arm64", func(t *testing.T) Options { return Options{Dir: t.TempDir()} }, true, []string{"does not hold stagelog's source"}},
		{"no go command", "arm64", func(t *testing.T) Options {
			t.Setenv("PATH", t.TempDir())
			return Options{}
		}, true, []string{"https://go.dev/dl", "a release of stagelog", "--function-zip"}},
		{"a Go that is too old", "arm64", func(t *testing.T) Options {
			fakeGo(t, `echo "go: go.mod requires go >= 1.26.0 (running go 1.21.0; GOTOOLCHAIN=local)" >&2; exit 1`)
			return Options{}
		}, true, []string{"go build in ", "a release of stagelog", "--function-zip", "requires go >= 1.26.0"}},
		{"a go command that does nothing", "arm64", func(t *testing.T) Options {
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
					t.Errorf("Zip: %v, want it to say %q", err, want)
				}
			}
			nothingLeft(t)
		})
	}
}

// nothingLeft looks into the folder for temporary files, which must be the test's own.
func nothingLeft(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder for temporary files: %v (%v)", left, err)
	}
}

func TestTheCompilersWordsAreShown(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	broken := copied(t)
	write(t, filepath.Join(broken, "cmd/enricher/broken.go"), "package main\nfunc {")
	if _, _, err := Zip(t.Context(), "arm64", Options{Dir: broken}); err == nil || !strings.Contains(err.Error(), "broken.go:2") {
		t.Errorf("a source that does not compile: %v, want the compiler's words", err)
	}
}

func TestABuildThatIsGivenUpLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Zip(ended, "arm64", Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("before it began: %v, want context.Canceled", err)
	}
	nothingLeft(t)

	// The compiler, which the go command runs, holds the pipe open for as long as it lives.
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
		t.Fatalf("the compiler said %q (%v)", line, err)
	}
	begin := time.Now()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("while it ran: %v, want context.Canceled", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("giving up took %v", took)
	}
	if _, err := r.ReadByte(); err == nil { // waits for the compiler's end
		t.Error("the compiler went on")
	}
	nothingLeft(t)
}

package release

import (
	"archive/zip"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func unpacked(t *testing.T, data []byte) (name string, program []byte) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Mode().Perm() != 0o755 {
		t.Fatalf("the zip has %d files, the first %v", len(z.File), z.File[0].Mode())
	}
	f, err := z.File[0].Open()
	if err == nil {
		program, err = io.ReadAll(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return z.File[0].Name, program
}

// copied is a copy of what the function is built from.
func copied(t *testing.T) string {
	t.Helper()
	dir, from := t.TempDir(), builtFrom()
	for _, part := range []string{"cmd/enricher", "internal"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(from, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(from, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheZipIsTheSameWhereverItIsBuilt(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the function four times")
	}
	other := copied(t)
	for arch, machine := range map[string]elf.Machine{"arm64": elf.EM_AARCH64, "x86_64": elf.EM_X86_64} {
		here, how, err := Zip(t.Context(), arch, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(how, "built from ") {
			t.Errorf("%s: how it was come by: %q", arch, how)
		}
		t.Setenv("GOFLAGS", "-race -tags=other")
		t.Setenv("GOAMD64", "v3")
		t.Setenv("GOOS", "windows")
		t.Setenv("TZ", "Asia/Tokyo")
		there, _, err := Zip(t.Context(), arch, Options{Dir: other})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(here, there) {
			t.Errorf("%s: two builds differ: %d bytes and %d bytes", arch, len(here), len(there))
		}
		name, program := unpacked(t, here)
		file, err := elf.NewFile(bytes.NewReader(program))
		if err != nil || name != "bootstrap" {
			t.Fatalf("%s: the zip holds %s (%v)", arch, name, err)
		}
		if libraries, err := file.ImportedLibraries(); file.Machine != machine || len(libraries) > 0 || err != nil {
			t.Errorf("%s: the program is for %v and needs %v (%v), want it static", arch, file.Machine, libraries, err)
		}
		if bytes.Contains(program, []byte(other)) || bytes.Contains(program, []byte(filepath.Clean(builtFrom()))) {
			t.Errorf("%s: the program names the folder that it was built in", arch)
		}
	}
}

func TestAZipThatCannotBeBuilt(t *testing.T) {
	if _, _, err := Zip(t.Context(), "riscv", Options{}); err == nil || !strings.Contains(err.Error(), "arm64 and x86_64") {
		t.Errorf("an unknown architecture: %v", err)
	}
	if _, _, err := Zip(t.Context(), "arm64", Options{Dir: t.TempDir()}); !errors.Is(err, ErrCannotBuild) {
		t.Errorf("a folder without the source: %v, want ErrCannotBuild", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Zip(ended, "arm64", Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a build that was given up: %v, want context.Canceled", err)
	}
	broken := copied(t)
	if err := os.WriteFile(filepath.Join(broken, "cmd/enricher/broken.go"), []byte("package main\nfunc {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Zip(t.Context(), "arm64", Options{Dir: broken}); err == nil || !strings.Contains(err.Error(), "broken.go:2") {
		t.Errorf("a source that does not compile: %v, want the compiler's words", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, _, err := Zip(t.Context(), "arm64", Options{}); !errors.Is(err, ErrCannotBuild) || !strings.Contains(err.Error(), "go.dev/dl") || !strings.Contains(err.Error(), "--function-zip") {
		t.Errorf("without a go command: %v, want what to do", err)
	}
}

func TestTheSourceIsFoundFromBelow(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "a", "b")
	if err := errors.Join(os.MkdirAll(below, 0o700), os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+module+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := above(below); got != dir {
		t.Errorf("above(%s) = %q, want %s", below, got, dir)
	}
	if got := above(t.TempDir()); got != "" {
		t.Errorf("above a folder without it = %q", got)
	}
}

package bundle

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

// maxBytes is the documented limit of the zip.
const maxBytes = 8 << 20

// unpacked returns the program in a zip, and fails the test if the zip contains anything else.
func unpacked(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Name != "bootstrap" || z.File[0].Mode() != 0o755 {
		t.Fatalf("the zip has %d files, the first %s %v, want only bootstrap with mode 0755", len(z.File), z.File[0].Name, z.File[0].Mode())
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	program, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// here returns the directory of the source.
func here(t *testing.T) string {
	t.Helper()
	dir := above(".")
	if dir == "" {
		t.Fatal("the test does not run in stagelog's source")
	}
	return dir
}

// copied copies the source of the function to a temporary directory and returns it.
func copied(t *testing.T) string {
	t.Helper()
	dir, from := t.TempDir(), here(t)
	for _, part := range []string{"cmd/enricher", "internal"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(from, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, file), string(data))
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// setOddEnvironment sets every user setting that could change the program.
func setOddEnvironment(t *testing.T) {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "env")
	write(t, settings, "GOFLAGS=-tags=other\nGOEXPERIMENT=nogreenteagc\nGOAMD64=v3\nGOARM64=v9.0\nGOFIPS140=latest\nCGO_ENABLED=1\n")
	for name, value := range map[string]string{
		"GOENV": settings, "GOFLAGS": "-race -ldflags=-linkmode=external", "GOOS": "windows", "GOARCH": "386", "GOAMD64": "v2", "GO111MODULE": "off",
		"GOWORK": filepath.Join(t.TempDir(), "go.work"), "CGO_ENABLED": "1", "GO_EXTLINK_ENABLED": "1", "GODEBUG": "panicnil=1",
		"TZ": "Asia/Tokyo", "LC_ALL": "tr_TR.UTF-8", "USER": "someone", "PWD": filepath.Join(t.TempDir(), "elsewhere"),
	} {
		t.Setenv(name, value)
	}
	old := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(old) })
}

func TestZipIsReproducible(t *testing.T) {
	testenv.Need(t, testenv.Zip)
	source, other := here(t), copied(t)
	first := map[string][]byte{}
	for arch, machine := range map[string]elf.Machine{"arm64": elf.EM_AARCH64, "x86_64": elf.EM_X86_64} {
		var progress []string
		data, origin, err := Zip(t.Context(), arch, Options{Progress: func(s string) { progress = append(progress, s) }})
		if err != nil {
			t.Fatal(err)
		}
		first[arch] = data
		program := unpacked(t, data)
		if len(data) > maxBytes {
			t.Errorf("%s: the zip has %d bytes, want at most %d", arch, len(data), maxBytes)
		}
		if !strings.HasPrefix(origin, "built from "+source+" with go1.") || len(progress) != 1 || !strings.Contains(progress[0], arch) {
			t.Errorf("%s: origin %q; progress %q", arch, origin, progress)
		}
		file, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, err := file.ImportedLibraries(); file.Machine != machine || file.Type != elf.ET_EXEC || len(libraries) > 0 || err != nil {
			t.Errorf("%s: the program is a %v for %v and needs %v (%v), want a static one", arch, file.Type, file.Machine, libraries, err)
		}
		if bytes.Contains(program, []byte(source)) {
			t.Errorf("%s: the program contains the directory of its source", arch)
		}
	}
	setOddEnvironment(t)
	for _, arch := range []string{"x86_64", "arm64"} {
		// An empty cache, as on another machine: results shared through the cache would prove nothing. One is enough.
		if arch == "arm64" {
			t.Setenv("GOCACHE", t.TempDir())
		}
		want := first[arch]
		got, _, err := Zip(t.Context(), arch, Options{Dir: other})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: two builds differ: %d bytes, and %d in another directory\n%v\n%v", arch, len(want), len(got), settings(t, want), settings(t, got))
		}
	}
}

// settings returns the build settings that the program of a zip records.
func settings(t *testing.T, data []byte) string {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(unpacked(t, data)))
	if err != nil {
		t.Fatal(err)
	}
	return info.String()
}

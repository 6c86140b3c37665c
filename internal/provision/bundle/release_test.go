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
)

// maxBytes is the promise for the zip.
const maxBytes = 8 << 20

// unpacked is the program in a zip, which must hold nothing else.
func unpacked(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Name != "bootstrap" || z.File[0].Mode() != 0o755 {
		t.Fatalf("the zip has %d files, the first %s %v, want bootstrap alone, for all to run", len(z.File), z.File[0].Name, z.File[0].Mode())
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

// here is the folder of the source.
func here(t *testing.T) string {
	t.Helper()
	dir := above(".")
	if dir == "" {
		t.Fatal("the tests do not run in stagelog's source")
	}
	return dir
}

// copied is a copy of what the function is built from, in a folder of its own.
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

// odd is a user whose every setting would make another program.
func odd(t *testing.T) {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "env")
	write(t, settings, "GOFLAGS=-tags=other\nGOEXPERIMENT=nogreenteagc\nGOAMD64=v3\nGOARM64=v9.0\nGOFIPS140=latest\nCGO_ENABLED=1\n")
	for name, value := range map[string]string{
		"GOENV": settings, "GOFLAGS": "-race -ldflags=-linkmode=external", "GOOS": "windows", "GOARCH": "386", "GOAMD64": "v2", "GO111MODULE": "off",
		"GOWORK": "/nowhere/go.work", "CGO_ENABLED": "1", "GO_EXTLINK_ENABLED": "1", "GODEBUG": "panicnil=1",
		"TZ": "Asia/Tokyo", "LC_ALL": "tr_TR.UTF-8", "USER": "someone", "PWD": "/nowhere",
	} {
		t.Setenv(name, value)
	}
	old := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(old) })
}

func TestTheZipIsTheSameWhereverItIsBuilt(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the function four times")
	}
	source, other := here(t), copied(t)
	first := map[string][]byte{}
	for arch, machine := range map[string]elf.Machine{"arm64": elf.EM_AARCH64, "x86_64": elf.EM_X86_64} {
		var told []string
		data, how, err := Zip(t.Context(), arch, Options{Progress: func(s string) { told = append(told, s) }})
		if err != nil {
			t.Fatal(err)
		}
		first[arch] = data
		program := unpacked(t, data)
		if len(data) > maxBytes {
			t.Errorf("%s: the zip has %d bytes, the promise is %d", arch, len(data), maxBytes)
		}
		if !strings.HasPrefix(how, "built from "+source+" with go1.") || len(told) != 1 || !strings.Contains(told[0], arch) {
			t.Errorf("%s: how it was come by: %q; told: %q", arch, how, told)
		}
		file, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, err := file.ImportedLibraries(); file.Machine != machine || file.Type != elf.ET_EXEC || len(libraries) > 0 || err != nil {
			t.Errorf("%s: the program is a %v for %v and needs %v (%v), want it static", arch, file.Type, file.Machine, libraries, err)
		}
		if bytes.Contains(program, []byte(source)) {
			t.Errorf("%s: the program names the folder that it was built in", arch)
		}
	}
	odd(t)
	for arch, want := range first {
		// From a cache of its own, as on another machine: what both builds share proves nothing.
		if arch == "arm64" {
			t.Setenv("GOCACHE", t.TempDir())
		}
		got, _, err := Zip(t.Context(), arch, Options{Dir: other})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: two builds differ: %d bytes, and elsewhere %d\n%v\n%v", arch, len(want), len(got), settings(t, want), settings(t, got))
		}
	}
}

// settings are what the build of a zip's program recorded.
func settings(t *testing.T, data []byte) string {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(unpacked(t, data)))
	if err != nil {
		t.Fatal(err)
	}
	return info.String()
}

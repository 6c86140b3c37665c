package bundle

import (
	"archive/zip"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/testenv"
)

func TestAboveFindsSource(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module "+module+"\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "example/go.mod"), "module example.com/other\n")
	for _, below := range []string{"", "a/b", "example"} {
		path := filepath.Join(dir, below)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if got := above(path); got != dir {
			t.Errorf("above(%s) = %q, want %s", path, got, dir)
		}
	}
	if got := above(t.TempDir()); got != "" {
		t.Errorf("above a directory without the source = %q, want none", got)
	}
}

func TestPublishedVersion(t *testing.T) {
	tests := []struct {
		path, version string
		ok            bool
		want          string
	}{
		{module, "v1.2.3", true, "v1.2.3"},
		{module, "v0.0.0-20261123010203-0123456789ab", true, "v0.0.0-20261123010203-0123456789ab"},
		{module, "v1.2.4-0.20261123010203-0123456789ab+dirty", true, ""},
		{module, "(devel)", true, ""},
		{module, "", true, ""},
		{"example.com/other", "v1.2.3", true, ""},
		{module, "v1.2.3", false, ""},
	}
	for _, tt := range tests {
		if got := publishedVersion(&debug.BuildInfo{Main: debug.Module{Path: tt.path, Version: tt.version}}, tt.ok); got != tt.want {
			t.Errorf("publishedVersion(%s %s, %v) = %q, want %q", tt.path, tt.version, tt.ok, got, tt.want)
		}
	}
}

// published creates a module proxy with version v1.2.3 of the source in dir, and makes Go use
// it with an empty module cache.
func published(t *testing.T, dir string) {
	t.Helper()
	proxy, cache := t.TempDir(), t.TempDir()
	at := filepath.Join(proxy, module, "@v", "v1.2.3")
	goMod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		w, err := z.Create(module + "@v1.2.3/" + path)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, at+".mod", string(goMod))
	write(t, at+".info", `{"Version":"v1.2.3"}`)
	write(t, at+".zip", b.String())
	// Dependencies are served from this machine's module cache.
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // Go makes directories of a module cache read-only, which prevents their removal
		err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o700)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Setenv("GOMODCACHE", cache)
	t.Setenv("GOPROXY", "file://"+proxy+",file://"+strings.TrimSpace(string(modules))+"/cache/download")
	t.Setenv("GOSUMDB", "off")
}

func TestZipOfDownloadedSource(t *testing.T) {
	testenv.Need(t, testenv.Zip)
	source := copied(t)
	want, _, err := Zip(t.Context(), "x86_64", Options{Dir: source})
	if err != nil {
		t.Fatal(err)
	}
	published(t, source)
	command, err := findGo(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := downloaded(t.Context(), command, "v9.9.9"); !errors.Is(err, ErrCannotBuild) || !strings.Contains(err.Error(), "download the source of stagelog v9.9.9") || !strings.Contains(err.Error(), "--function-zip") {
		t.Errorf("version that does not exist: %v, want an error with alternatives", err)
	}
	dir, err := downloaded(t.Context(), command, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	got, origin, err := Zip(t.Context(), "x86_64", Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, and %d from the original directory\n%v\n%v", origin, len(got), len(want), settings(t, got), settings(t, want))
	}
}

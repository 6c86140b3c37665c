package host

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// entry is a file of a test's zip.
type entry struct {
	name, content string
	mode          fs.FileMode
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "code")
	z := zipOf(t, entry{"bootstrap", "#!/bin/sh", 0o755}, entry{"etc/", "", fs.ModeDir | 0o777}, entry{"etc/x.json", "{}", 0o666}, entry{"a/b/c", "d", 0o4777})
	if err := Unpack(z, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{".": 0o700, "bootstrap": 0o700, "etc": 0o700, "etc/x.json": 0o600, "a/b/c": 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode() &^ fs.ModeDir; got != want {
			t.Errorf("%s: mode %v, want %v", name, got, want)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	good := entry{"bootstrap", "x", 0o755}
	damaged := bytes.Clone(zipOf(t, entry{"bootstrap", strings.Repeat("abc", 100), 0o755}))
	damaged[len("PK..")+40] ^= 0xff
	many := make([]entry, MaxFiles+1)
	for i := range many {
		many[i] = entry{name: strings.Repeat("d/", i%7) + string(rune('a'+i%26)), mode: 0o600}
	}
	for _, tt := range []struct {
		name   string
		zipped []byte
		want   string
	}{
		{"no zip", []byte("hello"), "not a zip"},
		{"nothing", nil, "not a zip"},
		{"path out of the folder", zipOf(t, good, entry{"../evil", "x", 0o600}), "outside the directory"},
		{"path out after a folder", zipOf(t, good, entry{"a/../../evil", "x", 0o600}), "outside the directory"},
		{"absolute path", zipOf(t, good, entry{"/etc/evil", "x", 0o600}), "outside the directory"},
		{"windows path", zipOf(t, good, entry{`..\evil`, "x", 0o600}), "outside the directory"},
		{"link", zipOf(t, good, entry{"link", "/etc/passwd", fs.ModeSymlink | 0o777}), "link"},
		{"device", zipOf(t, good, entry{"dev", "", fs.ModeDevice | 0o600}), "special file"},
		{"name twice", zipOf(t, good, good), "duplicate file"},
		{"file below a file", zipOf(t, good, entry{"bootstrap/x", "x", 0o600}), "cannot create the directory"},
		{"damaged", damaged, "damaged"},
		{"too many files", zipOf(t, many...), "files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parent := t.TempDir()
			err := Unpack(tt.zipped, filepath.Join(parent, "code"))
			if !errors.Is(err, ErrZip) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Unpack: got %v, want ErrZip with %q", err, tt.want)
			}
			if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestUnpackedSizeIsLimited counts over all files. The zip package itself refuses a file that is longer than it says.
func TestUnpackedSizeIsLimited(t *testing.T) {
	z := zipOf(t, entry{"a", strings.Repeat("0", 1000), 0o600}, entry{"b", strings.Repeat("0", 1000), 0o600})
	for limit, want := range map[int64]bool{2000: true, 1999: false, 999: false} {
		archive, err := zip.NewReader(bytes.NewReader(z), int64(len(z)))
		if err != nil {
			t.Fatal(err)
		}
		err = unpackInto(archive, t.TempDir(), limit)
		if want && err != nil || !want && (!errors.Is(err, ErrZip) || !strings.Contains(err.Error(), "unzipped size")) {
			t.Errorf("2,000 bytes with a limit of %d: got %v", limit, err)
		}
	}
}

// elfHeader is the shortest program that debug/elf reads.
func elfHeader(machine uint16) string {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 2) // executable
	binary.LittleEndian.PutUint16(b[18:], machine)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	return string(b)
}

func TestCheck(t *testing.T) {
	const x86, arm, risc = 62, 183, 243
	here, other := uint16(x86), uint16(arm)
	hereName, otherName := "x86_64", "arm64"
	if runtime.GOARCH == "arm64" {
		here, other, hereName, otherName = other, here, otherName, hereName
	}
	for _, tt := range []struct {
		name, architecture, content string
		mode                        fs.FileMode
		want                        string // "" for fine
	}{
		{name: "script", architecture: hereName, content: "#!/bin/sh\n", mode: 0o700},
		{name: "program", architecture: hereName, content: elfHeader(here), mode: 0o700},
		{name: "program of another architecture", architecture: hereName, content: elfHeader(other), mode: 0o700,
			want: "built for " + otherName + ", the function's architecture is " + hereName},
		{name: "function of another architecture", architecture: otherName, content: elfHeader(other), mode: 0o700,
			want: "built for " + otherName + ", this machine is " + runtime.GOARCH},
		{name: "machine that Lambda does not have", architecture: hereName, content: elfHeader(risc), mode: 0o700, want: "EM_RISCV"},
		{name: "not executable", architecture: hereName, content: "#!/bin/sh\n", mode: 0o600, want: "not executable"},
		{name: "text", architecture: hereName, content: "hello", mode: 0o700, want: "neither"},
		{name: "nothing in it", architecture: hereName, content: "", mode: 0o700, want: "neither"},
		{name: "half a program", architecture: hereName, content: "\x7fELF\x02", mode: 0o700, want: "damaged"},
		{name: "folder", architecture: hereName, mode: fs.ModeDir, want: "no file named bootstrap"},
		{name: "missing", architecture: hereName, mode: fs.ModeIrregular, want: "no file named bootstrap"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && tt.name == "program" {
				t.Skip("only Linux runs it")
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "bootstrap")
			var err error
			switch tt.mode {
			case fs.ModeIrregular:
			case fs.ModeDir:
				err = os.Mkdir(path, 0o700)
			default:
				err = os.WriteFile(path, []byte(tt.content), tt.mode)
			}
			if err != nil {
				t.Fatal(err)
			}
			err = Check(dir, tt.architecture)
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrRuntime) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Check: got %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzUnpack holds that nothing is written outside of the folder, whatever the zip.
func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, entry{"bootstrap", "x", 0o755}, entry{"a/b", "y", 0o600}), "../evil")
	f.Add(zipOf(f, entry{"bootstrap", "x", 0o755}), "/evil")
	f.Add([]byte("PK"), "C:\\evil")
	f.Fuzz(func(t *testing.T, z []byte, name string) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		if raw, err := w.CreateRaw(&zip.FileHeader{Name: name, CRC32: crc32.ChecksumIEEE([]byte("x")), CompressedSize64: 1, UncompressedSize64: 1}); err == nil {
			_, _ = raw.Write([]byte("x"))
		}
		_ = w.Close()
		for _, zipped := range [][]byte{z, b.Bytes()} {
			root := t.TempDir()
			_ = Unpack(zipped, filepath.Join(root, "in", "code"))
			for _, dir := range []string{root, filepath.Join(root, "in")} {
				found, err := os.ReadDir(dir)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				for _, e := range found {
					if e.Name() != "in" && e.Name() != "code" {
						t.Fatalf("%q wrote %s", name, filepath.Join(dir, e.Name()))
					}
				}
			}
		}
	})
}

package host

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stagelog/stagelog/internal/delivery/function"
)

// Limits of a function's zip.
const (
	MaxUnpackedBytes = 250 << 20 // AWS: 250 MB, layers included
	MaxFiles         = 20_000    // ours, against zip bombs of empty files
)

// ErrZip means that a zip is not valid as a function's code. Errors that wrap it contain the reason, and may be shown to the
// client.
var ErrZip = errors.New("could not unzip uploaded file")

// Unpack writes the files of a zip below dir, which must not exist and is created with mode 0700. It refuses names outside dir,
// links, and zips larger than Lambda's limit. If it fails, it leaves no files.
func Unpack(zipped []byte, dir string) error {
	archive, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if err != nil {
		return fmt.Errorf("%w: not a zip file", ErrZip)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("unpack function: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-*") // 0700
	if err != nil {
		return fmt.Errorf("unpack function: %w", err)
	}
	if err := unpackInto(archive, tmp, MaxUnpackedBytes); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return errors.Join(fmt.Errorf("unpack function: %w", err), os.RemoveAll(tmp))
	}
	return nil
}

func unpackInto(archive *zip.Reader, dir string, left int64) error {
	if len(archive.File) > MaxFiles {
		return fmt.Errorf("%w: %d files, the maximum is %d", ErrZip, len(archive.File), MaxFiles)
	}
	for _, f := range archive.File {
		// Windows tools write backslashes, which would become part of the name.
		if !filepath.IsLocal(f.Name) || strings.ContainsRune(f.Name, '\\') {
			return fmt.Errorf("%w: the name %q is outside the directory", ErrZip, f.Name)
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		switch mode := f.Mode(); {
		case mode.IsDir():
			if err := os.MkdirAll(path, 0o700); err != nil {
				return fmt.Errorf("%w: cannot create directory %q", ErrZip, f.Name)
			}
		case mode.IsRegular():
			n, err := unpackFile(f, path, left)
			if err != nil {
				return err
			}
			left -= n
		default:
			return fmt.Errorf("%w: %q is a link or another special file", ErrZip, f.Name)
		}
	}
	return nil
}

// unpackFile writes one file and returns its size. It does not trust the size in the zip.
func unpackFile(f *zip.File, path string, left int64) (n int64, err error) {
	in, err := f.Open()
	if err != nil {
		return 0, fmt.Errorf("%w: %q cannot be read", ErrZip, f.Name)
	}
	defer in.Close() // only read
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, fmt.Errorf("%w: cannot create the directory of %q", ErrZip, f.Name)
	}
	perm := os.FileMode(0o600)
	if f.Mode()&0o111 != 0 {
		perm = 0o700
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return 0, fmt.Errorf("%w: duplicate file %q", ErrZip, f.Name)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	n, err = io.Copy(out, io.LimitReader(in, left+1))
	switch {
	case n > left:
		return n, fmt.Errorf("%w: unzipped size must be smaller than %d bytes", ErrZip, MaxUnpackedBytes)
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("%w: %q is damaged", ErrZip, f.Name)
	case err != nil:
		return n, fmt.Errorf("unpack function: %w", err)
	}
	return n, nil
}

// ErrRuntime means that the unpacked code cannot run on this machine. Errors that wrap it contain the reason.
var ErrRuntime = errors.New("Runtime.InvalidEntrypoint")

// Check checks that this machine can run the bootstrap in dir. architecture is the function's: x86_64 or arm64.
func Check(dir, architecture string) error {
	path := filepath.Join(dir, function.BootstrapName)
	info, err := os.Stat(path)
	switch {
	case err != nil || !info.Mode().IsRegular():
		return fmt.Errorf("%w: the zip has no file named bootstrap at its root", ErrRuntime)
	case info.Mode()&0o100 == 0:
		return fmt.Errorf("%w: bootstrap is not executable; pack it with mode 0755", ErrRuntime)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("check function: %w", err)
	}
	defer f.Close() // only read
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err == nil && string(magic[:2]) == "#!" {
		return nil // a script needs only its interpreter
	}
	if string(magic[:]) != elf.ELFMAG {
		return fmt.Errorf("%w: bootstrap is neither a Linux program (ELF) nor a script", ErrRuntime)
	}
	program, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("%w: bootstrap is a damaged Linux program", ErrRuntime)
	}
	return checkMachine(program.Machine, architecture)
}

func checkMachine(machine elf.Machine, architecture string) error {
	built := map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "arm64"}[machine]
	here := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	switch {
	case built == "":
		return fmt.Errorf("%w: bootstrap is built for %v, Lambda runs x86_64 and arm64", ErrRuntime, machine)
	case built != architecture:
		return fmt.Errorf("%w: bootstrap is built for %s, the function's architecture is %s", ErrRuntime, built, architecture)
	case runtime.GOOS != "linux":
		return fmt.Errorf("%w: bootstrap is a Linux program, this machine runs %s", ErrRuntime, runtime.GOOS)
	case built != here:
		return fmt.Errorf("%w: bootstrap is built for %s, this machine is %s", ErrRuntime, built, runtime.GOARCH)
	}
	return nil
}

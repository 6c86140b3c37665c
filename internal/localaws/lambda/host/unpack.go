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
	MaxFiles         = 20_000    // ours: a zip of empty files is a bomb too
)

// ErrZip means that a zip cannot be a function's code. Errors that wrap it say why, and are fit for the one who sent it.
var ErrZip = errors.New("could not unzip uploaded file")

// Unpack writes the files of a zip below dir, which must not exist, and is made for its owner alone. It refuses names that lead
// out of dir, links, and more than Lambda's limit. When it fails, nothing is left.
func Unpack(zipped []byte, dir string) error {
	archive, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if err != nil {
		return fmt.Errorf("%w: it is not a zip", ErrZip)
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
		return fmt.Errorf("%w: it holds %d files, the limit is %d", ErrZip, len(archive.File), MaxFiles)
	}
	for _, f := range archive.File {
		// Windows tools write backslashes; here they would be part of a name.
		if !filepath.IsLocal(f.Name) || strings.ContainsRune(f.Name, '\\') {
			return fmt.Errorf("%w: the name %q leads out of the folder", ErrZip, f.Name)
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		switch mode := f.Mode(); {
		case mode.IsDir():
			if err := os.MkdirAll(path, 0o700); err != nil {
				return fmt.Errorf("%w: the name %q cannot be made a folder", ErrZip, f.Name)
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

// unpackFile writes one file and says how many bytes it had. What the zip says about its size is not believed.
func unpackFile(f *zip.File, path string, left int64) (n int64, err error) {
	in, err := f.Open()
	if err != nil {
		return 0, fmt.Errorf("%w: %q cannot be read", ErrZip, f.Name)
	}
	defer in.Close() // only read
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, fmt.Errorf("%w: %q has no folder", ErrZip, f.Name)
	}
	perm := os.FileMode(0o600)
	if f.Mode()&0o111 != 0 {
		perm = 0o700
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is there twice", ErrZip, f.Name)
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

// ErrRuntime means that the unpacked code cannot run here. Errors that wrap it say why.
var ErrRuntime = errors.New("Runtime.InvalidEntrypoint")

// Check reports whether this machine can run the bootstrap in dir. architecture is Lambda's word for what the function was
// created for: x86_64 or arm64.
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
		return nil // a script runs wherever its interpreter is
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

// Package atomicfile writes files that must survive a crash.
//
// It writes and syncs a temporary file in the target's directory, renames it to the
// target and syncs the directory. A reader of the target sees the old or the new
// content, never a part of it, even after a power loss.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile replaces the file at path with data and returns when both content and
// name are on disk. The file gets mode perm regardless of the umask; use 0600 for
// credentials.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err = fill(tmp, data, perm); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp.Name()))
	}
	if err := SyncDir(dir); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func fill(f *os.File, data []byte, perm fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir syncs a directory. A rename or removal is durable only after its directory
// is synced.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Unusable returns an error for a directory that cannot be written, with advice on how to fix it. kind describes the
// directory: "buffer directory".
func Unusable(kind, dir string, err error) error {
	hint := "choose another directory"
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "grant this user write permission or choose another directory"
	case errors.Is(err, syscall.EROFS):
		hint = "its file system is read-only; choose another directory"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "the disk is full; free some space or choose another directory"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		hint = "the path is a file; choose another directory"
	}
	return fmt.Errorf("%s %s cannot be written (%s): %w", kind, dir, hint, err)
}

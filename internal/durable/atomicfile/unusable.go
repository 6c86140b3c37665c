package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

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

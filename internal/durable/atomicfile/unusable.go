package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Unusable returns an error that names a directory which cannot be written, and what to do about it. kind names what
// the directory is: "buffer directory".
func Unusable(kind, dir string, err error) error {
	hint := "choose another directory"
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "give this user the right to write there, or choose another directory"
	case errors.Is(err, syscall.EROFS):
		hint = "its file system is read-only, choose another directory"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "the disk is full; free some space or choose another directory"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		hint = "a file is in the way, choose another directory"
	}
	return fmt.Errorf("%s %s cannot be written (%s): %w", kind, dir, hint, err)
}

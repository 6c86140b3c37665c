package atomicfile_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stagelog/stagelog/internal/durable/atomicfile"
)

func TestUnusable(t *testing.T) {
	for cause, hint := range map[error]string{
		syscall.EACCES: "grant this user write permission", syscall.EROFS: "read-only", syscall.ENOSPC: "the disk is full",
		syscall.ENOTDIR: "the path is a file", errors.New("other"): "(choose another directory)",
	} {
		err := atomicfile.Unusable("data directory", "/d", &os.PathError{Op: "mkdir", Path: "/d", Err: cause})
		if text := err.Error(); !errors.Is(err, cause) || !strings.HasPrefix(text, "data directory /d cannot be written (") || !strings.Contains(text, hint) {
			t.Errorf("Unusable(%v) = %v, want the hint %q and the cause", cause, err, hint)
		}
	}
}

package e2e

import (
	"syscall"
	"testing"
)

// mountReadOnly mounts an empty read-only file system on dir. It skips the test without permission.
func mountReadOnly(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, "size=1m"); err != nil {
		t.Skipf("SKIPPED: cannot mount a read-only disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

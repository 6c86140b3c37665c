//go:build !linux

package e2e

import "testing"

func mountReadOnly(t *testing.T, _ string) {
	t.Helper()
	t.Skip("SKIPPED: mounting a read-only disk is implemented for Linux only")
}

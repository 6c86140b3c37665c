package host

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// newFIFO makes a FIFO for a function to hold.
func newFIFO(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// watchFIFO gives a channel for the first holder, and one for the end of the last.
func watchFIFO(t *testing.T, path string) (held, dead <-chan struct{}) {
	t.Helper()
	heldC, deadC := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(deadC)
		f, err := os.Open(path) // waits for a holder
		if err != nil {
			close(heldC)
			return
		}
		defer f.Close()
		r := bufio.NewReader(f)
		_, _ = r.ReadString('\n')
		close(heldC)
		_, _ = io.Copy(io.Discard, r)
	}()
	return heldC, deadC
}

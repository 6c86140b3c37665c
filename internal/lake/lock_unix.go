//go:build cgo && (linux || darwin)

package lake

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// fileLock converts the lock with which DuckDB keeps other processes out of a file that is open for writing. The lock belongs
// to the process, so any descriptor of the file can convert it, and closing any of them drops it. A nil fileLock does nothing.
type fileLock struct{ file *os.File }

// newFileLock returns the lock of a file that this process has open in DuckDB. Close it after the database.
func newFileLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &fileLock{f}, nil
}

// share lets other processes open the file for reading.
func (l *fileLock) share() error { return l.convert(syscall.F_RDLCK) }

// exclude keeps other processes out of the file. It fails if another one has it open.
func (l *fileLock) exclude() error {
	err := l.convert(syscall.F_WRLCK)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("another process has the lake %s open: %w", l.file.Name(), err)
	}
	return err
}

func (l *fileLock) convert(kind int16) error {
	if l == nil {
		return nil
	}
	return syscall.FcntlFlock(l.file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: kind, Whence: io.SeekStart})
}

// Close closes the lock's descriptor, which drops the lock.
func (l *fileLock) Close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

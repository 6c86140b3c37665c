//go:build cgo && !linux && !darwin

package lake

import "errors"

// fileLock cannot convert locks on this system.
type fileLock struct{}

func newFileLock(string) (*fileLock, error) { return &fileLock{}, nil }

func (l *fileLock) share() error {
	return errors.New("not supported on this operating system; use `stagelog query`")
}

func (l *fileLock) exclude() error { return nil }

// Close does nothing.
func (l *fileLock) Close() error { return nil }

package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// logFile is a file for the output of a function. It may contain records, so only its owner may read it. At its maximum size
// it is renamed to ….1, which replaces the previous one.
type logFile struct {
	path string
	max  int64

	mu   sync.Mutex // guards the rest
	file *os.File   // nil once closed, or if reopening failed
	size int64
}

func openLog(path string, maxBytes int64) (*logFile, error) {
	for _, dir := range []string{filepath.Dir(path), filepath.Join(filepath.Dir(path), "tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open function log: %w", err)
		}
	}
	l := &logFile{path: path, max: maxBytes}
	if err := l.openLocked(); err != nil {
		return nil, fmt.Errorf("open function log: %w", err)
	}
	return l, nil
}

func (l *logFile) openLocked() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.size = file, info.Size()
	return nil
}

// Write always accepts all of b, so that a function neither fails nor blocks because its log is full.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(b)) > l.max && l.size > 0 {
		l.rotateLocked()
	}
	part := b
	if free := l.max - l.size; int64(len(part)) > free {
		part = part[:max(free, 0)]
	}
	if l.file != nil {
		n, _ := l.file.Write(part)
		l.size += int64(n)
	}
	return len(b), nil
}

func (l *logFile) rotateLocked() {
	if l.file == nil {
		return
	}
	_ = l.file.Close()
	l.file = nil
	if os.Rename(l.path, l.path+".1") == nil {
		_ = l.openLocked()
	}
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

package deliver

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spool holds the bytes of one object: in memory up to a limit, beyond it entirely in a file.
type spool struct {
	dir   string
	limit int
	mem   []byte
	file  *os.File // nil while in memory
	size  int64
}

// Write appends p.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.mem)+len(p) <= s.limit {
		s.mem = append(s.mem, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write spool file: %w", err)
	}
	return n, nil
}

// spill moves the bytes to a file. Where the system allows, the file is unlinked immediately, so
// that a crash leaves nothing behind.
func (s *spool) spill() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("create spool directory: %w", err)
	}
	f, err := os.CreateTemp(s.dir, "object-*")
	if err != nil {
		return fmt.Errorf("create spool file: %w", err)
	}
	s.file = f
	_ = os.Remove(f.Name())
	if _, err := f.Write(s.mem); err != nil {
		return fmt.Errorf("write spool file: %w", err)
	}
	s.mem = s.mem[:0]
	return nil
}

// reader returns a reader of all bytes. Only one may be in use, and not after a Write.
func (s *spool) reader() (io.ReadSeeker, error) {
	if s.file == nil {
		return bytes.NewReader(s.mem), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind spool file: %w", err)
	}
	return s.file, nil
}

// reset discards the bytes and keeps the memory for reuse.
func (s *spool) reset() {
	if s.file != nil {
		// The bytes are no longer needed, so a failed close is harmless. Usually spill has removed the file.
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
	s.file, s.mem, s.size = nil, s.mem[:0], 0
}

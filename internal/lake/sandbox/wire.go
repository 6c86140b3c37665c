package sandbox

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/stagelog/stagelog/internal/lake"
)

// A child writes messages: the columns, then rows, then the end or an error. Each begins with a byte; numbers are
// varints, and a text is its length and its bytes. The parent does not trust a child, in which a statement may have
// corrupted the memory.
const (
	columnsMessage = 'c'
	rowMessage     = 'r'
	endMessage     = 'e'
	errorMessage   = 'x'
)

// Kinds of errors.
const (
	otherError = iota
	refusal    // ErrRefused
	damage     // lake.ErrDamaged
)

const (
	maxMessage = 16 << 20 // bytes
	cellSize   = 64       // bytes that an empty cell or column counts, about what it takes here
)

var (
	// errCut is returned if a child ended before the result.
	errCut       = errors.New("the result ends early")
	errMalformed = errors.New("the result is malformed")
	errTooLong   = fmt.Errorf("a row of the result is longer than %d MiB", maxMessage>>20)
)

func writeColumns(w *bufio.Writer, columns []string) error {
	_ = w.WriteByte(columnsMessage) // the error stays until Flush
	writeNumber(w, len(columns))
	for _, c := range columns {
		writeText(w, c)
	}
	return nil
}

func writeRow(w *bufio.Writer, values []any) error {
	_ = w.WriteByte(rowMessage)
	writeNumber(w, len(values))
	for _, v := range values {
		c := newCell(v)
		_ = w.WriteByte(byte(c.Kind))
		writeText(w, c.Text)
	}
	return nil
}

func writeEnd(w *bufio.Writer, more bool) {
	_ = w.WriteByte(endMessage)
	n := 0
	if more {
		n = 1
	}
	writeNumber(w, n)
}

func writeError(w *bufio.Writer, err error) {
	_ = w.WriteByte(errorMessage)
	kind := otherError
	switch {
	case errors.Is(err, ErrRefused):
		kind = refusal
	case lake.Damaged(err):
		kind = damage
	}
	writeNumber(w, kind)
	writeText(w, err.Error())
}

func writeNumber(w *bufio.Writer, n int) {
	_, _ = w.Write(binary.AppendUvarint(w.AvailableBuffer(), uint64(n)))
}

func writeText(w *bufio.Writer, text string) {
	writeNumber(w, len(text))
	_, _ = w.WriteString(text)
}

// reader reads one message.
type reader struct {
	*bufio.Reader
	left int // bytes of this message that may follow
}

// read calls head and each with what a child writes, and returns the child's error.
func read(in *bufio.Reader, head func([]string) error, each func([]Cell) error) (more bool, err error) {
	var row []Cell
	width := -1 // unknown
	for {
		r := reader{in, maxMessage}
		kind, err := in.ReadByte()
		if err != nil {
			return false, errCut
		}
		switch kind {
		case columnsMessage:
			columns, err := r.columns()
			if err != nil {
				return false, err
			}
			if width >= 0 {
				return false, errMalformed
			}
			width = len(columns)
			if err := head(columns); err != nil {
				return false, err
			}
		case rowMessage:
			if row, err = r.row(row[:0]); err != nil {
				return false, err
			}
			if len(row) != width {
				return false, errMalformed
			}
			if err := each(row); err != nil {
				return false, err
			}
		case endMessage:
			n, err := r.number()
			return n > 0, err
		case errorMessage:
			return false, r.problem()
		default:
			return false, errMalformed
		}
	}
}

func (r *reader) columns() ([]string, error) {
	n, err := r.parts()
	if err != nil {
		return nil, err
	}
	columns := []string{}
	for range n {
		text, err := r.text()
		if err != nil {
			return nil, err
		}
		columns = append(columns, text)
	}
	return columns, nil
}

func (r *reader) row(row []Cell) ([]Cell, error) {
	n, err := r.parts()
	if err != nil {
		return row, err
	}
	for range n {
		kind, err := r.ReadByte()
		if err != nil {
			return row, errCut
		}
		text, err := r.text()
		if err != nil {
			return row, err
		}
		row = append(row, Cell{Kind(kind), text})
	}
	return row, nil
}

func (r *reader) problem() error {
	kind, err := r.number()
	if err != nil {
		return err
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	return statementError{text, kind}
}

// parts reads the number of columns or cells.
func (r *reader) parts() (int, error) {
	n, err := r.number()
	if err == nil && n > r.left/cellSize {
		return 0, errTooLong
	}
	r.left -= n * cellSize
	return n, err
}

// number reads a number of bytes or of parts, each of which counts as a byte of the message.
func (r *reader) number() (int, error) {
	n, err := binary.ReadUvarint(r.Reader)
	if err != nil {
		return 0, errCut
	}
	if n > uint64(r.left) {
		return 0, errTooLong
	}
	r.left -= int(n)
	return int(n), nil
}

func (r *reader) text() (string, error) {
	n, err := r.number()
	if err != nil {
		return "", err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r.Reader, data); err != nil {
		return "", errCut
	}
	return string(data), nil
}

// statementError is the error of a child.
type statementError struct {
	text string
	kind int
}

func (e statementError) Error() string { return e.text }

// Is reports whether the error is of the kind of ErrRefused or lake.ErrDamaged.
func (e statementError) Is(target error) bool {
	return e.kind == refusal && target == ErrRefused || e.kind == damage && target == lake.ErrDamaged
}

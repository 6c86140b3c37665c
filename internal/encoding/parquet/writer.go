package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

const (
	// rowsAtOnce go into the file together.
	rowsAtOnce = 256
	// groupRows is a row group's: of access log lines some 40 MiB before compression, which
	// is what is held of a file in memory, compressed.
	groupRows = 100_000
	// dictionaryBytes bounds a column's dictionary: ids differ in every row.
	dictionaryBytes = 256 << 10
)

// Compressions of a file's pages, as Firehose's ParquetSerDe calls them.
const (
	Uncompressed = "UNCOMPRESSED"
	Snappy       = "SNAPPY"
	Gzip         = "GZIP"
)

// errRow: what was written is not what a Converter makes.
var errRow = errors.New("write Parquet: not a row of the schema")

// Writer writes a file of the rows of a Converter. It takes them in any pieces.
type Writer struct {
	schema  *Schema
	file    *pq.GenericWriter[any]
	pending []byte // the begin of a row
	rows    []pq.Row
	n       int // of rows
}

// NewWriter makes a writer. compression is one of the constants; "" is SNAPPY.
func NewWriter(w io.Writer, s *Schema, compression string) (*Writer, error) {
	var codec compress.Codec
	switch compression {
	case Uncompressed:
		codec = &pq.Uncompressed
	case Snappy, "":
		codec = &pq.Snappy
	case Gzip:
		codec = &pq.Gzip
	default:
		return nil, fmt.Errorf("compression %q of Parquet is not known", compression)
	}
	out := &Writer{schema: s, rows: make([]pq.Row, rowsAtOnce)}
	for i := range out.rows {
		out.rows[i] = make(pq.Row, len(s.columns))
	}
	out.file = pq.NewGenericWriter[any](w, s.file, pq.Compression(codec), pq.MaxRowsPerRowGroup(groupRows), pq.DictionaryMaxBytes(dictionaryBytes),
		pq.CreatedBy("stagelog", "", ""))
	return out, nil
}

// Write takes rows, or pieces of them.
func (w *Writer) Write(p []byte) (int, error) {
	in := p
	if len(w.pending) > 0 {
		w.pending = append(w.pending, p...)
		in = w.pending
	}
	for {
		size, n := binary.Uvarint(in)
		if n < 0 {
			return 0, errRow
		}
		if n == 0 || uint64(len(in)-n) < size {
			break
		}
		if err := w.row(in[n : n+int(size)]); err != nil {
			return 0, err
		}
		in = in[n+int(size):]
		if w.n == rowsAtOnce {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	// The rows alias the memory that is the caller's again.
	if err := w.flush(); err != nil {
		return 0, err
	}
	w.pending = append(w.pending[:0], in...)
	return len(p), nil
}

// row takes one row in.
func (w *Writer) row(b []byte) error {
	row := w.rows[w.n]
	for i, c := range w.schema.columns {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n)+1 {
			return errRow
		}
		b = b[n:]
		leaf := w.schema.leaves[i]
		if size == 0 {
			row[leaf] = pq.NullValue().Level(0, 0, leaf)
			continue
		}
		v, err := c.Type.value(b[:size-1])
		if err != nil {
			return errRow
		}
		row[leaf] = v.Level(0, 1, leaf)
		b = b[size-1:]
	}
	if len(b) > 0 {
		return errRow
	}
	w.n++
	return nil
}

func (w *Writer) flush() error {
	if w.n == 0 {
		return nil
	}
	_, err := w.file.WriteRows(w.rows[:w.n])
	w.n = 0
	if err != nil {
		return fmt.Errorf("write Parquet: %w", err)
	}
	return nil
}

// Close ends the file; what is below stays open.
func (w *Writer) Close() error {
	if len(w.pending) > 0 {
		return errRow
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("end Parquet file: %w", err)
	}
	return nil
}

// Reset begins anew on another writer.
func (w *Writer) Reset(to io.Writer) {
	w.file.Reset(to)
	w.pending, w.n = w.pending[:0], 0
}

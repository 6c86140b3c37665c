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
	// rowsAtOnce is the number of rows per call of the Parquet library.
	rowsAtOnce = 256
	// groupRows is the number of rows in a row group: about 40 MiB of access log lines before
	// compression. The writer keeps one row group in memory, compressed.
	groupRows = 100_000
	// dictionaryBytes limits the dictionary of a column, because ids differ in every row.
	dictionaryBytes = 256 << 10
)

// The compressions of a file's pages, by their names in Firehose's ParquetSerDe.
const (
	Uncompressed = "UNCOMPRESSED"
	Snappy       = "SNAPPY"
	Gzip         = "GZIP"
)

// errRow is returned for bytes that no Converter of the schema produces.
var errRow = errors.New("write Parquet: not a row of the schema")

// Writer writes the rows of a Converter to a Parquet file. Write calls may split rows anywhere.
type Writer struct {
	schema  *Schema
	file    *pq.GenericWriter[any]
	pending []byte // start of an incomplete row
	rows    []pq.Row
	n       int // number of rows waiting for flush
}

// NewWriter returns a writer of a file with the given schema and compression; "" means SNAPPY.
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
		return nil, fmt.Errorf("unknown Parquet compression %q", compression)
	}
	out := &Writer{schema: s, rows: make([]pq.Row, rowsAtOnce)}
	for i := range out.rows {
		out.rows[i] = make(pq.Row, len(s.columns))
	}
	out.file = pq.NewGenericWriter[any](w, s.file, pq.Compression(codec), pq.MaxRowsPerRowGroup(groupRows), pq.DictionaryMaxBytes(dictionaryBytes),
		pq.CreatedBy("stagelog", "", ""))
	return out, nil
}

// Write adds encoded rows. It does not keep p.
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
	// The rows refer to p, which belongs to the caller after the return.
	if err := w.flush(); err != nil {
		return 0, err
	}
	w.pending = append(w.pending[:0], in...)
	return len(p), nil
}

// row decodes one row.
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

// Close writes the end of the file. It does not close the underlying writer.
func (w *Writer) Close() error {
	if len(w.pending) > 0 {
		return errRow
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("write end of Parquet file: %w", err)
	}
	return nil
}

// Reset discards all state and starts a new file on another writer.
func (w *Writer) Reset(to io.Writer) {
	w.file.Reset(to)
	w.pending, w.n = w.pending[:0], 0
}

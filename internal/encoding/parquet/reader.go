package parquet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// Magic is the byte sequence at the start and the end of each Parquet file.
const Magic = "PAR1"

// ErrCorrupt is returned for bytes that are not a valid Parquet file. It has no details: the library's errors and panics quote
// the file, which may hold secrets.
var ErrCorrupt = errors.New("the Parquet file is corrupt")

// Lines returns a reader of the file's rows as lines of JSON. Each object has the columns that are not null; nested columns are
// in nested objects. Repeated columns are skipped, because access logs have none.
func Lines(r io.ReaderAt, size int64) (_ io.ReadCloser, err error) {
	defer caught(&err)
	file, err := pq.OpenFile(r, size, pq.SkipBloomFilters(true), pq.SkipPageIndex(true))
	if err != nil {
		return nil, ErrCorrupt
	}
	l := &lines{file: pq.NewGenericReader[any](file), rows: make([]pq.Row, rowsAtOnce)}
	for _, path := range file.Schema().Columns() {
		leaf, _ := file.Schema().Lookup(path...)
		c := leafColumn{repeats: leaf.MaxRepetitionLevel > 0}
		if t := leaf.Node.Type().LogicalType(); t != nil {
			c.logical = t.Value
		}
		for _, name := range path {
			text, err := json.Marshal(name)
			if err != nil {
				return nil, fmt.Errorf("encode column name: %w", err)
			}
			c.path = append(c.path, string(text))
		}
		l.columns = append(l.columns, c)
	}
	return l, nil
}

// leafColumn is a column of the file.
type leafColumn struct {
	path    []string // the names of the objects around it and its own, as JSON
	repeats bool
	logical any // one of package format's types, such as *format.DecimalType; nil for the plain type
}

// lines reads a file as text.
type lines struct {
	file    *pq.GenericReader[any]
	columns []leafColumn
	rows    []pq.Row
	out     []byte
	unread  []byte
}

func (l *lines) Read(p []byte) (int, error) {
	for len(l.unread) == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.unread)
	l.unread = l.unread[n:]
	return n, nil
}

func (l *lines) Close() error { return l.file.Close() }

// next reads up to rowsAtOnce rows.
func (l *lines) next() (err error) {
	defer caught(&err)
	n, err := l.file.ReadRows(l.rows)
	l.out = l.out[:0]
	for _, row := range l.rows[:n] {
		l.append(row)
	}
	l.unread = l.out
	switch {
	case n > 0:
		return nil // the next call returns the error again
	case err == nil:
		return io.ErrNoProgress
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return ErrCorrupt
}

func (l *lines) append(row pq.Row) {
	l.out = append(l.out, '{')
	begin, inside := len(l.out), []string(nil)
	for _, v := range row {
		c := l.columns[v.Column()]
		if v.IsNull() || c.repeats {
			continue
		}
		last := len(c.path) - 1
		common := 0
		for common < min(len(inside), last) && inside[common] == c.path[common] {
			common++
		}
		l.close(len(inside) - common)
		if len(l.out) > begin {
			l.out = append(l.out, ',')
		}
		for _, name := range c.path[common:last] {
			l.out = append(append(l.out, name...), ":{"...)
		}
		inside = c.path[:last]
		l.out = append(append(l.out, c.path[last]...), ':')
		l.out = c.appendValue(l.out, v)
	}
	l.close(len(inside) + 1)
	l.out = append(l.out, '\n')
}

// close closes objects.
func (l *lines) close(n int) {
	for range n {
		l.out = append(l.out, '}')
	}
}

func (c leafColumn) appendValue(dst []byte, v pq.Value) []byte {
	switch logical := c.logical.(type) {
	case *format.DecimalType:
		return appendDecimal(dst, unscaled(v), int(logical.Scale))
	case *format.DateType:
		return append(time.Unix(int64(v.Int32())*24*60*60, 0).UTC().AppendFormat(append(dst, '"'), time.DateOnly), '"')
	case *format.UUIDType:
		if id := v.ByteArray(); len(id) == 16 {
			return fmt.Appendf(dst, `"%x-%x-%x-%x-%x"`, id[:4], id[4:6], id[6:8], id[8:10], id[10:])
		}
	case *format.TimestampType:
		if v.Kind() == pq.Int64 && logical.Unit.Value != nil {
			return appendTime(dst, time.Unix(0, 0).Add(time.Duration(v.Int64())*logical.Unit.Value.Duration()), logical.IsAdjustedToUTC)
		}
	case *format.IntType:
		if v.Kind() == pq.Int64 && !logical.IsSigned {
			return strconv.AppendUint(dst, uint64(v.Int64()), 10)
		} else if !logical.IsSigned {
			return strconv.AppendUint(dst, uint64(uint32(v.Int32())), 10)
		}
	}
	switch v.Kind() {
	case pq.Boolean:
		return strconv.AppendBool(dst, v.Boolean())
	case pq.Int32:
		return strconv.AppendInt(dst, int64(v.Int32()), 10)
	case pq.Int64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case pq.Int96: // timestamp of Hive and Spark: nanoseconds of the day and Julian day
		const julianEpoch = 2440588
		i := v.Int96()
		return appendTime(dst, time.Unix((int64(i[2])-julianEpoch)*24*60*60, int64(i[1])<<32|int64(i[0])), true)
	case pq.Float:
		return appendFloat(dst, float64(v.Float()), 32)
	case pq.Double:
		return appendFloat(dst, v.Double(), 64)
	}
	return appendText(dst, v.ByteArray())
}

// appendTime appends a time in UTC, or one without a zone.
func appendTime(dst []byte, t time.Time, utc bool) []byte {
	layout := "2006-01-02T15:04:05.999999999"
	if utc {
		layout += "Z"
	}
	return append(t.UTC().AppendFormat(append(dst, '"'), layout), '"')
}

// unscaled returns the integer of a decimal value.
func unscaled(v pq.Value) *big.Int {
	switch v.Kind() {
	case pq.Int32:
		return big.NewInt(int64(v.Int32()))
	case pq.Int64:
		return big.NewInt(v.Int64())
	}
	b := v.ByteArray() // big-endian, in two's complement
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// appendDecimal appends n / 10^scale as a JSON number with all its digits.
func appendDecimal(dst []byte, n *big.Int, scale int) []byte {
	if n.Sign() < 0 {
		dst = append(dst, '-')
	}
	digits := new(big.Int).Abs(n).String()
	if scale <= 0 {
		return append(dst, digits...)
	}
	if pad := min(scale, maxScale) + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - min(scale, maxScale)
	return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
}

// maxScale is far above the largest scale that SQL engines have, 38.
const maxScale = 100

// appendFloat appends NaN and infinities as strings, because JSON has no such numbers.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if f-f != 0 {
		return append(strconv.AppendFloat(append(dst, '"'), f, 'g', -1, bits), '"')
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

func appendText(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	plain := jsonscan.PlainEnd(text, 0) // nearly always all of it
	dst = append(append(dst, '"'), text[:plain]...)
	for _, b := range text[plain:] {
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}

// caught converts a panic to an error: the Parquet library panics on some inconsistent files.
func caught(err *error) {
	if recover() != nil {
		*err = ErrCorrupt
	}
}

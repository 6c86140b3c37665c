package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// Converter converts records to rows as the OpenX JSON SerDe does: it ignores the case of names and fields without a column,
// sets columns without a field to null, and stores any value as text in a string column. It must not be used concurrently.
type Converter struct {
	schema *Schema
	names  *jsonscan.Names[int] // the column of each member
	values [][]byte             // values of the current row by column; nil is null
	spare  []byte               // memory of unescaped values
	row    []byte               // the current row, encoded
}

const none = -1 // the field has no column

// NewConverter returns a converter to rows of the given schema.
func NewConverter(s *Schema) *Converter {
	c := &Converter{schema: s, values: make([][]byte, len(s.columns))}
	c.names = jsonscan.NewNames(c.find)
	return c
}

// AppendRows appends one row for each JSON object of the record, in the encoding that a Writer of the same schema reads. On
// an error it returns dst unchanged. Errors contain nothing of the record.
func (c *Converter) AppendRows(dst, record []byte) ([]byte, error) {
	out, objects := dst, 0
	for i := jsonscan.SpaceEnd(record, 0); i < len(record); objects++ {
		if record[i] != '{' {
			return dst, errors.New("the record is not a sequence of JSON objects")
		}
		end, err := c.object(record, i)
		if err != nil {
			return dst, err
		}
		if out, err = c.appendRow(out); err != nil {
			return dst, err
		}
		i = jsonscan.SpaceEnd(record, end)
	}
	if objects == 0 {
		return dst, errors.New("the record is empty")
	}
	return out, nil
}

// object reads the object at i into c.values.
func (c *Converter) object(b []byte, i int) (next int, err error) {
	clear(c.values)
	c.spare = c.spare[:0]
	c.names.Begin()
	next, bad := jsonscan.Members(b, i, func(name []byte, escaped bool, value []byte) *jsonscan.Bad {
		if escaped {
			name = jsonscan.Unescape(nil, name)
		}
		if col := c.names.Value(name); col != none {
			c.values[col] = c.text(value)
		}
		return nil
	})
	if bad != nil {
		return next, bad
	}
	return next, nil
}

// find searches the schema for the column of a name.
func (c *Converter) find(name []byte) int {
	lower := string(bytes.ToLower(name))
	return slices.IndexFunc(c.schema.columns, func(col Column) bool { return col.Name == lower })
}

// text returns the content of a string, or the JSON text of another value; nil for null.
func (c *Converter) text(value []byte) []byte {
	if string(value) == "null" {
		return nil
	}
	if value[0] != '"' {
		return value
	}
	text := value[1 : len(value)-1 : len(value)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		begin := len(c.spare)
		c.spare = jsonscan.Unescape(c.spare, text)
		text = c.spare[begin:len(c.spare):len(c.spare)]
	}
	return text
}

// appendRow appends the length of the current row and the row: for each column the length of its text plus one and the
// text, or 0 for null.
func (c *Converter) appendRow(dst []byte) ([]byte, error) {
	c.row = c.row[:0]
	for i, text := range c.values {
		if text == nil {
			c.row = append(c.row, 0)
			continue
		}
		if col := c.schema.columns[i]; col.Type != String {
			if _, err := col.Type.value(text); err != nil {
				return dst, fmt.Errorf("the value of column %s is not of type %s", col.Name, col.Type)
			}
		}
		c.row = append(binary.AppendUvarint(c.row, uint64(len(text))+1), text...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(c.row))), c.row...), nil
}

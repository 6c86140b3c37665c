package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// Converter makes rows of records, as the OpenX JSON SerDe does: names in any case, fields that are no column left out,
// columns that are no field null, and text for whatever stands in a column of text. It is one goroutine's at a time.
type Converter struct {
	schema *Schema
	known  map[string]namedColumn // of the names that were seen: their column, or none
	before []namedColumn          // of the object before, whose order most keep
	at     int                    // how many fields of the open row were seen
	values [][]byte               // of the open row; nil is null
	spare  []byte                 // where unescaped values stand
	row    []byte
}

type namedColumn struct {
	name   string
	column int
}

const (
	none = -1
	// maxKnown bounds the names that are remembered: clients may be able to make new ones.
	maxKnown = 1000
)

// NewConverter makes rows for files of that schema.
func NewConverter(s *Schema) *Converter {
	return &Converter{schema: s, known: map[string]namedColumn{}, values: make([][]byte, len(s.columns))}
}

// AppendRows appends a record as the rows that a Writer of the same schema takes: one for each JSON object in it. With an
// error, which does not hold the record's content, dst is as it was.
func (c *Converter) AppendRows(dst, record []byte) ([]byte, error) {
	out, objects := dst, 0
	for i := jsonscan.SpaceEnd(record, 0); i < len(record); objects++ {
		if record[i] != '{' {
			return dst, fmt.Errorf("the record is no JSON object, nor several behind each other")
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
		return dst, fmt.Errorf("the record is empty")
	}
	return out, nil
}

// object reads the members of the object at i.
func (c *Converter) object(b []byte, i int) (next int, err error) {
	clear(c.values)
	c.spare, c.at = c.spare[:0], 0
	next, bad := jsonscan.Members(b, i, func(name []byte, escaped bool, value []byte) *jsonscan.Bad {
		if col := c.column(name, escaped); col != none {
			c.values[col] = c.text(value)
		}
		return nil
	})
	if bad != nil {
		return next, bad
	}
	return next, nil
}

// column is the column of a field, or none.
func (c *Converter) column(name []byte, escaped bool) int {
	if escaped {
		name = jsonscan.Unescape(nil, name)
	}
	if c.at < len(c.before) && c.before[c.at].name == string(name) {
		c.at++
		return c.before[c.at-1].column
	}
	col, ok := c.known[string(name)]
	if !ok {
		col = namedColumn{string(name), c.find(name)}
		if len(c.known) < maxKnown {
			c.known[col.name] = col
		}
	}
	if c.at < maxKnown {
		c.before = append(c.before[:c.at], col)
		c.at++
	}
	return col.column
}

// find looks for the column of a name that was not seen before.
func (c *Converter) find(name []byte) int {
	col, lower := none, string(bytes.ToLower(name))
	for i := range c.schema.columns {
		if c.schema.columns[i].Name == lower {
			col = i
		}
	}
	return col
}

// text is the content of a value: a string's, or the value as it stands; nil is null.
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

// appendRow appends the row behind its length: of each column the length of its text and one, and the text; 0 is null.
func (c *Converter) appendRow(dst []byte) ([]byte, error) {
	c.row = c.row[:0]
	for i, text := range c.values {
		if text == nil {
			c.row = append(c.row, 0)
			continue
		}
		if col := c.schema.columns[i]; col.Type != String {
			if _, err := col.Type.value(text); err != nil {
				return dst, fmt.Errorf("the value of column %s is no %s", col.Name, col.Type)
			}
		}
		c.row = append(binary.AppendUvarint(c.row, uint64(len(text))+1), text...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(c.row))), c.row...), nil
}

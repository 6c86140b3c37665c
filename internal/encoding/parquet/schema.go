// Package parquet converts JSON records to Parquet files and Parquet files to JSON lines. It
// follows Firehose's record format conversion with the OpenX JSON SerDe as input format and the
// Parquet SerDe as output format. It does no I/O of its own.
package parquet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	pq "github.com/parquet-go/parquet-go"
)

// Type is the type of a column by its name in Hive and the Glue Data Catalog.
type Type string

// The supported types.
const (
	String  Type = "string"
	Int     Type = "int"
	BigInt  Type = "bigint"
	Double  Type = "double"
	Boolean Type = "boolean"
)

// Column is a column of a table.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
}

// maxColumns limits a schema, because the pending flush stores it for each object.
const maxColumns = 1000

// Schema holds the columns of a file. It is immutable.
type Schema struct {
	columns []Column
	file    *pq.Schema
	leaves  []int // index in the file by column; the file orders columns by name
}

// NewSchema returns the schema of a table with the given columns. An error names the unsupported column.
func NewSchema(columns []Column) (*Schema, error) {
	if len(columns) == 0 || len(columns) > maxColumns {
		return nil, fmt.Errorf("the table has %d columns, expected 1 to %d", len(columns), maxColumns)
	}
	group := pq.Group{}
	s := &Schema{columns: slices.Clone(columns)}
	for i, c := range columns {
		node, ok := nodes[c.Type]
		if !ok {
			return nil, fmt.Errorf("column %s has the unsupported type %s; use string, int, bigint, double or boolean", c.Name, c.Type)
		}
		name := strings.ToLower(c.Name)
		if _, duplicate := group[name]; duplicate || name == "" {
			return nil, fmt.Errorf("column name %q is empty or a duplicate", c.Name)
		}
		s.columns[i].Name, group[name] = name, pq.Optional(node())
	}
	s.file = pq.NewSchema("record", group)
	for _, c := range s.columns {
		leaf, _ := s.file.Lookup(c.Name)
		s.leaves = append(s.leaves, leaf.ColumnIndex)
	}
	return s, nil
}

// nodes maps types to Parquet's types. Strings use a dictionary up to dictionaryBytes. It is read-only.
var nodes = map[Type]func() pq.Node{
	String:  func() pq.Node { return pq.Encoded(pq.String(), &pq.RLEDictionary) },
	Int:     func() pq.Node { return pq.Int(32) },
	BigInt:  func() pq.Node { return pq.Int(64) },
	Double:  func() pq.Node { return pq.Leaf(pq.DoubleType) },
	Boolean: func() pq.Node { return pq.Leaf(pq.BooleanType) },
}

// Columns returns the columns in the table's order. The caller must not modify them.
func (s *Schema) Columns() []Column { return s.columns }

// Equal reports whether s and o have the same columns in the same order.
func (s *Schema) Equal(o *Schema) bool {
	return s == o || s != nil && o != nil && slices.Equal(s.columns, o.columns)
}

// value parses text as a value of type t.
func (t Type) value(text []byte) (pq.Value, error) {
	switch t {
	case Int:
		n, err := strconv.ParseInt(string(text), 10, 32)
		return pq.Int32Value(int32(n)), err
	case BigInt:
		n, err := strconv.ParseInt(string(text), 10, 64)
		return pq.Int64Value(n), err
	case Double:
		n, err := strconv.ParseFloat(string(text), 64)
		return pq.DoubleValue(n), err
	case Boolean:
		b, err := strconv.ParseBool(string(text))
		return pq.BooleanValue(b), err
	}
	return pq.ByteArrayValue(text), nil
}

package parquet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	pq "github.com/parquet-go/parquet-go"
)

// Type is the type of a column, as Hive and the Glue Data Catalog call it.
type Type string

// The types that are served.
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

// maxColumns bounds a schema: it is part of what delivery writes down for each object.
const maxColumns = 1000

// Schema is the columns of a file. It does not change.
type Schema struct {
	columns []Column
	file    *pq.Schema
	leaves  []int // of each column: where it is in the file, which has them by name
}

// NewSchema is the schema of a table's columns. An error says which of them cannot be written.
func NewSchema(columns []Column) (*Schema, error) {
	if len(columns) == 0 || len(columns) > maxColumns {
		return nil, fmt.Errorf("a table of %d columns: 1 to %d can be written", len(columns), maxColumns)
	}
	group := pq.Group{}
	s := &Schema{columns: slices.Clone(columns)}
	for i, c := range columns {
		node, ok := nodes[c.Type]
		if !ok {
			return nil, fmt.Errorf("column %s is of type %s: string, int, bigint, double and boolean can be written", c.Name, c.Type)
		}
		name := strings.ToLower(c.Name)
		if _, twice := group[name]; twice || name == "" {
			return nil, fmt.Errorf("column %q is there twice or has no name", c.Name)
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

// nodes are the types as Parquet has them. Texts share a dictionary until it grows large.
var nodes = map[Type]func() pq.Node{
	String:  func() pq.Node { return pq.Encoded(pq.String(), &pq.RLEDictionary) },
	Int:     func() pq.Node { return pq.Int(32) },
	BigInt:  func() pq.Node { return pq.Int(64) },
	Double:  func() pq.Node { return pq.Leaf(pq.DoubleType) },
	Boolean: func() pq.Node { return pq.Leaf(pq.BooleanType) },
}

// Columns are the schema's, in the table's order. The caller must not change them.
func (s *Schema) Columns() []Column { return s.columns }

// Equal says whether both write the same columns.
func (s *Schema) Equal(o *Schema) bool {
	return s == o || s != nil && o != nil && slices.Equal(s.columns, o.columns)
}

// value is a text as a column's value.
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

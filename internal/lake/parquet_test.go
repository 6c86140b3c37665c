//go:build cgo

package lake_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/lake"
)

// parquetFile returns lines with the usual fields as delivery converts them.
func parquetFile(t *testing.T, lines ...string) []byte {
	t.Helper()
	return deliveredParquet(t, []string{"requestId", "request_id", "requestTimeEpoch", "who", "status", "resourcePath", "customer"}, lines)
}

// deliveredParquet returns lines as delivery converts them: all columns are text and have lower-case names.
func deliveredParquet(t *testing.T, fields, lines []string) []byte {
	t.Helper()
	var columns []parquet.Column
	for _, name := range fields {
		if name != "" {
			columns = append(columns, parquet.Column{Name: name, Type: parquet.String})
		}
	}
	return parquetOf(t, columns, []byte(strings.Join(lines, "\n")+"\n"))
}

// parquetOf returns lines as delivery converts them to a table with the given columns.
func parquetOf(t testing.TB, columns []parquet.Column, lines []byte) []byte {
	t.Helper()
	schema, err := parquet.NewSchema(columns)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := parquet.NewWriter(&out, schema, "")
	if err != nil {
		t.Fatal(err)
	}
	converter := parquet.NewConverter(schema)
	var rows []byte
	for line := range bytes.Lines(lines) {
		if rows, err = converter.AppendRows(rows[:0], line); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A line becomes the same row from a Parquet file as from JSON, even if only the format identifies a field.
func TestParquetRowsEqualJSONRows(t *testing.T) {
	format := accesslog.Parse(`{"requestId":"$context.requestId","requestTimeEpoch":"$context.requestTimeEpoch","who":"$context.identity.apiKeyId","status":"$context.status","resourcePath":"$context.resourcePath"}`)
	lines := []string{
		`{"requestId":"r1","requestTimeEpoch":"1783951509123","who":"k1","status":"200","resourcePath":"/a/{b}","customer":"Acme \"\u00e9\""}`,
		`{"requestId":"r2","requestTimeEpoch":"1783951510000","who":"-","status":"-","resourcePath":"-","customer":"-"}`,
	}
	const question = "SELECT time, request_id, key_id, status, route, customer, extra FROM requests ORDER BY request_id"
	var rows [][]string
	for _, body := range [][]byte{[]byte(lines[0] + lines[1]), parquetFile(t, lines...)} {
		l := open(t, "")
		importAll(t, l, &bucket{name: "b", bodies: map[string][]byte{"a": body}}, lake.ImportOptions{Mapping: lake.MappingOf(format, "", "customer", "")})
		rows = append(rows, ask(t, l, question))
	}
	if len(rows[0]) != 2 {
		t.Fatalf("%d rows of JSON, want 2", len(rows[0]))
	}
	want(t, "rows of Parquet", rows[1], rows[0]...)
}

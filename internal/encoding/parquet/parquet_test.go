package parquet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pq "github.com/parquet-go/parquet-go"

	"github.com/stagelog/stagelog/internal/encoding/parquet"
)

func schema(t testing.TB, columns ...parquet.Column) *parquet.Schema {
	t.Helper()
	s, err := parquet.NewSchema(columns)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var usage = []parquet.Column{
	{Name: "requestid", Type: parquet.String}, {Name: "ip", Type: parquet.String}, {Name: "status", Type: parquet.Int},
	{Name: "bytes", Type: parquet.BigInt}, {Name: "share", Type: parquet.Double}, {Name: "hit", Type: parquet.Boolean}, {Name: "extra", Type: parquet.String},
}

// file returns a file of the records, written in pieces of the given size.
func file(t testing.TB, s *parquet.Schema, compression string, piece int, records ...string) []byte {
	t.Helper()
	c := parquet.NewConverter(s)
	var rows []byte
	var err error
	for _, r := range records {
		if rows, err = c.AppendRows(rows, []byte(r)); err != nil {
			t.Fatalf("AppendRows(%s): %v", r, err)
		}
	}
	var out bytes.Buffer
	w, err := parquet.NewWriter(&out, s, compression)
	if err != nil {
		t.Fatal(err)
	}
	for len(rows) > 0 {
		n := min(piece, len(rows))
		part := bytes.Clone(rows[:n])
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		clear(part) // Write must not keep it
		rows = rows[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read returns the decoded lines of a file.
func read(t testing.TB, b []byte) (all []map[string]any) {
	t.Helper()
	r, err := parquet.Lines(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(r)
	for {
		var line map[string]any
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRecordsRoundTrip(t *testing.T) {
	records := []string{
		`{"requestId":"a","ip":"10.0.0.1","status":200,"bytes":"12","share":0.5,"hit":true,"unknown":1}` + "\n",
		`{"REQUESTID":"b \"quoted\" \u00e9\n","status":"404","extra":{"a":[1,2]}}{"requestId":null,"ip":"-"} {}`,
		"{\n \"ip\" : \"10.0.0.2\",\n \"ip\" : \"10.0.0.3\", \"extra\": 1.50 }",
	}
	want := []map[string]any{
		{"requestid": "a", "ip": "10.0.0.1", "status": 200.0, "bytes": 12.0, "share": 0.5, "hit": true},
		{"requestid": "b \"quoted\" é\n", "status": 404.0, "extra": `{"a":[1,2]}`},
		{"ip": "-"},
		{},
		{"ip": "10.0.0.3", "extra": "1.50"},
	}
	for _, compression := range []string{"", parquet.Snappy, parquet.Gzip, parquet.Uncompressed} {
		for _, piece := range []int{1, 7, 1 << 20} {
			if diff := cmp.Diff(want, read(t, file(t, schema(t, usage...), compression, piece, records...))); diff != "" {
				t.Errorf("%q in pieces of %d (-want +got):\n%s", compression, piece, diff)
			}
		}
	}
}

func TestEmptyFileHasColumns(t *testing.T) {
	b := file(t, schema(t, usage...), "", 1)
	if got := read(t, b); len(got) != 0 {
		t.Errorf("rows = %v, want none", got)
	}
	f, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(f.Schema().Columns()); got != len(usage) {
		t.Errorf("%d columns, want %d", got, len(usage))
	}
}

func TestAppendRowsRejectsInvalidRecord(t *testing.T) {
	tests := map[string]string{
		``: "empty", `[{"ip":"a"}]`: "not a sequence of JSON objects", `{"ip":"a"} x`: "not a sequence of JSON objects", `{"ip":"a"`: "", `{"ip":}`: "",
		`{"ip":"a"}{"status":"-"}`: "column status is not of type int", `{"bytes":1.5}`: "column bytes is not of type bigint",
		`{"share":"-"}`: "column share is not of type double", `{"hit":"-"}`: "column hit is not of type boolean", `{"status":99999999999}`: "column status is not of type int",
	}
	c := parquet.NewConverter(schema(t, usage...))
	for record, want := range tests {
		rows, err := c.AppendRows([]byte("before"), []byte(record))
		if err == nil || !strings.Contains(err.Error(), want) || string(rows) != "before" {
			t.Errorf("AppendRows(%s) = %q, %v, want dst unchanged and the error %q", record, rows, err, want)
		}
	}
}

func TestNewSchemaRejectsUnsupportedColumns(t *testing.T) {
	tests := []struct {
		columns []parquet.Column
		want    string
	}{
		{nil, "0 columns"},
		{[]parquet.Column{{Name: "time", Type: "timestamp"}}, "column time has the unsupported type timestamp"},
		{[]parquet.Column{{Name: "a", Type: "string"}, {Name: "A", Type: "string"}}, `column name "A" is empty or a duplicate`},
	}
	for _, tt := range tests {
		if _, err := parquet.NewSchema(tt.columns); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewSchema(%v) = %v, want %q", tt.columns, err, tt.want)
		}
	}
}

func TestFileWithSeveralRowGroups(t *testing.T) {
	s := schema(t, parquet.Column{Name: "id", Type: parquet.String}, parquet.Column{Name: "n", Type: parquet.BigInt})
	c := parquet.NewConverter(s)
	var out bytes.Buffer
	w, err := parquet.NewWriter(&out, s, "")
	if err != nil {
		t.Fatal(err)
	}
	const rows = 250_001
	var buf []byte
	for i := range rows {
		if buf, err = c.AppendRows(buf[:0], fmt.Appendf(nil, `{"id":"request-%d","n":%d}`, i, i)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := read(t, out.Bytes())
	if len(got) != rows {
		t.Fatalf("%d rows, want %d", len(got), rows)
	}
	for i, line := range got {
		if line["id"] != fmt.Sprintf("request-%d", i) || line["n"] != float64(i) {
			t.Fatalf("row %d = %v", i, line)
		}
	}
}

// Files of other programs may have timestamps, ids and nested columns.
func TestLinesReadsForeignFile(t *testing.T) {
	at := time.Date(2026, 7, 13, 14, 5, 9, 123_000_000, time.UTC)
	type inner struct {
		A string `parquet:"a"`
	}
	type row struct {
		Time  time.Time `parquet:"time,timestamp(millisecond)"`
		Micro time.Time `parquet:"micro,timestamp(microsecond)"`
		Ratio float32   `parquet:"ratio"`
		Inner inner     `parquet:"inner"`
		ID    [16]byte  `parquet:"id,uuid"`
		Many  []string  `parquet:"many,list"`
	}
	var b bytes.Buffer
	if err := pq.Write(&b, []row{{at, at, 0.25, inner{"x"}, [16]byte{0xc6, 0xaf, 15: 1}, []string{"p", "q"}}}); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{"time": "2026-07-13T14:05:09.123Z", "micro": "2026-07-13T14:05:09.123Z", "ratio": 0.25, "inner": map[string]any{"a": "x"},
		"id": "c6af0000-0000-0000-0000-000000000001"}}
	if diff := cmp.Diff(want, read(t, b.Bytes())); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// The logical type of a column decides what its integers mean.
func TestLinesReadsLogicalTypes(t *testing.T) {
	for name, tt := range map[string]struct {
		node  pq.Node
		value pq.Value
		want  string
	}{
		"decimal of 4 bytes":          {pq.Decimal(2, 9, pq.Int32Type), pq.Int32Value(1250), "12.50"},
		"decimal of 8 bytes":          {pq.Decimal(3, 18, pq.Int64Type), pq.Int64Value(-5), "-0.005"},
		"decimal without a scale":     {pq.Decimal(0, 9, pq.Int32Type), pq.Int32Value(-200), "-200"},
		"decimal of bytes":            {pq.Decimal(2, 20, pq.ByteArrayType), pq.ByteArrayValue([]byte{0x01, 0x00}), "2.56"},
		"negative decimal of bytes":   {pq.Decimal(2, 20, pq.ByteArrayType), pq.ByteArrayValue([]byte{0xff}), "-0.01"},
		"decimal of a fixed length":   {pq.Decimal(1, 20, pq.FixedLenByteArrayType(9)), pq.FixedLenByteArrayValue([]byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0}), "-236118324143482260684.8"},
		"date":                        {pq.Date(), pq.Int32Value(20785), `"2026-11-28"`},
		"milliseconds":                {pq.Timestamp(pq.Millisecond), pq.Int64Value(1795854600123), `"2026-11-28T08:30:00.123Z"`},
		"microseconds":                {pq.Timestamp(pq.Microsecond), pq.Int64Value(1795854600123456), `"2026-11-28T08:30:00.123456Z"`},
		"nanoseconds":                 {pq.Timestamp(pq.Nanosecond), pq.Int64Value(1795854600123456789), `"2026-11-28T08:30:00.123456789Z"`},
		"microseconds without a zone": {pq.TimestampAdjusted(pq.Microsecond, false), pq.Int64Value(1795854600123456), `"2026-11-28T08:30:00.123456"`},
		"large unsigned number":       {pq.Uint(64), pq.Int64Value(-1), "18446744073709551615"},
		"unsigned number":             {pq.Uint(32), pq.Int32Value(-1), "4294967295"},
		"double":                      {pq.Leaf(pq.DoubleType), pq.DoubleValue(200), "200"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := pq.NewWriter(&b, pq.NewSchema("s", pq.Group{"v": tt.node}))
			if _, err := w.WriteRows([]pq.Row{{tt.value.Level(0, 0, 0)}}); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := parquet.Lines(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != `{"v":`+tt.want+"}\n" {
				t.Errorf("lines %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestLinesReportsCorruptFile(t *testing.T) {
	whole := file(t, schema(t, usage...), "", 1<<20, strings.Repeat(`{"requestId":"a","ip":"10.0.0.1","status":200}`, 500))
	rnd := rand.New(rand.NewPCG(1, 2))
	broken := 0
	for range 300 {
		b := bytes.Clone(whole)
		if rnd.IntN(2) == 0 {
			b = b[:rnd.IntN(len(b))]
		} else {
			b[rnd.IntN(len(b))] ^= byte(1 + rnd.IntN(255))
		}
		r, err := parquet.Lines(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			broken++
			if !errors.Is(err, parquet.ErrCorrupt) {
				t.Errorf("error = %v, want ErrCorrupt", err)
			}
		}
	}
	if broken < 100 {
		t.Errorf("%d of 300 corrupt files were reported, want at least 100", broken)
	}
}

func BenchmarkConvert(b *testing.B) {
	var columns []parquet.Column
	var members []string
	for i := range 16 {
		name := fmt.Sprintf("field_%c", 'a'+i)
		columns = append(columns, parquet.Column{Name: name, Type: parquet.String})
		members = append(members, fmt.Sprintf(`"%s":"value-%d"`, name, i))
	}
	s := schema(b, columns...)
	c := parquet.NewConverter(s)
	record := []byte("{" + strings.Join(members, ",") + "}\n")
	b.Run("rows", func(b *testing.B) {
		b.SetBytes(int64(len(record)))
		b.ReportAllocs()
		var rows []byte
		for b.Loop() {
			rows, _ = c.AppendRows(rows[:0], record)
		}
	})
	b.Run("file", func(b *testing.B) {
		var rows []byte
		for range 1000 {
			rows, _ = c.AppendRows(rows, record)
		}
		w, err := parquet.NewWriter(io.Discard, s, "")
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(record)) * 1000)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.Write(rows); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "records/s")
	})
}

// FuzzRecord checks that any record is either rejected or becomes rows that can be written and read.
func FuzzRecord(f *testing.F) {
	for _, record := range []string{`{"requestId":"a","status":"200"}`, `{"IP":"\u0000\ud800"}{}`, `{"status":null}`, `[]`, `{"bytes":1e3}`, "{\"extra\":{\"a\":[]}}\n"} {
		f.Add([]byte(record))
	}
	s := schema(f, usage...)
	f.Fuzz(func(t *testing.T, record []byte) {
		rows, err := parquet.NewConverter(s).AppendRows(nil, record)
		if err != nil {
			if len(rows) > 0 {
				t.Errorf("%d bytes of rows with error %v", len(rows), err)
			}
			return
		}
		if !json.Valid(record) && bytes.Count(record, []byte("{")) < 2 {
			t.Errorf("invalid record %q was accepted", record)
		}
		var out bytes.Buffer
		w, err := parquet.NewWriter(&out, s, parquet.Uncompressed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(rows); err != nil {
			t.Fatalf("Write: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		read(t, out.Bytes())
	})
}

package deliver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/record"
)

var table = objectkey.CatalogTable{CatalogID: "000000000000", Database: "stagelog_s", Name: "lines", Region: "us-east-1", VersionID: "LATEST"}

func toParquet(columns ...parquet.Column) *deliver.Conversion {
	return &deliver.Conversion{Columns: columns, Compression: parquet.Snappy, Table: table}
}

// conversions are the conversions between which tests switch a stream.
var conversions = []*deliver.Conversion{
	nil,
	toParquet(parquet.Column{Name: "id", Type: parquet.String}),
	toParquet(parquet.Column{Name: "ID", Type: parquet.String}, parquet.Column{Name: "other", Type: parquet.Int}),
	toParquet(parquet.Column{Name: "id", Type: parquet.BigInt}), // matches no record
	toParquet(parquet.Column{Name: "id", Type: "struct<a:int>"}),
	{Table: table, Code: record.CodeNoTable, Message: record.MessageNoTable},
}

// inJSON wraps the results of a function as a field of a JSON object.
type inJSON struct{ deliver.Transformer }

func (j inJSON) Transform(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	out, err := j.Transformer.Transform(ctx, call, b, out)
	for i := range out {
		if out[i].Status == record.OK {
			out[i].Data = fmt.Appendf(nil, "{\"id\":%q}\n", bytes.TrimSpace(out[i].Data))
		}
	}
	return out, err
}

func parquetLines(t testing.TB, body []byte) string {
	t.Helper()
	r, err := parquet.Lines(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(lines)
}

func TestConversionWritesParquet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fn = function{}
		w.dest.FunctionARN, w.dest.Compression, w.dest.ErrorPrefix = "", objectkey.Uncompressed, "errors/!{firehose:error-output-type}/"
		w.dest.Conversion = toParquet(parquet.Column{Name: "requestid", Type: parquet.String}, parquet.Column{Name: "status", Type: parquet.Int})
		w.append(`{"requestId":"a","status":"200","more":1}`, `{"requestId":"b","status":"-"}`, `not JSON`, `{"requestId":"c"}`)
		worker := w.deliverAll(t, nil)
		keys := w.keys("b/logs/")
		if len(keys) != 1 || !strings.HasSuffix(keys[0], ".parquet") {
			t.Fatalf("data objects %q, want one .parquet", keys)
		}
		if enc := w.objects[keys[0]].meta.ContentEncoding; enc != "" {
			t.Errorf("Content-Encoding %q, want none", enc)
		}
		if diff := cmp.Diff([]string{`{"requestid":"a","status":200}`, `{"requestid":"c"}`}, w.lines(t, "b/logs/")); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if c := worker.Counts(); c.Out != 2 || c.Failed != 2 {
			t.Errorf("counts %+v, want 2 out and 2 failed", c)
		}
		failures := w.failures(t)
		if len(failures) != 2 || len(w.keys("b/errors/format-conversion-failed/")) != 1 {
			t.Fatalf("error records %+v in %q", failures, w.keys("b/errors/"))
		}
		for i, want := range []struct{ raw, message string }{{`{"requestId":"b","status":"-"}`, "column status is not of type int"}, {"not JSON", "not a sequence of JSON objects"}} {
			f := failures[i]
			if string(f.RawData) != want.raw || f.ErrorCode != record.CodeMalformedData || !strings.Contains(f.ErrorMessage, want.message) || f.Table == nil || *f.Table != table {
				t.Errorf("error record %+v with table %+v, want %q of %q", f, f.Table, want.message, want.raw)
			}
		}
	})
}

func TestConversionWithoutSchemaFailsRecords(t *testing.T) {
	for code, conversion := range map[record.ErrorCode]*deliver.Conversion{
		record.CodeNoTable:       {Table: table, Code: record.CodeNoTable, Message: record.MessageNoTable},
		record.CodeInvalidSchema: toParquet(parquet.Column{Name: "a", Type: "map<string,string>"}),
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.fn = inJSON{function{}}
			w.dest.Conversion = conversion
			w.append("a", "b")
			w.deliverAll(t, nil)
			w.exactlyOnce(t, []string{"a", "b"})
			for _, f := range w.failures(t) {
				if f.ErrorCode != code {
					t.Errorf("code %s, want %s", f.ErrorCode, code)
				}
			}
			if keys := w.keys("b/logs/"); len(keys) > 0 {
				t.Errorf("data objects %q, want none", keys)
			}
		})
	}
}

// An object of the pending flush may exist already, so the flush keeps its columns after a crash.
func TestPendingFlushKeepsConversion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fn = inJSON{function{}}
		w.dest.Conversion = conversions[1]
		w.append("a", "bad-b")
		worker, ctx, _ := w.worker(t, crashAt("commit", 1, false))
		ended := run(ctx, worker)
		time.Sleep(2 * time.Minute)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		before := w.keys("b/")
		w.dest.Version, w.dest.Conversion = 2, conversions[5]
		w.append("c")
		w.deliverAll(t, nil)
		w.exactlyOnce(t, []string{"a", "bad-b", "c"})
		after := w.keys("b/")
		if len(before) != 2 || len(after) != 3 {
			t.Errorf("objects %q before and %q after the crash, want 2, and 1 more", before, after)
		}
	})
}

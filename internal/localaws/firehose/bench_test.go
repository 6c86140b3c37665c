package firehose_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

// discard is a ResponseWriter that keeps the status alone.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// nowhere is a Log that forgets.
type nowhere struct{}

func (nowhere) Append(context.Context, []byte) (uint64, error) { return 1, nil }

// batchBody is a PutRecordBatch as the SDKs write it.
func batchBody(n, size int) []byte {
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), size))
	var b strings.Builder
	b.WriteString(`{"DeliveryStreamName":"bench","Records":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"Data":"` + data + `"}`)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func benchService(b *testing.B) *firehose.Service {
	b.Helper()
	s, err := firehose.New(context.Background(), firehose.Config{Region: region, Account: account}, &recordtest.Store{},
		ingest.New(ingest.Config{}, func(context.Context, string, int) (ingest.Log, error) { return nowhere{}, nil }))
	if err != nil {
		b.Fatal(err)
	}
	var r reply
	call(handler(s, clock), signed(b, "CreateDeliveryStream", `{"DeliveryStreamName":"bench","S3DestinationConfiguration":{"RoleARN":"`+roleARN+`","BucketARN":"`+bucketARN+`"}}`, nil), &r)
	if r.Status != 200 {
		b.Fatalf("create: %+v", r)
	}
	return s
}

// BenchmarkHandler is the work of one request from its headers to its answer, signature
// and frame included, without network and disk.
func BenchmarkHandler(b *testing.B) {
	h := handler(benchService(b), clock)
	put, err := json.Marshal(map[string]any{"DeliveryStreamName": "bench", "Record": map[string][]byte{"Data": bytes.Repeat([]byte("x"), 374)}})
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name, op string
		body     []byte
		records  int
	}{
		{"PutRecordBatch/500x374B", "PutRecordBatch", batchBody(500, 374), 500},
		{"PutRecord/374B", "PutRecord", put, 1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := signed(b, bench.op, string(bench.body), nil)
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			begin := time.Now()
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(bench.body))
				h.ServeHTTP(w, r)
			}
			if w.status != 0 {
				b.Fatalf("status %d", w.status)
			}
			b.ReportMetric(float64(b.N*bench.records)/time.Since(begin).Seconds(), "records/s")
		})
	}
}

package deliver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/record"
)

// line returns a record of typical size (374 bytes) that compresses like a real one.
func line(i int) []byte {
	return fmt.Appendf(nil, `{"request_id":"%08x-6c1f-4c9e-9a55-%012x","api_id":"a1b2c3d4e5","stage":"prod","method":"GET","uri":"/orders/%d/items","resource_id":"k3p9q2","status":"200","response_size":"%d","latency":"%d","ip":"203.0.113.%d","request_time":"%d","api_key":"********************************%04d","key_id":"%010x","user_agent":"curl/8.5.0 (x86_64-pc-linux-gnu) libcurl/8.5","pad":"abcd"}`,
		i*2654435761, i*40503, i*7919%100000, 100+i*31%4000, i*17%300, i%250, 1767225600000+i, i*13%10000, i*104729%1000003)
}

// columnsOf returns one text column for each field of a record.
func columnsOf(record []byte) (columns []parquet.Column) {
	var fields map[string]string
	if err := json.Unmarshal(record, &fields); err != nil {
		panic(err)
	}
	for name := range fields {
		columns = append(columns, parquet.Column{Name: name, Type: parquet.String})
	}
	return columns
}

// endless is a log that returns the same frames n times and then blocks.
type endless struct {
	frames [][]byte
	n      int
}

func (l endless) Read(ctx context.Context, _ uint64, _ time.Duration, fn func(uint64, []byte) error) error {
	for i := range l.n {
		if err := fn(uint64(i+1), l.frames[i%len(l.frames)]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}
func (l endless) Trim(context.Context, uint64) error            { return nil }
func (l endless) Range(context.Context) (uint64, uint64, error) { return 1, uint64(l.n), nil }
func (l endless) Frame(context.Context, uint64) ([]byte, error) { return nil, record.ErrNotFound }
func (l endless) Records(uint64, uint64) (int64, bool)          { return 0, false }

type discard struct{}

func (discard) Put(_ context.Context, _, _ string, body io.ReadSeeker, _ record.Meta) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

func (discard) Exists(context.Context, string, string) (bool, error) { return false, nil }

// identity is a Transformer that returns each record with a newline appended.
type identity struct{}

func (identity) Transform(_ context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	buf := (*call.Scratch)[:0]
	for _, rec := range b.Records {
		at := len(buf)
		buf = append(append(buf, rec...), '\n')
		out = append(out, record.Result{Data: buf[at:len(buf):len(buf)]})
	}
	*call.Scratch = buf
	return out, nil
}

func BenchmarkWorker(b *testing.B) {
	const perFrame = 500
	var frames [][]byte
	for f := range 64 {
		batch := record.Batch{Arrived: time.Now()}
		for i := range perFrame {
			batch.Records = append(batch.Records, line(f*perFrame+i))
		}
		frames = append(frames, batch.AppendFrame(nil))
	}
	for _, compression := range []string{"GZIP", "UNCOMPRESSED", "Snappy", "HADOOP_SNAPPY", "ZIP", objectkey.Parquet} {
		b.Run(compression, func(b *testing.B) {
			w := newWorld()
			w.dest.Compression, w.dest.Size = compression, 5<<20
			if compression == objectkey.Parquet {
				w.dest.Size, w.dest.Conversion = 64<<20, toParquet(columnsOf(line(1))...)
			}
			if err := deliver.Create(b.Context(), w.store, "s", 0); err != nil {
				b.Fatal(err)
			}
			log := endless{frames: frames, n: b.N}
			worker, err := deliver.New(deliver.Config{Destination: w.destination, SpoolDir: b.TempDir(), Faults: w.openFaults(b)},
				log, w.store, discard{}, identity{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(frames[0])))
			b.ReportAllocs()
			ctx, cancel := context.WithCancel(b.Context())
			b.ResetTimer()
			ended := run(ctx, worker)
			if err := worker.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
			if got := worker.Counts().Out; got != int64(b.N)*perFrame {
				b.Fatalf("delivered %d records, want %d", got, b.N*perFrame)
			}
			b.ReportMetric(float64(b.N)*perFrame/b.Elapsed().Seconds(), "records/s")
		})
	}
}

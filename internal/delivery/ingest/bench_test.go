package ingest_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/ingest"
	"github.com/stagelog/stagelog/internal/record"
)

type nowhere struct{}

func (nowhere) Append(context.Context, []byte) (uint64, error) { return 1, nil }

func BenchmarkPut(b *testing.B) {
	s := ingest.New(ingest.Config{}, func(context.Context, string, int) (ingest.Log, error) { return nowhere{}, nil })
	stream, err := s.Open(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	s.Add(stream)
	records := make([][]byte, record.MaxBatchRecords)
	for i := range records {
		records[i] = bytes.Repeat([]byte("x"), 374)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Put(context.Background(), "bench", records); err != nil {
			b.Fatal(err)
		}
	}
}

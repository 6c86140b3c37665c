package buffer_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
)

// BenchmarkAppend appends frames from one or more goroutines.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{400, 64 << 10, 512 << 10, 1_000_000} {
		for _, workers := range []int{1, 4, 64} {
			b.Run(fmt.Sprintf("bytes=%d/workers=%d", size, workers), func(b *testing.B) {
				l := openLog(b, open(b, buffer.Config{Dir: b.TempDir(), MaxBytes: 40 << 30}), "s", 0)
				frame := make([]byte, size)
				b.SetBytes(int64(size))
				var n atomic.Int64
				n.Store(int64(b.N))
				var wg sync.WaitGroup
				b.ResetTimer()
				for range workers {
					wg.Go(func() {
						for n.Add(-1) >= 0 {
							seq, err := l.Append(b.Context(), frame)
							if err != nil {
								b.Error(err)
								return
							}
							if seq%1000 == 0 {
								if err := l.Trim(b.Context(), seq); err != nil {
									b.Error(err)
								}
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			})
		}
	}
}

// BenchmarkOpen opens a buffer with frames, all of which it checks.
func BenchmarkOpen(b *testing.B) {
	cfg := buffer.Config{Dir: b.TempDir()}
	frames, err := buffer.Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	const total, size = 256 << 20, 512 << 10
	for range total / size {
		if _, err := openLog(b, frames, "s", 0).Append(b.Context(), make([]byte, size)); err != nil {
			b.Fatal(err)
		}
	}
	if err := frames.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(total)
	for b.Loop() {
		frames, err := buffer.Open(b.Context(), cfg)
		if err == nil {
			err = frames.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{400, 64 << 10, 512 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			l := openLog(b, open(b, buffer.Config{Dir: b.TempDir()}), "s", 0)
			frames := min(1000, 128<<20/size)
			for range frames {
				if _, err := l.Append(b.Context(), make([]byte, size)); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(size))
			b.ResetTimer()
			for left := b.N; left > 0; {
				err := l.Read(b.Context(), 1, time.Minute, func(seq uint64, _ []byte) error {
					if left--; left == 0 || seq == uint64(frames) {
						return errEnough
					}
					return nil
				})
				if err != errEnough { //nolint:errorlint // Read returns fn's error unchanged
					b.Fatal(err)
				}
			}
		})
	}
}

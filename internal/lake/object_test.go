package lake

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"strings"
	"testing"
)

// endless repeats a text n times.
type endless struct {
	text string
	n    int
}

func (e *endless) WriteTo(w io.Writer) (all int64, err error) {
	for range e.n {
		n, err := io.WriteString(w, e.text)
		all += int64(n)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// A small object with a lot of content needs little memory and disk.
func TestGzipBombIsBounded(t *testing.T) {
	const limit = 8 << 20
	for name, content := range map[string]endless{
		"one line":    {strings.Repeat(" ", 1<<20), 64},
		"empty lines": {strings.Repeat("\n", 1<<20), 64},
		"objects":     {strings.Repeat(`{"ip":1,"uri":1}`, 1<<15), 16}, // each becomes a row of about 35 bytes
		"long values": {`{"a":"` + strings.Repeat("x", 1<<19) + `"}`, 128},
	} {
		t.Run(name, func(t *testing.T) {
			var bomb bytes.Buffer
			z := gzip.NewWriter(&bomb)
			if _, err := content.WriteTo(z); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var r read
			var disk counter
			err := r.parse(t.Context(), &bomb, &disk, Mapping{}.reader(1), limit)
			runtime.ReadMemStats(&after)
			if err != nil || !strings.Contains(r.problem, "more than 8388608 bytes") {
				t.Errorf("problem %q, %v", r.problem, err)
			}
			if disk > limit+16<<20 || int64(disk) != r.bytes {
				t.Errorf("%d bytes of rows, %d counted", disk, r.bytes)
			}
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

// An object of exactly the limit is imported whole.
func TestObjectOfTheLimitIsWhole(t *testing.T) {
	const line = `{"request_id":"r","status":1}` + "\n"
	for _, length := range []int{len(line), len(line) - 1} {
		var r read
		if err := r.parse(t.Context(), strings.NewReader(line[:length]), io.Discard, Mapping{}.reader(1), int64(len(line))); err != nil || r.problem != "" {
			t.Errorf("%d bytes: problem %q, %v", length, r.problem, err)
		}
	}
}

// counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

package buffer_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/buffer"
	"github.com/stagelog/stagelog/internal/record"
)

// frame returns a frame of n records.
func frame(n int) string {
	records := make([][]byte, n)
	for i := range records {
		records[i] = []byte("record")
	}
	return string(record.Batch{Arrived: time.UnixMilli(1_800_000_000_000), Records: records}.AppendFrame(nil))
}

func TestRecordsCountsAcknowledgedFrames(t *testing.T) {
	dir := t.TempDir()
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l := openLog(t, b, "s", 0)
	appendAll(t, l, frame(1), frame(2), frame(3))
	want := func(from, to uint64, n int64, known bool) {
		t.Helper()
		if got, ok := l.Records(from, to); got != n || ok != known {
			t.Errorf("Records(%d, %d) = %d, %v, want %d, %v", from, to, got, ok, n, known)
		}
	}
	want(1, 3, 6, true)
	want(2, 2, 2, true)
	want(0, 3, 0, false)
	want(3, 4, 0, false)
	want(3, 2, 0, false)
	if err := l.Trim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, buffer.Config{Dir: dir})
	l = openLog(t, b, "s", 0)
	appendAll(t, l, frame(4))
	want(3, 4, 7, true)
	if err := b.DeleteLog(t.Context(), "s", 0); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, b, "s", 0)
	want(1, 1, 0, false)
	appendAll(t, l, frame(9))
	want(1, 1, 9, true)
	want(2, 2, 0, false)
}

func TestForeignJournalIsReplaced(t *testing.T) {
	dir := t.TempDir()
	b, err := buffer.Open(t.Context(), buffer.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		appendAll(t, openLog(t, b, name, 0), frame(1), frame(2))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "acked", "FRAMES_b_0")
	if err := os.Rename(other, filepath.Join(dir, "acked", "FRAMES_a_0")); err != nil {
		t.Fatal(err)
	}
	b = open(t, buffer.Config{Dir: dir})
	for _, name := range []string{"a", "b"} {
		l := openLog(t, b, name, 0)
		appendAll(t, l, frame(3))
		if n, known := l.Records(3, 3); n != 3 || !known {
			t.Errorf("Records of a new frame of %s = %d, %v, want 3", name, n, known)
		}
	}
}

package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/record"
)

func batch(records ...string) record.Batch {
	b := record.Batch{Arrived: time.UnixMilli(1767225599999).UTC()}
	for _, r := range records {
		b.Records = append(b.Records, []byte(r))
	}
	return b
}

func TestFrameRoundTrip(t *testing.T) {
	tests := map[string]record.Batch{
		"none":         batch(),
		"one":          batch(`{"a":1}`),
		"empty record": batch(""),
		"several":      batch("a", "", "\x00\xff\n", strings.Repeat("x", 70_000)),
		"largest":      {Arrived: time.UnixMilli(0).UTC(), Records: [][]byte{make([]byte, record.MaxBytes)}},
		"before 1970":  {Arrived: time.UnixMilli(-1).UTC(), Records: [][]byte{{1}}},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			frame := want.AppendFrame([]byte("kept"))
			if !bytes.HasPrefix(frame, []byte("kept")) {
				t.Fatalf("AppendFrame changed the prefix of dst: %q", frame[:4])
			}
			frame = frame[4:]
			total := 0
			for _, r := range want.Records {
				total += len(r)
			}
			if got := record.FrameBytes(len(want.Records), total); got != len(frame) {
				t.Errorf("FrameBytes(%d, %d) = %d, want %d, the frame's size", len(want.Records), total, got, len(frame))
			}
			got, err := record.ParseFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			if len(want.Records) == 0 {
				got.Records, want.Records = nil, nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ParseFrame (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFrameSumIdentifiesFrames(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	frames := [][]byte{
		record.Batch{Arrived: at, Records: [][]byte{[]byte("a")}}.AppendFrame(nil),
		record.Batch{Arrived: at, Records: [][]byte{[]byte("b")}}.AppendFrame(nil),
		record.Batch{Arrived: at.Add(time.Millisecond), Records: [][]byte{[]byte("a")}}.AppendFrame(nil),
		record.LostFrame(),
	}
	seen := map[uint32]bool{0: true}
	for i, f := range frames {
		if sum := record.FrameSum(f); seen[sum] {
			t.Errorf("frame %d has the sum %08x of another, or 0", i, sum)
		} else {
			seen[sum] = true
		}
		want := uint32(1)
		if i == 3 {
			want = 0
		}
		if n := record.FrameRecords(f); n != want || record.IsLostFrame(f) != (i == 3) {
			t.Errorf("frame %d: %d records, lost %v", i, n, record.IsLostFrame(f))
		}
	}
	if b, err := record.ParseFrame(record.LostFrame()); err != nil || len(b.Records) != 0 {
		t.Errorf("record.ParseFrame(LostFrame()) = %v, %v, want no records", b, err)
	}
	if record.FrameSum(nil) == 0 || record.FrameRecords([]byte("SLF1")) != 0 {
		t.Error("a short frame has the sum 0, or records")
	}
}

func TestFrameSizeReadsOneFrame(t *testing.T) {
	frame := record.Batch{Arrived: time.UnixMilli(1), Records: [][]byte{[]byte("abc"), nil, []byte("d")}}.AppendFrame(nil)
	more := append(frame[:len(frame):len(frame)], frame...)
	if n, ok := record.FrameSize(more); n != len(frame) || !ok {
		t.Errorf("FrameSize = %d, %v, want %d", n, ok, len(frame))
	}
	for n := range len(frame) {
		if got, ok := record.FrameSize(frame[:n]); ok {
			t.Errorf("FrameSize of the first %d bytes = %d, want none", n, got)
		}
	}
}

func TestLargestRecordFitsInFrame(t *testing.T) {
	if got := record.FrameBytes(1, record.MaxBytes); got > record.MaxFrameBytes {
		t.Errorf("FrameBytes(1, MaxBytes) = %d, more than MaxFrameBytes %d", got, record.MaxFrameBytes)
	}
}

func TestArrivalKeepsMilliseconds(t *testing.T) {
	b := batch("x")
	b.Arrived = time.Date(2026, 12, 31, 23, 59, 59, 123_456_789, time.FixedZone("", 3600))
	got, err := record.ParseFrame(b.AppendFrame(nil))
	if err != nil {
		t.Fatal(err)
	}
	if want := b.Arrived.Truncate(time.Millisecond); !got.Arrived.Equal(want) || got.Arrived.Location() != time.UTC {
		t.Errorf("Arrived = %v, want %v in UTC", got.Arrived, want)
	}
}

func TestParseFrameDetectsDamage(t *testing.T) {
	frame := batch("one", "two", "").AppendFrame(nil)
	for i := range frame {
		for bit := range 8 {
			bad := slices.Clone(frame)
			bad[i] ^= 1 << bit
			if _, err := record.ParseFrame(bad); !errors.Is(err, record.ErrFrame) {
				t.Fatalf("byte %d bit %d flipped: err = %v, want ErrFrame", i, bit, err)
			}
		}
		if _, err := record.ParseFrame(frame[:i]); !errors.Is(err, record.ErrFrame) {
			t.Fatalf("truncated to %d bytes: err = %v, want ErrFrame", i, err)
		}
	}
	if _, err := record.ParseFrame(append(slices.Clone(frame), 0)); !errors.Is(err, record.ErrFrame) {
		t.Fatalf("one extra byte: err = %v, want ErrFrame", err)
	}
}

func TestInvalidFrameWithValidChecksum(t *testing.T) {
	seal := func(body string) []byte {
		p := []byte(body)
		return binary.LittleEndian.AppendUint32(p, crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	}
	tests := map[string]string{
		"count beyond the frame":  "SLF1" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\xff\xff\xff\xff",
		"record beyond the frame": "SLF1" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00" + "\x05\x00\x00\x00" + "four",
		"bytes after the last":    "SLF1" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00" + "\x03\x00\x00\x00" + "four",
		"other version":           "SLF2" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00",
	}
	for name, body := range tests {
		b, err := record.ParseFrame(seal(body))
		if !errors.Is(err, record.ErrFrame) || len(b.Records) > 0 {
			t.Errorf("%s: %d records, err = %v, want none and ErrFrame", name, len(b.Records), err)
		}
	}
}

func TestParsedRecordsDoNotOverlap(t *testing.T) {
	b, err := record.ParseFrame(batch("one", "two").AppendFrame(nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(b.Records[0], "overwritten"...)
	if string(b.Records[1]) != "two" {
		t.Errorf("appending to record 0 changed record 1 to %q", b.Records[1])
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	frame := batch(strings.Split(strings.Repeat("record ", 500), " ")...).AppendFrame(nil)
	var b record.Batch
	if got := testing.AllocsPerRun(100, func() {
		if err := b.Parse(frame); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("Parse into a used batch allocates %v times, want 0", got)
	}
	scratch := frame[:0:0]
	scratch = append(scratch, frame...)
	if got := testing.AllocsPerRun(100, func() { scratch = b.AppendFrame(scratch[:0]) }); got != 0 {
		t.Errorf("AppendFrame into enough space allocates %v times, want 0", got)
	}
}

func TestIDRoundTrip(t *testing.T) {
	seen := map[string]bool{}
	last := ""
	for _, shard := range []int{0, 1, math.MaxInt32} {
		for _, seq := range []uint64{0, 1, 1 << 40, math.MaxUint64} {
			for _, index := range []int{0, 1, 499, math.MaxInt32} {
				id := record.ID(shard, seq, index)
				if len(id) != 56 || strings.Trim(id, "0123456789") != "" {
					t.Fatalf("ID(%d, %d, %d) = %q, want 56 digits", shard, seq, index, id)
				}
				if seen[id] {
					t.Errorf("ID(%d, %d, %d) = %q is a duplicate", shard, seq, index, id)
				}
				if id <= last {
					t.Errorf("ID(%d, %d, %d) = %q sorts before %q", shard, seq, index, id, last)
				}
				seen[id], last = true, id
				s, q, i, ok := record.ParseID(id)
				if !ok || s != shard || q != seq || i != index {
					t.Errorf("ParseID(ID(%d, %d, %d)) = %d, %d, %d, %v", shard, seq, index, s, q, i, ok)
				}
			}
		}
	}
}

func TestParseIDRejectsInvalidIDs(t *testing.T) {
	good := record.ID(3, 77, 5)
	for _, id := range []string{
		"", "1", good[1:], good + "0", "5" + good[1:], good[:55] + "x", "+" + good[1:],
		good[:30] + "9" + good[31:], strings.Repeat("9", 56), strings.Repeat("0", 56),
		"49546986683135544286507457936321625675700192471156785154", // one of Amazon's
	} {
		if s, q, i, ok := record.ParseID(id); ok {
			t.Errorf("ParseID(%q) = %d, %d, %d, true, want false", id, s, q, i)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(batch().AppendFrame(nil))
	f.Add(batch("one", "", "three").AppendFrame(nil))
	f.Fuzz(func(t *testing.T, frame []byte) {
		frame = slices.Clone(frame)
		// The fuzzer would not get past the checksum.
		if len(frame) >= 4 {
			body := frame[:len(frame)-4]
			binary.LittleEndian.PutUint32(frame[len(frame)-4:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
		}
		b, err := record.ParseFrame(frame)
		if err != nil {
			if !errors.Is(err, record.ErrFrame) || len(b.Records) > 0 {
				t.Fatalf("err = %v with %d records, want ErrFrame and none", err, len(b.Records))
			}
			return
		}
		if again := b.AppendFrame(nil); !bytes.Equal(again, frame) {
			t.Errorf("round trip of a frame of %d bytes returned %d different bytes", len(frame), len(again))
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add(record.ID(0, 1, 0))
	f.Add("49600199999999990000000000000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, id string) {
		if s, q, i, ok := record.ParseID(id); ok && record.ID(s, q, i) != id {
			t.Errorf("ParseID(%q) = %d, %d, %d, which has another id", id, s, q, i)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	frame := benchBatch().AppendFrame(nil)
	var batch record.Batch
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if err := batch.Parse(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	batch := benchBatch()
	dst := batch.AppendFrame(nil)
	b.SetBytes(int64(len(dst)))
	for b.Loop() {
		dst = batch.AppendFrame(dst[:0])
	}
}

func BenchmarkID(b *testing.B) {
	dst := make([]byte, 0, 64)
	for b.Loop() {
		dst = record.AppendID(dst[:0], 1, 1<<40, 499)
	}
}

func benchBatch() record.Batch {
	b := record.Batch{Arrived: time.Now()}
	for range 500 {
		b.Records = append(b.Records, make([]byte, 374))
	}
	return b
}

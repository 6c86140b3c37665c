package base64_test

import (
	"bytes"
	std "encoding/base64"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/encoding/base64"
)

// FuzzBase64 compares encoding and decoding with encoding/base64.
func FuzzBase64(f *testing.F) {
	for _, seed := range []string{
		"", "YQ==", "YR==", "YWI=", "YWJj", "YWJjZGVmZ2hpams=", "YWJjZGVmZ2hpamtsbW5vcA==", "YWJj\nZGVm", "YWJjZGVmZ2hp\namtsbW5vcA==",
		strings.Repeat("YWJj", 40), strings.Repeat("YWJj", 40) + "YR==", strings.Repeat("YWJj", 15) + "\n\n\n\n" + strings.Repeat("YWJj", 15),
		"====", "YQ=a", "AAAAAAAAAAAA=AAA", "////++++=aaaaaaaaaaaaaaa", "\xff\xff\xff\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(compare)
}

// Vector instructions write whole words, but must not write beyond the result.
func TestNoWriteBeyondResult(t *testing.T) {
	const most, guard = 300, 64
	raw := bytes.Repeat([]byte("rEcOrD-0"), most/8+1)
	for n := range most {
		space := bytes.Repeat([]byte("."), most*2+guard)
		enc := base64.Append(space[:0], raw[:n])
		if want := std.StdEncoding.EncodeToString(raw[:n]); string(enc) != want || &space[0] != &enc[:1][0] {
			t.Fatalf("Append of %d bytes = %q, want %q in the space of dst", n, enc, want)
		}
		if behind := space[len(enc):]; len(bytes.Trim(behind, ".")) > 0 {
			t.Fatalf("Append of %d bytes wrote %q beyond the result", n, behind)
		}
		space = bytes.Repeat([]byte("."), most*2+guard)
		dec, ok := base64.AppendDecoded(space[:0], enc)
		if !ok || !bytes.Equal(dec, raw[:n]) || &space[0] != &dec[:1][0] {
			t.Fatalf("AppendDecoded of %d bytes = %q, %v, want %q in the space of dst", n, dec, ok, raw[:n])
		}
		if behind := space[len(enc)/4*3:]; len(bytes.Trim(behind, ".")) > 0 {
			t.Fatalf("AppendDecoded of %d bytes wrote %q beyond the result", n, behind)
		}
	}
}

// Tries every byte at every index of inputs that are long enough for the vector instructions.
func TestInvalidBytesAreRejected(t *testing.T) {
	for _, n := range []int{36, 66, 192} {
		valid := []byte(std.StdEncoding.EncodeToString(bytes.Repeat([]byte("r"), n)))
		for at := range valid {
			for c := range 256 {
				v := bytes.Clone(valid)
				v[at] = byte(c)
				compare(t, v)
			}
		}
	}
}

// compare compares encoding and decoding with encoding/base64.
func compare(t *testing.T, v []byte) {
	t.Helper()
	want, err := std.StdEncoding.Strict().DecodeString(string(v))
	valid := err == nil && !bytes.ContainsAny(v, "\r\n")
	got, ok := base64.AppendDecoded([]byte("x"), v)
	if ok != valid || ok && string(got) != "x"+string(want) || !ok && string(got) != "x" {
		t.Fatalf("AppendDecoded(%q) = %q, %v; want %q, %v", v, got, ok, want, valid)
	}
	if got := string(base64.Append([]byte("x"), v)); got != "x"+std.StdEncoding.EncodeToString(v) {
		t.Fatalf("Append(%q) = %q", v, got)
	}
}

func BenchmarkBase64(b *testing.B) {
	var enc, dec []byte
	raw := bytes.Repeat([]byte("r"), 374)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			enc = base64.Append(enc[:0], raw)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			dec, _ = base64.AppendDecoded(dec[:0], enc)
		}
	})
}

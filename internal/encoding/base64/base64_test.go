package base64_test

import (
	"bytes"
	std "encoding/base64"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/encoding/base64"
)

// FuzzBase64 compares both ways with encoding/base64.
func FuzzBase64(f *testing.F) {
	for _, seed := range []string{
		"", "YQ==", "YR==", "YWI=", "YWJj", "YWJjZGVmZ2hpams=", "YWJjZGVmZ2hpamtsbW5vcA==", "YWJj\nZGVm", "YWJjZGVmZ2hp\namtsbW5vcA==",
		"====", "YQ=a", "AAAAAAAAAAAA=AAA", "////++++=aaaaaaaaaaaaaaa", "\xff\xff\xff\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		want, err := std.StdEncoding.Strict().DecodeString(string(v))
		valid := err == nil && !bytes.ContainsAny(v, "\r\n")
		got, ok := base64.AppendDecoded([]byte("x"), v)
		if ok != valid || ok && string(got) != "x"+string(want) || !ok && string(got) != "x" {
			t.Fatalf("AppendDecoded(%q) = %q, %v; want %q, %v", v, got, ok, want, valid)
		}
		if got := string(base64.Append([]byte("x"), v)); got != "x"+std.StdEncoding.EncodeToString(v) {
			t.Fatalf("Append(%q) = %q", v, got)
		}
	})
}

func TestRoomIsUsedAndNothingBehindIt(t *testing.T) {
	space := bytes.Repeat([]byte("."), 64)
	enc := base64.Append(nil, []byte(strings.Repeat("a", 30)))
	got, ok := base64.AppendDecoded(space[:0], enc)
	if !ok || len(got) != 30 || &got[0] != &space[0] || string(space[30:]) != strings.Repeat(".", 34) {
		t.Errorf("AppendDecoded gave %q, %v and left %q behind it", got, ok, space[30:])
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

// Package base64 encodes and decodes standard, padded base64 with vector instructions. Its decoder
// accepts only strictly valid input.
//
// It uses github.com/segmentio/asm/base64, which passes the end of the input to encoding/base64. On
// its own, that accepts line breaks and, by default, non-zero bits before the padding.
package base64

import (
	"slices"

	"github.com/segmentio/asm/base64"
)

// strict rejects non-zero bits before the padding.
var strict = base64.StdEncoding.Strict()

// AppendDecoded appends the decoded v to dst. If v is not strictly valid, it returns false and dst
// with its original length.
func AppendDecoded(dst, v []byte) ([]byte, bool) {
	if len(v)%4 != 0 {
		return dst, false
	}
	at, want := len(dst), len(v)/4*3
	dst = slices.Grow(dst, want)[:at+want]
	for i := len(v) - 1; i >= 0 && i >= len(v)-2 && v[i] == '='; i-- {
		want--
	}
	// Line breaks are skipped; the result is then shorter than expected.
	n, err := strict.Decode(dst[at:], v)
	if err != nil || n != want {
		return dst[:at], false
	}
	return dst[:at+n], true
}

// Append appends the encoded v to dst.
func Append(dst, v []byte) []byte {
	at, n := len(dst), (len(v)+2)/3*4
	dst = slices.Grow(dst, n)[:at+n]
	strict.Encode(dst[at:], v)
	return dst
}

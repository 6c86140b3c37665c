// Package base64 encodes and decodes the standard, padded base64 with vector instructions, and
// accepts nothing that is not strictly valid.
//
// The work is that of github.com/segmentio/asm/base64, which leaves the end of the input to
// encoding/base64. On its own it accepts line breaks, and by default also bits left over before
// the padding.
package base64

import (
	"slices"

	"github.com/segmentio/asm/base64"
)

// strict rejects bits that are left over before the padding.
var strict = base64.StdEncoding.Strict()

// AppendDecoded appends what v encodes to dst. When it returns false, v is not strict base64, and
// dst comes back as long as it was.
func AppendDecoded(dst, v []byte) ([]byte, bool) {
	if len(v)%4 != 0 {
		return dst, false
	}
	at, want := len(dst), len(v)/4*3
	dst = slices.Grow(dst, want)[:at+want]
	for i := len(v) - 1; i >= 0 && i >= len(v)-2 && v[i] == '='; i-- {
		want--
	}
	// Line breaks are skipped: then there is less than expected.
	n, err := strict.Decode(dst[at:], v)
	if err != nil || n != want {
		return dst[:at], false
	}
	return dst[:at+n], true
}

// Append appends v, encoded, to dst.
func Append(dst, v []byte) []byte {
	at, n := len(dst), (len(v)+2)/3*4
	dst = slices.Grow(dst, n)[:at+n]
	strict.Encode(dst[at:], v)
	return dst
}

// Package base64 is the standard base64, padded and strict, fast: most of what the front door
// and a function's handler do with a record is base64.
//
// Both ways go through tables made for whole words, at about twice the standard library's
// speed. The end, and what is unusual, is left to encoding/base64, which also decides what is
// valid: no line breaks, no bits left over.
package base64

import (
	"encoding/base64"
	"encoding/binary"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// pairs gives the two characters of 12 bits. It is never written after it was made.
var pairs = makePairs()

// words gives the 24 bits that four characters stand for, each in its place, or bad. It is
// never written after it was made.
var words = makeWords()

// bad is above the 24 bits of any good word.
const bad = 1 << 31

func makePairs() *[4096]uint16 {
	var t [4096]uint16
	for i := range t {
		t[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return &t
}

func makeWords() *[4][256]uint32 {
	var t [4][256]uint32
	for place := range t {
		for c := range t[place] {
			t[place][c] = bad
		}
		for i := range len(alphabet) {
			t[place][alphabet[i]] = uint32(i) << (18 - 6*place)
		}
	}
	return &t
}

// AppendDecoded appends what v encodes to dst. When it is false, v is not strict base64, and
// dst comes back as long as it was.
func AppendDecoded(dst, v []byte) ([]byte, bool) {
	if len(v)%4 != 0 {
		return dst, false
	}
	at := len(dst)
	dst = grow(dst, len(v)/4*3)
	out := dst[at:]
	t := words
	for len(v) >= 12 && len(out) >= 10 {
		a := t[0][v[0]] | t[1][v[1]] | t[2][v[2]] | t[3][v[3]]
		b := t[0][v[4]] | t[1][v[5]] | t[2][v[6]] | t[3][v[7]]
		if (a|b)&bad != 0 {
			break
		}
		binary.BigEndian.PutUint64(out, uint64(a)<<40|uint64(b)<<16)
		v, out = v[8:], out[6:]
	}
	// The rest holds the padding, or what is wrong. The standard decoder skips line breaks:
	// then there is less than was expected.
	want := len(v) / 4 * 3
	for i := len(v) - 1; i >= 0 && i >= len(v)-2 && v[i] == '='; i-- {
		want--
	}
	n, err := base64.StdEncoding.Strict().Decode(out, v)
	if err != nil || n != want {
		return dst[:at], false
	}
	return dst[:len(dst)-len(out)+n], true
}

// Append appends v, encoded, to dst.
func Append(dst, v []byte) []byte {
	at := len(dst)
	dst = grow(dst, (len(v)+2)/3*4)
	out := dst[at:]
	t := pairs
	for len(v) >= 8 && len(out) >= 8 {
		w := binary.BigEndian.Uint64(v)
		binary.LittleEndian.PutUint64(out, uint64(t[w>>52])|uint64(t[w>>40&4095])<<16|uint64(t[w>>28&4095])<<32|uint64(t[w>>16&4095])<<48)
		v, out = v[6:], out[8:]
	}
	base64.StdEncoding.Encode(out, v)
	return dst
}

// grow lengthens dst by n bytes of whatever is there.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		return append(dst, make([]byte, n)...)
	}
	return dst[:len(dst)+n]
}

package function

import (
	"encoding/base64"
	"encoding/binary"
)

// Base64 is most of what a handler does, so both ways go through tables made for whole words, at about one and a half times the standard
// library's speed. What is unusual is left to encoding/base64, which also decides what is valid.

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// pairs gives the two characters of 12 bits. It is never written after it was made.
var pairs = makePairs()

// words gives the 24 bits that four characters stand for, each in its place, or bad. It is never written after it was made.
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

// decodeBase64 appends what v encodes to dst: standard alphabet, padded, and nothing else in it. When it is false, dst comes
// back as long as it was.
func decodeBase64(dst, v []byte) ([]byte, bool) {
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
	// The rest holds the padding, or what is wrong. The standard decoder skips line breaks, which JSON does not allow here: then
	// there is less than was expected.
	want := len(v) / 4 * 3
	for i := len(v) - 1; i >= 0 && i >= len(v)-2 && v[i] == '='; i-- {
		want--
	}
	n, err := base64.StdEncoding.Decode(out, v)
	if err != nil || n != want {
		return dst[:at], false
	}
	return dst[:len(dst)-len(out)+n], true
}

// appendBase64 appends v in the standard alphabet, padded.
func appendBase64(dst, v []byte) []byte {
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

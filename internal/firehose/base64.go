package firehose

import (
	"encoding/base64"
	"encoding/binary"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// slack is how much longer than the decoded bytes the space must be: words are written
// whole.
const slack = 8

// words gives the 24 bits that four characters stand for, each in its place, or bad. It is
// never written after it was made.
var words = makeWords()

// bad is above the 24 bits of any good word.
const bad = 1 << 31

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

// decodeBase64 decodes v into dst, which has slack bytes more than it needs, and says how
// many bytes came out. It takes the standard alphabet, padded, strictly: no line breaks, no
// bits left over. Four characters at a time are the table's; the last ones, which may hold
// padding, and anything wrong, are the standard library's.
func decodeBase64(dst, v []byte) (n int, ok bool) {
	if len(v)%4 != 0 {
		return 0, false
	}
	t := words
	out := dst
	for len(v) > 8 && len(out) >= 8 {
		a := t[0][v[0]] | t[1][v[1]] | t[2][v[2]] | t[3][v[3]]
		b := t[0][v[4]] | t[1][v[5]] | t[2][v[6]] | t[3][v[7]]
		if (a|b)&bad != 0 {
			return 0, false
		}
		binary.BigEndian.PutUint64(out, uint64(a)<<40|uint64(b)<<16)
		v, out = v[8:], out[6:]
	}
	want := len(v) / 4 * 3
	for i := len(v) - 1; i >= 0 && i >= len(v)-2 && v[i] == '='; i-- {
		want--
	}
	// The standard decoder skips line breaks: then there is less than was expected.
	m, err := base64.StdEncoding.Strict().Decode(out, v)
	if err != nil || m != want {
		return 0, false
	}
	return len(dst) - len(out) + m, true
}

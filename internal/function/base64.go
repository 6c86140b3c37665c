package function

import "encoding/base64"

// decodeBase64 appends what v encodes to dst: standard alphabet, padded, and nothing else in it. When it is false, dst holds
// rubbish past its length.
func decodeBase64(dst, v []byte) ([]byte, bool) {
	if len(v)%4 != 0 {
		return dst, false
	}
	want := len(v) / 4 * 3
	for i := len(v) - 1; i >= 0 && i >= len(v)-2 && v[i] == '='; i-- {
		want--
	}
	at := len(dst)
	dst = grow(dst, len(v)/4*3)
	// The standard decoder skips line breaks, which JSON does not allow here: then there is less than was expected.
	n, err := base64.StdEncoding.Decode(dst[at:], v)
	if err != nil || n != want {
		return dst[:at], false
	}
	return dst[:at+n], true
}

// appendBase64 appends v in the standard alphabet, padded.
func appendBase64(dst, v []byte) []byte {
	at := len(dst)
	dst = grow(dst, base64.StdEncoding.EncodedLen(len(v)))
	base64.StdEncoding.Encode(dst[at:], v)
	return dst
}

// grow lengthens dst by n bytes of whatever is there.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		dst = append(dst, make([]byte, n)...)
		return dst
	}
	return dst[:len(dst)+n]
}

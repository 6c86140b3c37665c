package enrich

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// shown is the number of characters of a masked API key that stay readable, if the key is at least twice as long.
const shown = 4

// hide appends the replacement of an API key's value: raw is a string's content or another value's
// token. A value that is not a string becomes one.
func (e *Enricher) hide(dst, raw []byte, k kind) []byte {
	quoted := k == kindNumber || k == kindOther
	if quoted {
		dst = append(dst, '"')
	}
	switch {
	case e.mode == Drop: // in a place that cannot be removed
		dst = append(dst, '-')
	case k == kindOther: // not an API key; show none of it
		dst = append(dst, "****"...)
	case e.mode == Hash:
		dst = e.secrets.append(dst, raw, k)
	case k == kindASCII:
		dst = appendMaskedASCII(dst, raw)
	default:
		dst = appendMasked(dst, raw)
	}
	if quoted {
		dst = append(dst, '"')
	}
	return dst
}

// hideInside does the same as hide for a key with the text of f around it. A value without this text is hidden whole.
func (e *Enricher) hideInside(dst, raw []byte, k kind, f *field) []byte {
	text := string(plain(raw, k))
	key, begins := strings.CutPrefix(text, f.before)
	key, ends := strings.CutSuffix(key, f.after)
	switch {
	case k == kindNumber || k == kindOther || !begins || !ends:
		return e.hide(dst, raw, k)
	case key == "-" || key == "":
		return append(dst, raw...)
	}
	dst = appendEscaped(dst, f.before)
	dst = e.hide(dst, appendEscaped(nil, key), kindEscaped)
	return appendEscaped(dst, f.after)
}

// asterisks is as long as the longest API key, which has 128 characters.
const asterisks = "********************************************************************************************************************************"

// appendMaskedASCII does the same as appendMasked for ASCII content without escapes.
func appendMaskedASCII(dst, raw []byte) []byte {
	stars := len(raw) - shown
	if len(raw) < 2*shown {
		stars = len(raw)
	}
	raw = raw[stars:]
	for ; stars > len(asterisks); stars -= len(asterisks) {
		dst = append(dst, asterisks...)
	}
	dst = append(dst, asterisks[:stars]...)
	return append(dst, raw...)
}

// appendMasked appends one asterisk for each character of a string's content except the last few. An
// escape is one character.
func appendMasked(dst, raw []byte) []byte {
	n := 0
	for i := 0; i < len(raw); n++ {
		i += characterBytes(raw[i:])
	}
	stars := n - shown
	if n < 2*shown {
		stars = n
	}
	i := 0
	for range stars {
		i += characterBytes(raw[i:])
		dst = append(dst, '*')
	}
	return append(dst, raw[i:]...)
}

// characterBytes returns the number of bytes of the first character of a valid string's content.
func characterBytes(raw []byte) int {
	switch {
	case raw[0] >= utf8.RuneSelf:
		_, n := utf8.DecodeRune(raw)
		return n
	case raw[0] != '\\':
		return 1
	case raw[1] != 'u':
		return 2
	}
	_, rest := jsonscan.EscapedRune(raw[2:])
	return len(raw) - len(rest)
}

// hasher hashes API keys under one salt.
type hasher struct{ pool sync.Pool }

// hashBytes is the length of the truncated HMAC, long enough to avoid collisions.
const hashBytes = 16

type hashState struct {
	mac hash.Hash
	buf []byte
}

func newHasher(salt []byte) *hasher {
	salt = append([]byte(nil), salt...)
	return &hasher{pool: sync.Pool{New: func() any {
		return &hashState{mac: hmac.New(sha256.New, salt)}
	}}}
}

// append appends the hash of the decoded value, so that escapes do not change a key's hash.
func (h *hasher) append(dst, raw []byte, k kind) []byte {
	s := h.pool.Get().(*hashState)
	defer h.pool.Put(s)
	s.mac.Reset()
	s.buf = s.buf[:0]
	if k == kindEscaped {
		s.buf = jsonscan.Unescape(s.buf, raw)
	} else {
		s.buf = append(s.buf, raw...)
	}
	s.mac.Write(s.buf)
	s.buf = s.mac.Sum(s.buf[:0])
	for _, c := range s.buf[:hashBytes] {
		const hex = "0123456789abcdef"
		dst = append(dst, hex[c>>4], hex[c&15])
	}
	clear(s.buf[:cap(s.buf)])
	return dst
}

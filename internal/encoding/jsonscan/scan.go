package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth limits the nesting of arrays and objects. An access log line nests two or three levels.
const MaxDepth = 100

// Constants for processing eight bytes at a time: each repeats one byte eight times.
const (
	eight02 = 0x0202020202020202
	eight21 = 0x2121212121212121
	eight5c = 0x5c5c5c5c5c5c5c5c
	eight01 = 0x0101010101010101
	eight80 = 0x8080808080808080
)

// special marks, with the top bit of its byte, each byte of w that needs attention in a JSON
// string: a quote, a backslash, a control character, or the top bit set. Only the lowest
// mark is exact: a borrow may set marks above it.
//
// XOR with 2 maps the quote to 0x20 and keeps the control characters below it, so one subtraction
// of 0x21 finds both.
func special(w uint64) uint64 {
	return (((w ^ eight02) - eight21) | ((w ^ eight5c) - eight01) | w) & eight80
}

// PlainEnd returns the index of the first special byte at or after i, or len(b).
func PlainEnd(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		if m := special(binary.LittleEndian.Uint64(b[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	return plainTail(b, i)
}

// plainTail does the same as PlainEnd for the last bytes, fewer than eight.
func plainTail(b []byte, i int) int {
	for i < len(b) && b[i] >= 0x20 && b[i] < 0x80 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// StringEnd returns the index of the quote that ends the string whose content is at i, and whether
// the content has escapes.
func StringEnd(b []byte, i int) (end int, escaped bool, bad *Bad) {
	for {
		i = PlainEnd(b, i)
		if i >= len(b) {
			return i, escaped, BadTruncated
		}
		switch c := b[i]; {
		case c == '"':
			return i, escaped, nil
		case c == '\\':
			escaped = true
			if i, bad = escapeEnd(b, i); bad != nil {
				return i, escaped, bad
			}
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n <= 1 {
				return i, escaped, BadUTF8
			}
			i += n
		default:
			return i, escaped, BadJSON // a control character
		}
	}
}

// escapeEnd returns the index after the escape at i.
func escapeEnd(b []byte, i int) (int, *Bad) {
	if i+1 >= len(b) {
		return i, BadTruncated
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		for k := i + 2; k < i+6; k++ {
			if k >= len(b) {
				return k, BadTruncated
			}
			if !isHex(b[k]) {
				return k, BadJSON
			}
		}
		return i + 6, nil
	}
	return i, BadJSON
}

func isHex(c byte) bool {
	return c-'0' < 10 || c|0x20-'a' < 6
}

// SpaceEnd returns the index of the first byte at or after i that is not JSON white space.
func SpaceEnd(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// ValueEnd returns the index after the value at i, which must be valid according to RFC 8259. depth
// is the number of arrays and objects around it.
func ValueEnd(b []byte, i, depth int) (int, *Bad) {
	if i >= len(b) {
		return i, BadTruncated
	}
	switch c := b[i]; {
	case c == '"':
		end, _, bad := StringEnd(b, i+1)
		return end + 1, bad
	case c == '{':
		return objectEnd(b, i, depth)
	case c == '[':
		return arrayEnd(b, i, depth)
	case c == 't':
		return literalEnd(b, i, "true")
	case c == 'f':
		return literalEnd(b, i, "false")
	case c == 'n':
		return literalEnd(b, i, "null")
	default:
		return numberEnd(b, i)
	}
}

func literalEnd(b []byte, i int, word string) (int, *Bad) {
	for k := range len(word) {
		if i+k >= len(b) {
			return i + k, BadTruncated
		}
		if b[i+k] != word[k] {
			return i + k, BadJSON
		}
	}
	return i + len(word), nil
}

func numberEnd(b []byte, i int) (int, *Bad) {
	if b[i] == '-' {
		i++
	}
	var bad *Bad
	if i < len(b) && b[i] == '0' {
		i++
	} else if i, bad = digitsEnd(b, i); bad != nil {
		return i, bad
	}
	if i < len(b) && b[i] == '.' {
		if i, bad = digitsEnd(b, i+1); bad != nil {
			return i, bad
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digitsEnd(b, i)
	}
	return i, nil
}

// digitsEnd returns the index after one or more digits.
func digitsEnd(b []byte, i int) (int, *Bad) {
	if i >= len(b) {
		return i, BadTruncated
	}
	if b[i]-'0' > 9 {
		return i, BadJSON
	}
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i, nil
}

func arrayEnd(b []byte, i, depth int) (int, *Bad) {
	if depth >= MaxDepth {
		return i, BadDepth
	}
	i = SpaceEnd(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for more := true; more; {
		var bad *Bad
		if i, bad = ValueEnd(b, i, depth+1); bad != nil {
			return i, bad
		}
		if i, more, bad = MoreOrEnd(b, i, ']'); bad != nil {
			return i, bad
		}
	}
	return i, nil
}

func objectEnd(b []byte, i, depth int) (int, *Bad) {
	if depth >= MaxDepth {
		return i, BadDepth
	}
	i = SpaceEnd(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for more := true; more; {
		var bad *Bad
		if i, bad = nameEnd(b, i); bad != nil {
			return i, bad
		}
		if i, bad = ValueEnd(b, i, depth+1); bad != nil {
			return i, bad
		}
		if i, more, bad = MoreOrEnd(b, i, '}'); bad != nil {
			return i, bad
		}
	}
	return i, nil
}

// nameEnd returns the index of the value that belongs to the name at i.
func nameEnd(b []byte, i int) (int, *Bad) {
	if i >= len(b) {
		return i, BadTruncated
	}
	if b[i] != '"' {
		return i, BadJSON
	}
	i, _, bad := StringEnd(b, i+1)
	if bad != nil {
		return i, bad
	}
	return ColonEnd(b, i+1)
}

// ColonEnd returns the index of the value after a colon and the white space around it.
func ColonEnd(b []byte, i int) (int, *Bad) {
	i = SpaceEnd(b, i)
	if i >= len(b) {
		return i, BadTruncated
	}
	if b[i] != ':' {
		return i, BadJSON
	}
	return SpaceEnd(b, i+1), nil
}

// MoreOrEnd reads what follows a value in an array or object. After a comma, more is true and next
// is the index of the next element; after the closing bracket, more is false and next is the index
// after it.
func MoreOrEnd(b []byte, i int, closing byte) (next int, more bool, bad *Bad) {
	i = SpaceEnd(b, i)
	if i >= len(b) {
		return i, false, BadTruncated
	}
	switch b[i] {
	case closing:
		return i + 1, false, nil
	case ',':
		return SpaceEnd(b, i+1), true, nil
	}
	return i, false, BadJSON
}

// Members calls fn with each member of the object at i, in order: the raw name without its quotes, whether the name has
// escapes, and the raw value. It returns the index after the object, or stops at the first Bad of fn and returns it.
func Members(b []byte, i int, fn func(name []byte, escaped bool, value []byte) *Bad) (next int, bad *Bad) {
	if i = SpaceEnd(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for more := true; more; {
		if i >= len(b) {
			return i, BadTruncated
		}
		if b[i] != '"' {
			return i, BadJSON
		}
		end, escaped, bad := StringEnd(b, i+1)
		if bad != nil {
			return end, bad
		}
		name, at := b[i+1:end], 0
		if at, bad = ColonEnd(b, end+1); bad != nil {
			return at, bad
		}
		if i, bad = ValueEnd(b, at, 1); bad != nil {
			return i, bad
		}
		if bad = fn(name, escaped, b[at:i]); bad != nil {
			return i, bad
		}
		if i, more, bad = MoreOrEnd(b, i, '}'); bad != nil {
			return i, bad
		}
	}
	return i, nil
}

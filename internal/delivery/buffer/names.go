package buffer

import (
	"fmt"
	"strings"
)

// Prefixes of JetStream names. The frames of shard 2 of the stream "a.b" are in the JetStream
// stream FRAMES_a_2Eb_2 under the subject frames.a_2Eb.2.
const (
	framesStream  = "FRAMES_"
	framesSubject = "frames."
)

func streamName(stream string, shard int) string {
	return fmt.Sprintf("%s%s_%d", framesStream, escape(stream), shard)
}

func streamSubject(stream string, shard int) string {
	return fmt.Sprintf("%s%s.%d", framesSubject, escape(stream), shard)
}

// streamSubjects returns the wildcard subject of all shards.
func streamSubjects(stream string) string { return framesSubject + escape(stream) + ".*" }

// keyToken encodes a Store's key as one token of a subject. The leading letter makes the empty
// key a valid token.
func keyToken(key string) string { return "k" + escape(key) }

func tokenKey(token string) (string, bool) {
	rest, ok := strings.CutPrefix(token, "k")
	if !ok {
		return "", false
	}
	return unescape(rest)
}

const hexDigits = "0123456789ABCDEF"

// escape keeps letters, digits and hyphens, and writes any other byte as _XX. The result is
// valid as a subject's token, a stream's name, a bucket's name and a folder's name.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('_')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case plain(s[i]):
			b.WriteByte(s[i])
		case s[i] == '_' && i+2 < len(s):
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		default:
			return "", false
		}
	}
	return b.String(), true
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

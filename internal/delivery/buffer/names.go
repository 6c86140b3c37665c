package buffer

import (
	"fmt"
	"net/url"
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

// tokenKey returns the key of a token, and false if keyToken returns another token for it.
func tokenKey(token string) (string, bool) {
	key, err := url.PathUnescape(strings.ReplaceAll(strings.TrimPrefix(token, "k"), "_", "%"))
	return key, err == nil && keyToken(key) == token
}

// escape keeps letters, digits and hyphens, and writes any other byte as _XX. The result is
// valid as a subject's token, a stream's name, a bucket's name and a folder's name.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02X", c)
		}
	}
	return b.String()
}

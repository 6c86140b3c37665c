package usageplan

import (
	"encoding/binary"
	"hash/crc32"
	"net/http"
)

// UsesProxy says whether calls to an endpoint of the user's own, or to AWS, may take a proxy from the environment.
func UsesProxy(local bool) bool { return newHTTPClient(local).Transport.(*http.Transport).Proxy != nil }

// WithChecksum gives the tests' bytes a checksum that is right, so that they reach what is behind it.
func WithChecksum(data []byte) []byte {
	if len(data) < 4 {
		return data
	}
	body := append([]byte(nil), data[:len(data)-4]...)
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

package usageplan

import (
	"encoding/binary"
	"hash/crc32"
	"net/http"
)

// UsesProxy reports whether calls to a custom endpoint (local), or to AWS, use a proxy from the environment.
func UsesProxy(local bool) bool { return newHTTPClient(local).Transport.(*http.Transport).Proxy != nil }

// WithChecksum replaces the last four bytes of data with a valid checksum, so that tests get past it.
func WithChecksum(data []byte) []byte {
	if len(data) < 4 {
		return data
	}
	body := append([]byte(nil), data[:len(data)-4]...)
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

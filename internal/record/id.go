package record

import (
	"hash/crc32"
	"math"
	"strconv"
)

// A record id has 56 digits like Amazon's: a marker, the shard, the frame's sequence, the index in
// the frame, and a checksum that detects mistyped ids.
const (
	idMarker = "496001"
	idDigits = 56

	shardAt = len(idMarker)
	seqAt   = shardAt + 10
	indexAt = seqAt + 20
	crcAt   = indexAt + 10
)

// ID returns the id of the record at index in the frame stored as seq in the shard. It is unique in
// its stream and opaque to callers; the ids of one shard sort in storage order.
func ID(shard int, seq uint64, index int) string {
	return string(AppendID(make([]byte, 0, idDigits), shard, seq, index))
}

// AppendID appends the id to dst without allocating. It panics if shard or index is negative or has
// more than 31 bits.
func AppendID(dst []byte, shard int, seq uint64, index int) []byte {
	if shard < 0 || shard > math.MaxInt32 || index < 0 || index > math.MaxInt32 {
		panic("BUG: record id of shard " + strconv.Itoa(shard) + ", index " + strconv.Itoa(index))
	}
	start := len(dst)
	dst = append(dst, idMarker...)
	dst = appendDigits(dst, uint64(shard), seqAt-shardAt)
	dst = appendDigits(dst, seq, indexAt-seqAt)
	dst = appendDigits(dst, uint64(index), crcAt-indexAt)
	return appendDigits(dst, uint64(crc32.ChecksumIEEE(dst[start:])), idDigits-crcAt)
}

// ParseID splits an id into its parts. It returns false for strings that ID does not produce.
func ParseID(id string) (shard int, seq uint64, index int, ok bool) {
	if len(id) != idDigits || id[:shardAt] != idMarker {
		return 0, 0, 0, false
	}
	s, ok1 := parseDigits(id[shardAt:seqAt], math.MaxInt32)
	q, ok2 := parseDigits(id[seqAt:indexAt], math.MaxUint64)
	i, ok3 := parseDigits(id[indexAt:crcAt], math.MaxInt32)
	if !ok1 || !ok2 || !ok3 || ID(int(s), q, int(i)) != id {
		return 0, 0, 0, false
	}
	return int(s), q, int(i), true
}

func appendDigits(dst []byte, v uint64, width int) []byte {
	var digits [20]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, digits[:width]...)
}

func parseDigits(s string, most uint64) (uint64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	v, err := strconv.ParseUint(s, 10, 64)
	return v, err == nil && v <= most
}

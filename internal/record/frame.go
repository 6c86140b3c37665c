package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// Layout of a frame, all numbers little-endian:
//
//	magic   "SLF1"; the digit is the version
//	arrived int64, milliseconds since 1970
//	count   uint32
//	lengths count x uint32
//	payload the records, concatenated
//	crc     uint32, CRC-32C of everything before it
//
// The lengths precede the records so that a reader allocates once and detects a truncated frame
// before reading any record.
const (
	// FrameMagic is what every frame begins with.
	FrameMagic = "SLF1"

	headerBytes = len(FrameMagic) + 8 + 4
	lengthBytes = 4
	crcBytes    = 4
)

// FrameBytes returns the size of a frame of n records with the given total size, for splitting
// batches so that each frame fits into MaxFrameBytes.
func FrameBytes(n int, bytes int) int {
	return headerBytes + n*lengthBytes + bytes + crcBytes
}

// AppendFrame appends the batch's frame to dst, copying the records. It panics if a record has
// 4 GiB or more.
func (b Batch) AppendFrame(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, FrameMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Arrived.UnixMilli()))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.Records)))
	for _, r := range b.Records {
		if len(r) > math.MaxUint32 {
			panic("BUG: record of 4 GiB or more")
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(r)))
	}
	for _, r := range b.Records {
		dst = append(dst, r...)
	}
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start:]))
}

// FrameSum returns a checksum that identifies a whole frame: it covers the records and the time of their
// arrival. It is not 0.
func FrameSum(frame []byte) uint32 {
	if len(frame) < crcBytes {
		return 1
	}
	return max(1, binary.LittleEndian.Uint32(frame[len(frame)-crcBytes:]))
}

// lostFrame has no records, and a time of arrival that no other frame has.
var lostFrame = Batch{Arrived: time.UnixMilli(0)}.AppendFrame(nil)

// LostFrame returns the frame that takes the place of an acknowledged frame that storage has lost, so
// that sequence numbers keep their meaning.
func LostFrame() []byte { return slices.Clone(lostFrame) }

// IsLostFrame reports whether the frame is a LostFrame.
func IsLostFrame(frame []byte) bool { return bytes.Equal(frame, lostFrame) }

// FrameRecords returns the number of records of a frame without checking the frame, or 0 if it is too short.
func FrameRecords(frame []byte) uint32 {
	if len(frame) < headerBytes {
		return 0
	}
	return binary.LittleEndian.Uint32(frame[headerBytes-4:])
}

// FrameSize returns the size of the frame that p begins with, as the frame's own lengths state it. ok is false
// if p does not begin with a frame of up to MaxFrameBytes. The checksum is not verified.
func FrameSize(p []byte) (n int, ok bool) {
	if len(p) < headerBytes+crcBytes || string(p[:len(FrameMagic)]) != FrameMagic {
		return 0, false
	}
	limit := min(len(p), MaxFrameBytes)
	count := int64(FrameRecords(p))
	size := int64(headerBytes+crcBytes) + count*lengthBytes
	if size > int64(limit) {
		return 0, false
	}
	for lengths := p[headerBytes:][:count*lengthBytes]; len(lengths) > 0; lengths = lengths[lengthBytes:] {
		if size += int64(binary.LittleEndian.Uint32(lengths)); size > int64(limit) {
			return 0, false
		}
	}
	return int(size), true
}

// ParseFrame parses one frame. The records alias frame. An error wraps ErrFrame, and does not
// include the contents.
func ParseFrame(frame []byte) (Batch, error) {
	var b Batch
	err := b.Parse(frame)
	return b, err
}

// Parse parses a frame into b like ParseFrame, reusing the memory of b.Records. After an error b
// has no records.
func (b *Batch) Parse(frame []byte) error {
	b.Arrived, b.Records = time.Time{}, b.Records[:0]
	if len(frame) < headerBytes+crcBytes {
		return fmt.Errorf("%w: %d bytes are less than the minimum of %d", ErrFrame, len(frame), headerBytes+crcBytes)
	}
	if string(frame[:len(FrameMagic)]) != FrameMagic {
		return fmt.Errorf("%w: it does not begin with %s and may be from another version", ErrFrame, FrameMagic)
	}
	body, crc := frame[:len(frame)-crcBytes], binary.LittleEndian.Uint32(frame[len(frame)-crcBytes:])
	if got := checksum(body); got != crc {
		return fmt.Errorf("%w: checksum is %08x, expected %08x", ErrFrame, got, crc)
	}
	count := int64(binary.LittleEndian.Uint32(body[headerBytes-4:]))
	rest := body[headerBytes:]
	if count*lengthBytes > int64(len(rest)) {
		return fmt.Errorf("%w: %d records in %d bytes", ErrFrame, count, len(frame))
	}
	lengths, payload := rest[:count*lengthBytes], rest[count*lengthBytes:]
	if cap(b.Records) < int(count) {
		b.Records = make([][]byte, 0, count)
	}
	for i := int64(0); i < count; i++ {
		n := int64(binary.LittleEndian.Uint32(lengths[i*lengthBytes:]))
		if n > int64(len(payload)) {
			b.Records = b.Records[:0]
			return fmt.Errorf("%w: record %d of %d exceeds the frame", ErrFrame, i, count)
		}
		b.Records = append(b.Records, payload[:n:n])
		payload = payload[n:]
	}
	if len(payload) > 0 {
		b.Records = b.Records[:0]
		return fmt.Errorf("%w: %d bytes after the last record", ErrFrame, len(payload))
	}
	b.Arrived = time.UnixMilli(int64(binary.LittleEndian.Uint64(body[len(FrameMagic):]))).UTC()
	return nil
}

// checksum returns the CRC-32C. MakeTable always returns the same table for this polynomial.
func checksum(p []byte) uint32 {
	return crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
}

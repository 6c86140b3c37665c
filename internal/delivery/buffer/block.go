package buffer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/minio/highwayhash"

	"github.com/stagelog/stagelog/internal/record"
)

// Layout of an entry in a block of a JetStream stream, all numbers little-endian, as server/filestore.go of the NATS
// server writes it. The hash is HighwayHash-64 of everything but the lengths, with a key from the stream's name and the
// block's number.
//
//	length  uint32 of the whole entry; the highest bit says that there are headers
//	seq     uint64; the two highest bits mark entries without a message
//	time    int64, nanoseconds since 1970
//	subject uint16, its length, followed after these 22 bytes by the subject
//	headers uint32, their length, followed by the headers; only if the bit is set
//	message
//	hash    uint64
const (
	entryHeader  = 22
	entryHash    = 8
	withHeaders  = 1 << 31
	erased       = 1 << 63 // a message that was overwritten
	tombstone    = 1 << 62 // the deletion of an earlier message
	noMessage    = erased | tombstone
	entrySize    = entryHeader + entryHash
	maxBlockSize = 8 << 20 // of blocks that salvage writes
)

// entry is an entry of a block. Its slices alias the block.
type entry struct {
	seq                    uint64 // with the bits of entries without a message
	time                   int64
	subject, headers, data []byte
	start, end             int
	// unsure means that only the frame is known to be whole; seq and time may be damaged.
	unsure bool
}

// blockHash returns the hash of a stream's block.
func blockHash(stream string, index int) *highwayhash.Digest64 {
	return streamHash(fmt.Sprintf("%s-%d", stream, index))
}

func streamHash(name string) *highwayhash.Digest64 {
	key := sha256.Sum256([]byte(name))
	h, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		panic("BUG: " + err.Error()) // the key has 32 bytes
	}
	return h
}

// blockReader reads the entries of one block.
type blockReader struct {
	buf     []byte
	hash    *highwayhash.Digest64
	subject []byte // of a log
	prefix  []byte // of the subjects of a store; nil for a log
	sum     []byte // memory for the hash
}

// at returns the entry at an offset if it is whole.
func (r *blockReader) at(start int) (e entry, ok bool) {
	if start < 0 || start+entrySize > len(r.buf) {
		return e, false
	}
	head := r.buf[start:]
	length := binary.LittleEndian.Uint32(head)
	size := int(length &^ withHeaders)
	n := int(binary.LittleEndian.Uint16(head[20:]))
	if size < entrySize+n || size > len(head) {
		return e, false
	}
	e = entry{
		seq: binary.LittleEndian.Uint64(head[4:]), time: int64(binary.LittleEndian.Uint64(head[12:])),
		subject: head[entryHeader : entryHeader+n], data: head[entryHeader+n : size-entryHash], start: start, end: start + size,
	}
	if length&withHeaders != 0 {
		if len(e.data) < 4 {
			return e, false
		}
		n := binary.LittleEndian.Uint32(e.data)
		e.data = e.data[4:]
		// The hash does not cover where the headers end.
		if int(n) > len(e.data) || bytes.Index(e.data, []byte("\r\n\r\n"))+4 != int(n) {
			return e, false
		}
		e.headers, e.data = e.data[:n], e.data[n:]
	}
	return e, r.belongs(e) && r.verify(e)
}

// belongs reports whether the entry's subject is one of the stream. The hash does not cover where the subject ends.
func (r *blockReader) belongs(e entry) bool {
	switch {
	case e.seq == 0 || e.seq&noMessage != 0:
		return true
	case r.prefix != nil:
		return bytes.HasPrefix(e.subject, r.prefix)
	default:
		return bytes.Equal(e.subject, r.subject)
	}
}

func (r *blockReader) verify(e entry) bool {
	r.hash.Reset()
	r.hash.Write(r.buf[e.start+4 : e.start+20])
	r.hash.Write(e.subject)
	r.hash.Write(e.headers)
	r.hash.Write(e.data)
	r.sum = r.hash.Sum(r.sum[:0])
	return bytes.Equal(r.sum, r.buf[e.end-entryHash:e.end])
}

// next returns the first whole entry that starts at or after an offset in a damaged block.
func (r *blockReader) next(from int) (entry, bool) {
	subject, magic := -1, -1 // offsets of entries that these suggest
	for {
		if subject < from {
			subject = r.find(from, r.prefixOrSubject(), entryHeader)
		}
		if magic < from && r.prefix == nil {
			magic = r.find(from, []byte(record.FrameMagic), entryHeader+len(r.subject))
		}
		start := min(uint(subject), uint(magic)) // -1 is none
		if start == ^uint(0) {
			return entry{}, false
		}
		if e, ok := r.at(int(start)); ok {
			return e, true
		}
		if int(start) == magic {
			if e, ok := r.frameAt(magic); ok {
				return e, true
			}
		}
		from = int(start) + 1
	}
}

func (r *blockReader) prefixOrSubject() []byte {
	if r.prefix != nil {
		return r.prefix
	}
	return r.subject
}

// find returns the offset of the first entry at or after from that would contain the text after skip bytes; -1 if there
// is none.
func (r *blockReader) find(from int, text []byte, skip int) int {
	at := from + skip
	if at > len(r.buf) {
		return -1
	}
	i := bytes.Index(r.buf[at:], text)
	if i < 0 {
		return -1
	}
	return from + i
}

// frameAt returns the entry at an offset if it holds a whole frame, whatever its own lengths say.
func (r *blockReader) frameAt(start int) (e entry, ok bool) {
	data := r.buf[start+entryHeader+len(r.subject):]
	n, ok := record.FrameSize(data)
	if !ok || n+entryHash > len(data) {
		return e, false
	}
	if _, err := record.ParseFrame(data[:n]); err != nil {
		return e, false
	}
	head := r.buf[start:]
	e = entry{
		seq: binary.LittleEndian.Uint64(head[4:]), time: int64(binary.LittleEndian.Uint64(head[12:])),
		subject: r.subject, data: data[:n], start: start, end: start + entryHeader + len(r.subject) + n + entryHash,
	}
	e.unsure = e.seq&noMessage != 0 || !r.verify(e)
	return e, true
}

// appendEntry appends the entry in a form for the block of that hash.
func appendEntry(dst []byte, hash *highwayhash.Digest64, e entry) []byte {
	size := entrySize + len(e.subject) + len(e.headers) + len(e.data)
	if len(e.headers) > 0 {
		size = (size + 4) | withHeaders
	}
	start := len(dst)
	dst = slices.Grow(dst, size&^withHeaders)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(size))
	dst = binary.LittleEndian.AppendUint64(dst, e.seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.time))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(e.subject)))
	dst = append(dst, e.subject...)
	if len(e.headers) > 0 {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.headers)))
		dst = append(dst, e.headers...)
	}
	dst = append(dst, e.data...)
	hash.Reset()
	hash.Write(dst[start+4 : start+20])
	hash.Write(e.subject)
	hash.Write(e.headers)
	hash.Write(e.data)
	return hash.Sum(dst)
}

package deliver

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/snappy/xerial"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
)

// gatherBytes is the size of the writes to a compressor: writing single records would cost more
// in calls than in compression.
const gatherBytes = 64 << 10

// encoder compresses what is written to it. Close ends the compressed stream but does not close
// the underlying writer. Reset starts a new stream on another writer.
type encoder interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// newEncoder returns the encoder for a CompressionFormat. name is the name of a ZIP's entry.
func newEncoder(compression string, w io.Writer, name string) (encoder, error) {
	switch compression {
	case "", objectkey.Uncompressed:
		return &plain{w}, nil
	case objectkey.Gzip:
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			return nil, fmt.Errorf("create gzip writer: %w", err)
		}
		return z, nil
	case objectkey.Zip:
		return &zipped{w: w, name: name}, nil
	case objectkey.Snappy:
		return newBlocks(w, xerialBlockBytes, xerialBlock), nil
	case objectkey.HadoopSnappy:
		return newBlocks(w, hadoopBlockBytes, hadoopBlock), nil
	}
	return nil, fmt.Errorf("unknown compression format %q", compression)
}

// plain writes the bytes uncompressed.
type plain struct{ io.Writer }

func (p *plain) Close() error      { return nil }
func (p *plain) Reset(w io.Writer) { p.Writer = w }

// zipped writes an archive with one deflated entry.
type zipped struct {
	w     io.Writer
	name  string
	zip   *zip.Writer
	entry io.Writer
}

func (z *zipped) Write(p []byte) (int, error) {
	if err := z.begin(); err != nil {
		return 0, err
	}
	return z.entry.Write(p)
}

func (z *zipped) begin() error {
	if z.zip != nil {
		return nil
	}
	z.zip = zip.NewWriter(z.w)
	z.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed)
	})
	var err error
	if z.entry, err = z.zip.Create(z.name); err != nil {
		return fmt.Errorf("begin ZIP entry: %w", err)
	}
	return nil
}

func (z *zipped) Close() error {
	if err := z.begin(); err != nil {
		return err
	}
	return z.zip.Close()
}

func (z *zipped) Reset(w io.Writer) { z.w, z.zip, z.entry = w, nil, nil }

// blocks splits the bytes into blocks, which the function block encodes.
type blocks struct {
	w     io.Writer
	in    *bufio.Writer
	out   []byte
	begun bool
	block func(dst, src []byte, first bool) []byte
}

func newBlocks(w io.Writer, size int, block func(dst, src []byte, first bool) []byte) *blocks {
	b := &blocks{w: w, block: block}
	b.in = bufio.NewWriterSize(fullBlocks{b, size}, size)
	return b
}

func (b *blocks) Write(p []byte) (int, error) { return b.in.Write(p) }

func (b *blocks) Close() error {
	if err := b.in.Flush(); err != nil {
		return err
	}
	if !b.begun {
		return b.write(nil)
	}
	return nil
}

func (b *blocks) Reset(w io.Writer) {
	b.w, b.begun = w, false
	b.in.Reset(fullBlocks{b, b.in.Size()})
}

func (b *blocks) write(p []byte) error {
	b.out = b.block(b.out[:0], p, !b.begun)
	b.begun = true
	_, err := b.w.Write(b.out)
	return err
}

// fullBlocks splits the large writes that bypass the buffer.
type fullBlocks struct {
	b    *blocks
	size int
}

func (f fullBlocks) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		end := min(n+f.size, len(p))
		if err := f.b.write(p[n:end]); err != nil {
			return n, err
		}
		n = end
	}
	return len(p), nil
}

const (
	xerialHeaderBytes = 16
	xerialBlockBytes  = 32 << 10
	// Hadoop's codec has buffers of 256 KiB; an incompressible block, which grows, must fit too.
	hadoopBlockBytes = 128 << 10
)

// xerialBlock appends a block of snappy-java's stream; the header precedes the first one.
func xerialBlock(dst, src []byte, first bool) []byte {
	dst = xerial.Encode(slices.Grow(dst, xerialHeaderBytes+4+snappy.MaxEncodedLen(len(src))), src)
	if first {
		return dst
	}
	return append(dst[:0], dst[xerialHeaderBytes:]...)
}

// hadoopBlock appends a block of Hadoop's BlockCompressorStream: the uncompressed length, the
// compressed length, the Snappy block. Empty input adds no block.
func hadoopBlock(dst, src []byte, _ bool) []byte {
	if len(src) == 0 {
		return dst
	}
	const headBytes = 8
	head := len(dst)
	dst = slices.Grow(dst, headBytes+snappy.MaxEncodedLen(len(src)))[:head+headBytes]
	compressed := snappy.Encode(dst[len(dst):cap(dst)], src)
	binary.BigEndian.PutUint32(dst[head:], uint32(len(src)))
	binary.BigEndian.PutUint32(dst[head+4:], uint32(len(compressed)))
	return append(dst, compressed...) // already in place: Encode wrote behind dst
}

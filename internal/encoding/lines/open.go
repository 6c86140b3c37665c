// Package lines reads the lines of a delivered object. It decompresses every format that
// Firehose and common tools write, also in each other, converts text in UTF-16 to UTF-8, and
// converts rows of Parquet files to lines of JSON. It
// detects the format by the first bytes, not by the object's name: a stream's FileExtension
// replaces Firehose's own extensions, and users rename objects.
package lines

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"

	"github.com/stagelog/stagelog/internal/encoding/parquet"
)

// Form is the compression or file format of an object.
type Form string

// The forms. Hadoop has no magic bytes; it is detected by the lengths at its start.
const (
	Plain  Form = "plain"
	Gzip   Form = "gzip"
	Zip    Form = "zip"
	Snappy Form = "snappy" // snappy-java's stream, which Firehose calls Snappy
	Framed Form = "framed" // Snappy's own framing
	Hadoop Form = "hadoop" // Firehose's HADOOP_SNAPPY
	Zstd   Form = "zstd"
	// Parquet rows are read as lines of JSON with the columns as fields.
	Parquet Form = "parquet"
)

var magics = []struct {
	form  Form
	bytes string
}{
	{Gzip, "\x1f\x8b"},
	{Zip, "PK\x03\x04"},
	{Zip, "PK\x05\x06"}, // an archive without entries
	{Snappy, "\x82SNAPPY\x00"},
	{Framed, "\xff\x06\x00\x00sNaPpY"},
	{Zstd, "\x28\xb5\x2f\xfd"},
	{Parquet, parquet.Magic},
}

const (
	peekBytes = 16
	// maxBlockBytes limits the memory for a Snappy block, because its length comes from the
	// object. No writer uses larger blocks.
	maxBlockBytes = 64 << 20
)

// ErrCorrupt is returned when data does not match the form that its first bytes indicate.
var ErrCorrupt = errors.New("compressed data is corrupt")

// ErrCopy is returned when an object cannot be copied to a temporary file, which some forms require. The error may be that of
// the object's reader.
var ErrCopy = errors.New("copy the object to a temporary file")

// Open returns a reader of the decompressed bytes of an object, and the object's form, which is the outer one if it was compressed
// more than once. The caller must close the reader; Open does not close r. The reader of a truncated object
// returns what can be read, and then io.ErrUnexpectedEOF.
func Open(r io.Reader) (io.ReadCloser, Form, error) {
	return openForm(bufio.NewReaderSize(r, 64<<10), maxForms)
}

// maxForms limits how often an object is compressed: Firehose compresses what CloudWatch Logs has compressed.
const maxForms = 3

func openForm(in *bufio.Reader, forms int) (io.ReadCloser, Form, error) {
	head, err := in.Peek(peekBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		if forms == maxForms {
			return nil, "", err
		}
		return io.NopCloser(io.MultiReader(bytes.NewReader(head), failed{err})), Plain, nil
	}
	form := formOf(head)
	if form == Plain && forms < maxForms {
		return io.NopCloser(openText(in)), form, nil
	}
	outer, err := open(in, form)
	if err != nil {
		return nil, form, fmt.Errorf("open %s object: %w", form, err)
	}
	if form == Plain || form == Parquet || forms == 1 {
		return outer, form, nil
	}
	inner, _, err := openForm(bufio.NewReaderSize(outer, peekBytes), forms-1)
	if err != nil {
		return nil, form, errors.Join(err, outer.Close())
	}
	return both{inner, outer}, form, nil
}

// failed returns an error.
type failed struct{ err error }

// Read returns the error.
func (f failed) Read([]byte) (int, error) { return 0, f.err }

// both closes the readers of two forms.
type both struct {
	io.ReadCloser
	outer io.Closer
}

func (b both) Close() error { return errors.Join(b.ReadCloser.Close(), b.outer.Close()) }

func formOf(head []byte) Form {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return m.form
		}
	}
	if len(head) > 8 {
		size, compressed := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		if inner, err := snappy.DecodedLen(head[8:]); err == nil && size <= maxBlockBytes &&
			0 < inner && inner <= int(size) && int(compressed) <= snappy.MaxEncodedLen(inner) {
			return Hadoop
		}
	}
	return Plain
}

func open(in *bufio.Reader, form Form) (io.ReadCloser, error) {
	switch form {
	case Gzip:
		return openMembers(in)
	case Zip:
		return openZip(in)
	case Snappy:
		if _, err := in.Discard(peekBytes); err != nil { // the magic and two versions
			return nil, err
		}
		return io.NopCloser(&blocks{in: in}), nil
	case Hadoop:
		return io.NopCloser(&blocks{in: in, sized: true}), nil
	case Framed:
		return io.NopCloser(s2.NewReader(in)), nil
	case Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlockBytes*2))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case Parquet:
		return openParquet(in)
	}
	text := openText(in)
	if text == in {
		text = &members{in: in}
	}
	return io.NopCloser(text), nil
}

// openText returns a reader of text as UTF-8, without a byte order mark.
func openText(in *bufio.Reader) io.Reader {
	mark, _ := in.Peek(3)
	switch {
	case bytes.HasPrefix(mark, []byte("\xef\xbb\xbf")):
		_, _ = in.Discard(len(mark)) // just peeked
	case bytes.HasPrefix(mark, []byte("\xff\xfe")), bytes.HasPrefix(mark, []byte("\xfe\xff")):
		return unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Reader(in)
	}
	return in
}

// gzipMagic begins a member of a gzip file. It cannot be in text.
const gzipMagic = "\x1f\x8b\x08"

// Limits of gzip members in text. The records of a delivery stream have at most 1,000 KiB.
const (
	maxMemberBytes = 1 << 20
	maxFalse       = 100 // members that turned out to be none, after which all is text
)

// members reads gzip members and text in any order, as a delivery stream writes the records of several senders.
type members struct {
	in      *bufio.Reader
	zip     *gzip.Reader
	zipped  bool   // zip is in a member
	decoded []byte // of a member in the text that was not read yet
	falses  int    // how often gzipMagic began no member
	err     error  // of in, while it has bytes that were not read
}

func openMembers(in *bufio.Reader) (io.ReadCloser, error) {
	zip, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	zip.Multistream(false)
	return io.NopCloser(&members{in: in, zip: zip, zipped: true}), nil
}

// Read reads from one member, or from the text up to the next one.
func (m *members) Read(p []byte) (int, error) {
	for m.zipped {
		n, err := m.zip.Read(p)
		if errors.Is(err, io.EOF) {
			err = m.next()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	if len(m.decoded) == 0 {
		n, err := m.text(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
	n := copy(p, m.decoded)
	m.decoded = m.decoded[n:]
	return n, nil
}

// next starts the member that follows another one. Anything else is text.
func (m *members) next() error {
	magic, _ := m.in.Peek(len(gzipMagic))
	if m.zipped = string(magic) == gzipMagic; !m.zipped {
		return nil
	}
	err := m.zip.Reset(m.in)
	m.zip.Multistream(false)
	return err
}

// text reads text up to the next member, which it decodes if it is here.
func (m *members) text(p []byte) (int, error) {
	if _, err := m.in.Peek(len(gzipMagic)); m.err == nil {
		m.err = err
	}
	if m.err != nil && m.in.Buffered() == 0 {
		return 0, m.err
	}
	buffered, _ := m.in.Peek(m.in.Buffered())
	n := len(buffered)
	if m.falses < maxFalse {
		switch at := bytes.Index(buffered, []byte(gzipMagic)); {
		case at == 0 && m.member():
			return 0, nil
		case at == 0:
			m.falses++
			n = 1
		case at > 0:
			n = at
		case n >= len(gzipMagic):
			n -= len(gzipMagic) - 1 // the rest may begin a member
		}
	}
	return m.in.Read(p[:min(len(p), n)])
}

// member decodes the member that begins here, and reports whether it is one. It may be text that looks like one, so it is
// read only if all of it is valid.
func (m *members) member() bool {
	if m.in.Size() < maxMemberBytes {
		m.in = bufio.NewReaderSize(m.in, maxMemberBytes)
	}
	data, _ := m.in.Peek(maxMemberBytes)
	from := bytes.NewReader(data)
	zip, err := gzip.NewReader(from)
	if err != nil {
		return false
	}
	zip.Multistream(false)
	decoded, err := io.ReadAll(io.LimitReader(zip, maxBlockBytes+1))
	if err != nil || len(decoded) == 0 || len(decoded) > maxBlockBytes {
		return false
	}
	m.decoded = decoded
	_, err = m.in.Discard(len(data) - from.Len())
	return err == nil
}

// blocks reads Snappy blocks, each preceded by its compressed length.
type blocks struct {
	in         *bufio.Reader
	sized      bool   // Hadoop: a plain length precedes one or more blocks
	remaining  uint32 // of that plain length
	compressed []byte
	plain      []byte
	unread     []byte
}

func (b *blocks) Read(p []byte) (int, error) {
	for len(b.unread) == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.unread)
	b.unread = b.unread[n:]
	return n, nil
}

func (b *blocks) next() error {
	var length [4]byte
	if b.sized && b.remaining == 0 {
		if _, err := io.ReadFull(b.in, length[:]); err != nil {
			return err
		}
		b.remaining = binary.BigEndian.Uint32(length[:])
		if b.remaining == 0 {
			return nil
		}
	}
	if _, err := io.ReadFull(b.in, length[:]); err != nil {
		if b.sized && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxBlockBytes {
		return fmt.Errorf("%w: block of %d bytes", ErrCorrupt, n)
	}
	if uint32(cap(b.compressed)) < n {
		b.compressed = make([]byte, n)
	}
	b.compressed = b.compressed[:n]
	if _, err := io.ReadFull(b.in, b.compressed); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	size, err := snappy.DecodedLen(b.compressed)
	if err != nil || size > maxBlockBytes || b.sized && uint32(size) > b.remaining {
		return fmt.Errorf("%w: wrong length of a block", ErrCorrupt)
	}
	if b.plain, err = snappy.Decode(b.plain[:cap(b.plain)], b.compressed); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	b.unread = b.plain
	if b.sized {
		b.remaining -= uint32(size)
	}
	return nil
}

// zipped reads the entries of a zip archive in order.
type zipped struct {
	file    *os.File // copy of the archive: its directory is at the end, so it cannot be streamed
	entries []*zip.File
	open    io.ReadCloser
}

func openZip(in io.Reader) (io.ReadCloser, error) {
	file, size, err := unnamed(in)
	if err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrCorrupt, err), file.Close())
	}
	return &zipped{file: file, entries: archive.File}, nil
}

func (z *zipped) Read(p []byte) (int, error) {
	for {
		if z.open == nil {
			if len(z.entries) == 0 {
				return 0, io.EOF
			}
			var err error
			if z.open, err = z.entries[0].Open(); err != nil {
				return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
			z.entries = z.entries[1:]
		}
		n, err := z.open.Read(p)
		if errors.Is(err, io.EOF) {
			err = z.open.Close()
			z.open = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// unnamed copies in to a temporary file without a name, which disappears when it is closed.
func unnamed(in io.Reader) (file *os.File, size int64, err error) {
	file, err = os.CreateTemp("", "stagelog-object-*")
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrCopy, err)
	}
	if err = os.Remove(file.Name()); err == nil {
		size, err = io.Copy(file, in)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%w: %w", ErrCopy, err), file.Close())
	}
	return file, size, nil
}

// rows reads a Parquet file as lines.
type rows struct {
	io.ReadCloser
	file *os.File
}

func openParquet(in io.Reader) (io.ReadCloser, error) {
	file, size, err := unnamed(in)
	if err != nil {
		return nil, err
	}
	lines, err := parquet.Lines(file, size)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrCorrupt, err), file.Close())
	}
	return &rows{lines, file}, nil
}

func (r *rows) Close() error { return errors.Join(r.ReadCloser.Close(), r.file.Close()) }

// Close closes the open entry and the temporary file, which removes it.
func (z *zipped) Close() error {
	var err error
	if z.open != nil {
		err = z.open.Close()
	}
	return errors.Join(err, z.file.Close())
}

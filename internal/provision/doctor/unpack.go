package doctor

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/snappy/xerial"

	"github.com/stagelog/stagelog/internal/layout"
)

// unpack is the text of an object. How it is packed is seen from its first bytes, as an HTTP
// client on the way may have unpacked it, and error output is packed in its own way; Hadoop's
// Snappy alone has none, and goes by the stream's setting.
func unpack(body []byte, compression string) ([]byte, error) {
	switch {
	case bytes.HasPrefix(body, []byte{0x1f, 0x8b}):
		return gunzip(body)
	case bytes.HasPrefix(body, []byte("PK\x03\x04")):
		return unzip(body)
	case bytes.HasPrefix(body, []byte("\x82SNAPPY\x00")):
		return xerial.Decode(body)
	case bytes.HasPrefix(body, []byte("PAR1")):
		return nil, errors.New("unpack object: it is Parquet")
	case compression == layout.HadoopSnappy && len(body) > 0 && body[0] != '{':
		return unhadoop(body)
	}
	return body, nil
}

func gunzip(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, largestObject))
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	return text, z.Close()
}

// unzip is the text of an archive's entries, one behind the other.
func unzip(body []byte) (text []byte, err error) {
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("unpack zip: %w", err)
	}
	for _, f := range z.File {
		entry, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("unpack zip: %w", err)
		}
		part, err := io.ReadAll(io.LimitReader(entry, largestObject))
		if err := errors.Join(err, entry.Close()); err != nil {
			return nil, fmt.Errorf("unpack zip: %w", err)
		}
		text = append(text, part...)
	}
	return text, nil
}

// unhadoop reads the blocks of Hadoop's BlockCompressorStream: the length of a block, then
// chunks of it, each the length compressed and the Snappy block, until the length is reached.
func unhadoop(body []byte) (text []byte, err error) {
	const lengthBytes = 4
	for len(body) > 0 {
		if len(body) < lengthBytes {
			return nil, io.ErrUnexpectedEOF
		}
		whole := int(binary.BigEndian.Uint32(body))
		if body = body[lengthBytes:]; whole > largestObject-len(text) {
			return nil, io.ErrUnexpectedEOF
		}
		for done := 0; done < whole; {
			if len(body) < lengthBytes {
				return nil, io.ErrUnexpectedEOF
			}
			size := int(binary.BigEndian.Uint32(body))
			if body = body[lengthBytes:]; size > len(body) {
				return nil, io.ErrUnexpectedEOF
			}
			if n, err := snappy.DecodedLen(body[:size]); err != nil || n == 0 || n > whole-done {
				return nil, io.ErrUnexpectedEOF // what it says of its length is not to be trusted
			}
			chunk, err := snappy.Decode(nil, body[:size])
			if err != nil {
				return nil, fmt.Errorf("unpack hadoop-snappy: %w", err)
			}
			text, body, done = append(text, chunk...), body[size:], done+len(chunk)
		}
	}
	return text, nil
}

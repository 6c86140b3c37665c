package replay

import (
	"context"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/record"
)

// output is an object that is written to a temporary file first: it may be larger than memory.
type output struct {
	key     string
	packed  bool // compressed with gzip
	records int
	sum     hash.Hash // of the records

	file *os.File
	zip  *gzip.Writer // nil unless packed
	to   io.Writer    // zip or file
}

// write appends the lines made from the record rec. The checksum covers rec only.
func (o *output) write(lines, rec []byte) error {
	if o.file == nil {
		if err := o.open(); err != nil {
			return fmt.Errorf("create temporary file for %s: %w", o.key, err)
		}
	}
	if _, err := o.to.Write(lines); err != nil {
		return fmt.Errorf("write temporary file of %s: %w", o.key, err)
	}
	o.records++
	_, _ = o.sum.Write(rec) // never fails
	return nil
}

func (o *output) open() (err error) {
	if o.file, err = os.CreateTemp("", "stagelog-replay-*"); err != nil {
		return err
	}
	if err := os.Remove(o.file.Name()); err != nil { // deleted when the file is closed
		return err
	}
	if o.to = o.file; o.packed {
		o.zip, err = gzip.NewWriterLevel(o.file, gzip.BestSpeed)
		o.to = o.zip
	}
	return err
}

// finish completes the compressed stream.
func (o *output) finish() error {
	if o.zip == nil {
		return nil
	}
	if err := o.zip.Close(); err != nil {
		return fmt.Errorf("write temporary file of %s: %w", o.key, err)
	}
	return nil
}

func (o *output) put(ctx context.Context, b Bucket, meta map[string]string) error {
	size, err := o.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := o.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	m := record.Meta{Size: size, ContentType: objectkey.ContentType, User: meta}
	if o.packed {
		m.ContentEncoding = "gzip"
	}
	return b.Put(ctx, o.key, o.file, m)
}

func (o *output) discard() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// keyOf returns the key of the output for an object. Outputs are compressed with gzip only, so the
// extensions of other formats get .gz appended.
func keyOf(prefix, rest string) string {
	for _, ext := range []string{".zip", ".snappy", ".hsnappy", ".zst"} {
		if strings.HasSuffix(rest, ext) {
			return prefix + rest + gzipExt
		}
	}
	return prefix + rest
}

const gzipExt = ".gz"

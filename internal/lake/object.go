package lake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	partBytes    = 256 << 10 // approximate size in which a line of several objects is read
	maxLineBytes = 1 << 20   // longer lines are bad
	maxBadLines  = 1000      // kept per object
	maxBadBytes  = 200       // kept of a bad line
	flushBytes   = 256 << 10 // of rows, before they are written to the file
	// An object's lines and its rows may each have this many bytes, or maxRatio times its size if that is more. Firehose
	// buffers at most 128 MiB per object, and logs are compressed to a tenth.
	maxPlainBytes = 256 << 20
	maxRatio      = 200
)

// read is an object whose rows were written to a file.
type read struct {
	record.Object
	id      int32
	file    string // CSV
	count   counts
	bytes   int64 // of the rows
	bad     []badLine
	problem string // "" if none
	repair  string // the cause of the first repair; "" if none
	skipped string // why it is not imported now; "" if it is
	failed  error  // the bucket's error, if that is why
}

type badLine struct {
	line    int64
	reason  string
	content string
}

// objectReader reads objects into files.
type objectReader struct {
	src     Source
	mapping Mapping
	dir     string
}

// read reads one object into a file. It returns an error if the bucket or the machine fails. A fault in the object itself
// becomes its problem; if only this object cannot be fetched, it is skipped.
func (or objectReader) read(ctx context.Context, o record.Object, id int32) (_ *read, err error) {
	r := &read{Object: o, id: id}
	if !utf8.ValidString(o.Key) {
		r.skipped = "its key is not valid UTF-8"
		return r, nil
	}
	body, err := or.src.Get(ctx, o.Key)
	if errors.Is(err, record.ErrNotFound) {
		r.skipped = "the object disappeared after it was listed"
		return r, nil
	}
	if awserr.RefusedObject(err) {
		r.skipped, r.failed = fmt.Sprintf("S3 refused to return it: %s (%s)", awserr.Message(err), awserr.Code(err)), err
		return r, nil
	}
	if err != nil {
		return nil, err // it names the object
	}
	defer body.Close()
	whole := &checkedBody{from: body, size: o.Size}
	file, err := os.CreateTemp(or.dir, "rows-*.csv")
	if err != nil {
		return nil, fmt.Errorf("create a file for the rows of %s: %w", o.Key, err)
	}
	r.file = file.Name()
	err = r.parse(ctx, whole, file, or.mapping.In(o.Key).reader(id), max(maxPlainBytes, maxRatio*o.Size))
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case whole.err != nil:
		r.skipped, r.failed = "its transfer was interrupted: "+whole.err.Error(), fmt.Errorf("read object %s: %w", o.Key, whole.err)
		return r, os.Remove(r.file)
	case err == nil:
		return r, nil
	default:
		err = fmt.Errorf("write the rows of %s: %w", o.Key, err)
	}
	_ = os.Remove(r.file)
	return nil, err
}

// checkedBody notes when an object's body ends before its listed size, or fails. The decoders cannot distinguish that from
// a truncated object.
type checkedBody struct {
	from io.Reader
	size int64
	n    int64
	err  error
}

// Read reads from the body.
func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.n += int64(n)
	switch {
	case err == nil:
	case !errors.Is(err, io.EOF):
		b.err = err
	case b.n < b.size:
		b.err = fmt.Errorf("got %d of %d bytes", b.n, b.size)
	}
	return n, err
}

// parse writes the rows of the object's lines to file, and sets r's counts and problem. It stops at more than limit bytes of
// lines or rows. Its error is never the object's fault.
func (r *read) parse(ctx context.Context, body io.Reader, file io.Writer, reader lineReader, limit int64) error {
	plain, form, err := lines.Open(body)
	if errors.Is(err, lines.ErrCopy) {
		return err
	} else if err != nil {
		r.problem = err.Error()
		return ctx.Err()
	}
	defer plain.Close()
	rows := bufio.NewWriterSize(file, flushBytes)
	var ours error // not the object's fault
	err = lines.Lines(&bounded{plain, limit + 1}, partBytes, maxLineBytes, func(line []byte, tooLong bool) error {
		if ours = ctx.Err(); ours != nil {
			return ours
		}
		reader.lineOf(line, tooLong)
		if len(reader.out) >= flushBytes {
			_, ours = rows.Write(reader.out)
			r.bytes += int64(len(reader.out))
			reader.out = reader.out[:0]
		}
		if ours == nil && r.bytes > limit {
			return errTooLarge
		}
		return ours
	})
	if ours == nil {
		_, ours = rows.Write(reader.out)
		r.bytes += int64(len(reader.out))
	}
	if ours == nil {
		ours = rows.Flush()
	}
	if ours == nil {
		ours = ctx.Err()
	}
	r.count, r.bad, r.repair, r.problem = reader.count, reader.bad, reader.repair, reader.problem
	switch {
	case r.problem != "" || ours != nil:
	case errors.Is(err, errTooLarge):
		r.problem = fmt.Sprintf("the %s object expands to more than %d bytes; only its beginning was imported", form, limit)
	case err != nil:
		r.problem = fmt.Sprintf("the %s data is truncated or corrupt: %v", form, err)
	case r.count.rows+r.count.doctor == 0 && len(r.bad) > 0:
		r.problem = noLog + r.bad[0].reason
	}
	return ours
}

// errTooLarge stops the reading of an object that is small but has a lot of content.
var errTooLarge = errors.New("too large")

// bounded returns errTooLarge after a number of bytes.
type bounded struct {
	from io.Reader
	left int64
}

// Read reads up to the limit.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

const noLog = "the object has no access log lines: "

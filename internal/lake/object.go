package lake

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
	"github.com/stagelog/stagelog/internal/encoding/lines"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	partBytes    = 256 << 10 // of a line of objects that run together, about, at once
	maxLineBytes = 1 << 20   // of a line that is read at all
	maxBadLines  = 1000      // that are kept of an object
	maxBadBytes  = 200       // that are kept of a bad line
	flushBytes   = 256 << 10 // of rows, to the file
	// hopeless is after how many bad lines without a good one an object is no log.
	hopeless = 100
)

// read is an object that was read: its rows stand in a file.
type read struct {
	record.Object
	id      int32
	file    string // CSV
	count   counts
	bad     []badLine
	problem string // "" is none
}

type badLine struct {
	line    int64
	reason  string
	content string
}

// readObject reads one object into a file in dir. An error is the machine's or the bucket's; what
// is wrong with the object is its problem.
func readObject(ctx context.Context, src Source, o record.Object, id int32, m Mapping, dir string) (_ *read, err error) {
	r := &read{Object: o, id: id}
	body, err := src.Get(ctx, o.Key)
	if err != nil {
		return nil, fmt.Errorf("get object %s: %w", o.Key, err)
	}
	defer body.Close()
	file, err := os.CreateTemp(dir, "rows-*.csv")
	if err != nil {
		return nil, fmt.Errorf("make room for the rows of %s: %w", o.Key, err)
	}
	r.file = file.Name()
	defer func() {
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("write the rows of %s: %w", o.Key, closeErr)
		}
		if err != nil {
			_ = os.Remove(r.file)
		}
	}()
	plain, form, err := lines.Open(body)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.problem = err.Error()
		return r, nil
	}
	defer plain.Close()
	rows := bufio.NewWriterSize(file, flushBytes)
	reader := lineReader{fields: m.names(), object: id}
	var ours error // not the object's fault
	err = lines.Lines(plain, partBytes, maxLineBytes, func(line []byte, cut bool) error {
		if ours = ctx.Err(); ours != nil {
			return ours
		}
		bad := &jsonscan.Bad{Reason: fmt.Sprintf("the line is longer than %d bytes", maxLineBytes)}
		if cut {
			reader.n++
			reader.count.bad++
		} else {
			bad = reader.line(line)
		}
		if bad != nil {
			return r.note(&reader, line, bad)
		}
		if len(reader.out) >= flushBytes {
			_, ours = rows.Write(reader.out)
			reader.out = reader.out[:0]
		}
		return ours
	})
	if ours == nil {
		if _, ours = rows.Write(reader.out); ours == nil {
			ours = rows.Flush()
		}
	}
	r.count = reader.count
	switch {
	case ours != nil:
		return nil, fmt.Errorf("write the rows of %s: %w", o.Key, ours)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && r.problem == "":
		r.problem = fmt.Sprintf("the %s data ends or breaks off: %v", form, err)
	case r.problem == "" && r.count.rows+r.count.doctor == 0 && len(r.bad) > 0:
		r.problem = noLog + r.bad[0].reason
	}
	return r, nil
}

const noLog = "it holds no access log lines: "

// errHopeless ends reading an object that holds no log.
var errHopeless = fmt.Errorf("no log")

// note keeps a bad line, and gives up an object that has nothing else.
func (r *read) note(lines *lineReader, line []byte, bad *jsonscan.Bad) error {
	if bad == envelope {
		lines.count.bad--
		r.problem = bad.Reason
		return errHopeless
	}
	if len(r.bad) < maxBadLines {
		r.bad = append(r.bad, badLine{lines.n, bad.Reason, strings.ToValidUTF8(string(line[:min(len(line), maxBadBytes)]), "\uFFFD")})
	}
	if lines.count.bad >= hopeless && lines.count.rows == 0 {
		r.problem = noLog + bad.Reason
		return errHopeless
	}
	return nil
}

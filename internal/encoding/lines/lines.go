package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Lines calls fn with each non-blank line of r, without surrounding space. If a line is longer than partBytes and
// consists of concatenated JSON objects, as streams without a delimiter deliver them, fn gets it in parts of complete
// objects. A line or part that is still longer than maxBytes is truncated to maxBytes, and the rest is skipped. fn must
// not keep line. Lines stops at the first error of fn and returns it unchanged.
func Lines(r io.Reader, partBytes, maxBytes int, fn func(line []byte, truncated bool) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	l := lines{partBytes: partBytes, maxBytes: maxBytes, fn: fn}
	for {
		part, err := in.ReadSlice('\n')
		if fnErr := l.add(part); fnErr != nil {
			return fnErr
		}
		switch {
		case err == nil:
			err = l.end()
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return l.end()
		default:
			if endErr := l.end(); endErr != nil {
				return endErr
			}
		}
		if err != nil {
			return err
		}
	}
}

// lines collects one line.
type lines struct {
	partBytes, maxBytes int
	fn                  func([]byte, bool) error

	buf      []byte
	full     bool // buf reached maxBytes, the rest of the line is skipped
	scanned  int  // bytes of buf that scan has read
	depth    int  // depth of braces at scanned
	inString bool // scanned is inside a string
	escaped  bool // scanned follows a backslash
	complete int  // end of the complete objects in buf
}

func (l *lines) add(part []byte) error {
	if l.full {
		return nil
	}
	l.buf = append(l.buf, part...)
	if len(l.buf) <= l.partBytes {
		return nil
	}
	l.scan()
	if l.complete > 0 {
		rest := l.buf[l.complete:]
		if err := l.fn(l.buf[:l.complete], false); err != nil {
			return err
		}
		l.buf = l.buf[:copy(l.buf, rest)]
		l.scanned -= l.complete
		l.complete = 0
	}
	if len(l.buf) <= l.maxBytes {
		return nil
	}
	// Of a damaged object, the end may not be found: the next object begins where one seems to follow another.
	k := bytes.LastIndex(l.buf[:l.scanned], []byte(`}{"`)) + 1
	if k == 0 {
		l.full = true
		return nil
	}
	rest := l.buf[k:]
	if err := l.fn(l.buf[:k], false); err != nil {
		return err
	}
	*l = lines{partBytes: l.partBytes, maxBytes: l.maxBytes, fn: l.fn, buf: l.buf[:copy(l.buf, rest)]}
	return nil
}

// scan finds where objects follow complete ones. In text that is not JSON these places are arbitrary; the parser of the parts
// reports that.
func (l *lines) scan() {
	for ; l.scanned < len(l.buf); l.scanned++ {
		c := l.buf[l.scanned]
		switch {
		case l.escaped:
			l.escaped = false
		case l.inString && c == '\\':
			l.escaped = true
		case c == '"':
			l.inString = !l.inString
		case l.inString:
		case c == '{':
			if before := bytes.TrimRight(l.buf[:l.scanned], " \t\r,"); l.depth == 0 && bytes.HasSuffix(before, []byte("}")) {
				l.complete = l.scanned
			}
			l.depth++
		case c == '}' && l.depth > 0:
			l.depth--
		}
	}
}

// end passes the rest of the line to fn and starts the next line.
func (l *lines) end() error {
	line, truncated := bytes.Trim(l.buf, " \t\r\n"), l.full
	*l = lines{partBytes: l.partBytes, maxBytes: l.maxBytes, fn: l.fn, buf: l.buf[:0]}
	if len(line) == 0 {
		return nil
	}
	if truncated {
		line = line[:min(len(line), l.maxBytes)]
	}
	return l.fn(line, truncated)
}

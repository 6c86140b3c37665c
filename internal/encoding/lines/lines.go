package lines

import (
	"bufio"
	"errors"
	"io"
)

// Lines calls fn with each line of r, without its newline; blank ones are left out. A line
// that holds objects that run together, as streams without a delimiter deliver them, comes
// in parts of whole objects where it is much longer than most bytes. What is longer than max all
// the same comes as its first max bytes with cut set, and the rest of it is passed over. The
// line is valid only during fn, whose error ends it and is returned as it is.
func Lines(r io.Reader, most, max int, fn func(line []byte, cut bool) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	l := lines{most: most, max: max, fn: fn}
	for {
		part, err := in.ReadSlice('\n')
		if takeErr := l.take(part); takeErr != nil {
			return takeErr
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

// lines gathers one line.
type lines struct {
	most, max int
	fn        func([]byte, bool) error

	buf    []byte
	over   bool // buf is full, and the rest of the line is passed over
	seen   int  // bytes of buf that were looked at
	depth  int  // of braces at seen
	quoted bool // seen is inside a string
	escape bool // seen is behind a backslash
	whole  int  // the end of the last object that stands whole in buf
}

func (l *lines) take(part []byte) error {
	if l.over {
		return nil
	}
	l.buf = append(l.buf, part...)
	if len(l.buf) <= l.most {
		return nil
	}
	l.scan()
	if l.whole > 0 {
		rest := l.buf[l.whole:]
		if err := l.fn(l.buf[:l.whole], false); err != nil {
			return err
		}
		l.buf = l.buf[:copy(l.buf, rest)]
		l.seen -= l.whole
		l.whole = 0
	}
	if len(l.buf) > l.max {
		l.over = true
	}
	return nil
}

// scan finds the ends of objects. It is only right for JSON, and for anything else only says
// where such objects would end: whoever reads the parts finds that they are none.
func (l *lines) scan() {
	for ; l.seen < len(l.buf); l.seen++ {
		c := l.buf[l.seen]
		switch {
		case l.escape:
			l.escape = false
		case l.quoted && c == '\\':
			l.escape = true
		case c == '"':
			l.quoted = !l.quoted
		case l.quoted:
		case c == '{':
			l.depth++
		case c == '}' && l.depth > 0:
			if l.depth--; l.depth == 0 {
				l.whole = l.seen + 1
			}
		}
	}
}

// end hands over what is left of the line and begins the next.
func (l *lines) end() error {
	line, cut := l.buf, l.over
	for len(line) > 0 && space(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	for len(line) > 0 && space(line[0]) {
		line = line[1:]
	}
	*l = lines{most: l.most, max: l.max, fn: l.fn, buf: l.buf[:0]}
	if len(line) == 0 {
		return nil
	}
	if cut {
		line = line[:min(len(line), l.max)]
	}
	return l.fn(line, cut)
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

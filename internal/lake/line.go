package lake

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

// doctorMark is the prefix of the request ids of the records that `stagelog doctor` sends.
const doctorMark = "stagelog-doctor-"

// counts counts the lines of an object by outcome.
type counts struct {
	rows     int64 // JSON objects that became rows
	bad      int64 // lines that are not JSON objects
	other    int64 // JSON objects that are not access log lines
	doctor   int64 // records that doctor sent
	control  int64 // messages with which CloudWatch Logs tests a destination
	misfit   int64 // values that do not fit their column, kept in extra
	repaired int64 // lines that were not valid JSON before a repair
	zoneless int64 // times without a zone, read as UTC
}

// lineReader converts lines to rows.
type lineReader struct {
	fields  *jsonscan.Names[use] // what to do with each member
	own     int                  // fields of the format; 0 if it is not known
	object  int32
	folders []partition

	out     []byte // rows, as CSV
	n       int64  // JSON objects and bad lines so far
	count   counts
	bad     []badLine // the first maxBadLines
	repair  string    // the cause of the first repair
	problem string    // of the whole object

	row   [columns][]byte // the values of the current row; nil is NULL
	ranks [columns]uint8

	ranked   [columns]pathValue // the fields with the values of row, if their rank is not 0
	replaced []pathValue        // fields whose place in row another one took

	micro int64
	extra []byte
	spare []byte // storage of unescaped values
	path  []byte // of the object or list that is being read; empty at the top level
	depth int    // of path
	seen  seen

	wrapped  []byte // the value of the current object that may wrap a line; nil if none
	outer    stamp  // of the wrapper that is being read
	wraps    int    // wrappers that are being read
	wrappers [maxWraps]wrapper
}

// pathValue is a field.
type pathValue struct{ path, value []byte }

// seen counts the fields of the current object, at any depth.
type seen struct {
	count    tally // a field whose value does not fit its column is not known
	own      int   // fields of the format
	misfit   int64
	zoneless int64
}

// envelope is the reason for a line of an error object.
var envelope = &jsonscan.Bad{Reason: "this is Firehose error output; `stagelog replay` reprocesses its records"}

// tooLong is the reason for a line over maxLineBytes.
var tooLong = &jsonscan.Bad{Reason: fmt.Sprintf("the line is longer than %d bytes", maxLineBytes)}

// lineOf reads one line. If the line is too long, line holds only its beginning.
func (r *lineReader) lineOf(line []byte, long bool) {
	if long {
		r.reject(line, tooLong)
	} else {
		r.line(line)
	}
}

// line reads one line, which may hold several objects or a list of them, wrapped or not.
func (r *lineReader) line(line []byte) {
	before := r.mark()
	bad := r.objects(line)
	if bad == nil {
		return
	}
	r.back(before)
	if bad == envelope {
		r.problem = bad.Reason
	} else if !r.stamped(line) {
		r.salvage(line)
	}
}

// mark is a state of a reader to which it can return.
type mark struct {
	out, bad int
	n        int64
	count    counts
	repair   string
}

func (r *lineReader) mark() mark { return mark{len(r.out), len(r.bad), r.n, r.count, r.repair} }

func (r *lineReader) back(to mark) {
	r.out, r.bad, r.n, r.count, r.repair = r.out[:to.out], r.bad[:to.bad], to.n, to.count, to.repair
}

// objects reads objects that follow each other. It stops at the first that is bad.
func (r *lineReader) objects(b []byte) *jsonscan.Bad {
	for i := between(b, 0); i < len(b); {
		if b[i] != '{' {
			return jsonscan.BadJSON
		}
		r.begin()
		end, bad := r.objectOf(b, i)
		if bad != nil {
			return bad
		}
		r.end(b[i:end])
		i = between(b, end)
	}
	return nil
}

// byteOrderMark begins the files of some editors, and of each line if such files were joined.
const byteOrderMark = "\uFEFF"

// between skips white space, the punctuation of a list and byte order marks, and returns the index of the next object.
func between(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == ',' || b[i] == '[' || b[i] == ']' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	if i < len(b) && b[i] == byteOrderMark[0] && bytes.HasPrefix(b[i:], []byte(byteOrderMark)) {
		return between(b, i+len(byteOrderMark))
	}
	return i
}

func (r *lineReader) begin() {
	clear(r.row[:])
	r.extra, r.spare, r.path, r.depth = r.extra[:0], r.spare[:0], r.path[:0], 0
	r.seen, r.wrapped, r.replaced = seen{}, nil, r.replaced[:0]
	r.fields.Begin()
}

// objectOf reads the members of the object at i.
func (r *lineReader) objectOf(b []byte, i int) (next int, bad *jsonscan.Bad) {
	return jsonscan.Members(b, i, func(name []byte, escaped bool, value []byte) *jsonscan.Bad {
		if string(name) == "rawData" && (bytes.Contains(b, []byte(`"errorCode"`)) || bytes.Contains(b, []byte(`"lastErrorCode"`))) {
			return envelope
		}
		r.member(name, escaped, value)
		return nil
	})
}

// remove counts a field whose value does not fit its column. It is no sign of an access log.
func (s *seen) remove(f use) {
	s.misfit++
	s.count -= f.count - oneField
}

// isWhole reports whether the current object has all fields of the format.
func (r *lineReader) isWhole() bool { return r.own > 0 && r.seen.own >= r.own }

// isLog reports whether the current object is an access log line. It has all fields of the format, or at least two with
// names that access logs have: an id, a time or an address is in every kind of log, so there must be another one among
// them, or they must be most of the line.
func (r *lineReader) isLog() bool {
	c := r.seen.count
	return c.known() >= 2 && (c.telling() > 0 || 2*c.known() > c.all()) || r.isWhole()
}

// member reads one field into the row, or keeps it in extra.
func (r *lineReader) member(name []byte, escaped bool, value []byte) {
	if escaped {
		name = jsonscan.Unescape(nil, name)
	}
	if r.depth == 0 {
		r.field(name, name, value)
		return
	}
	r.field(name, append(append(r.path, '.'), name...), value)
}

// maxNested limits the depth of objects and lists whose fields are read. What is deeper is kept in extra.
const maxNested = 16

// field reads the field at a path. An element of a list has no name.
func (r *lineReader) field(name, path, value []byte) {
	f := r.fields.Value(path)
	if f.wraps {
		r.offer(value)
	}
	if (value[0] == '{' || value[0] == '[') && r.depth < maxNested {
		known := r.seen.count.known()
		if r.nested(name, path, value); r.seen.count.known() == known && f.kind != kindExtra {
			r.seen.misfit++
		}
		return
	}
	if (f.kind == kindExtra || f.column == colError) && len(value) > 1 && (value[1] == '{' || value[1] == '[') && r.column(name, path, value) {
		return
	}
	if r.seen.count += f.count; f.own {
		r.seen.own++
	}
	if f.kind == kindExtra {
		r.keep(name, value)
		return
	}
	r.set(f, name, path, value)
}

// set stores the value of a field that has a column, or keeps it in extra.
func (r *lineReader) set(f use, name, path, value []byte) {
	text, isText := r.text(value)
	if len(text) == 0 || string(text) == "-" || string(value) == "null" {
		return
	}
	c := f.column
	switch {
	case f.kind == kindSecret:
		if hidden.Match(text) {
			r.keep(name, value)
		}
	case r.row[c] != nil && r.ranks[c] <= f.rank:
		if !bytes.Equal(r.row[c], text) && f.kind != kindTime {
			r.keep(name, value)
		}
	case !isText && (value[0] == '{' || value[0] == '[') && f.kind == kindText:
		r.seen.remove(f)
		r.keep(name, value)
	default:
		stored, ok := r.stored(f.field, text)
		if !ok {
			r.seen.remove(f)
			r.keep(name, value)
			return
		}
		if f.kind != kindTime && (f.rank > 0 || r.row[c] != nil) {
			r.rank(f, path, value, stored)
		}
		r.row[c], r.ranks[c] = stored, f.rank
	}
}

// rank notes that a field of a lower rank may still replace this one, which may replace another one. A field that was replaced
// is kept in extra under its path, as the object that it was in may have ended.
func (r *lineReader) rank(f use, path, value, stored []byte) {
	c := f.column
	if r.row[c] != nil && !bytes.Equal(r.row[c], stored) {
		r.replaced = append(r.replaced, r.ranked[c])
	}
	if r.depth > 0 {
		path = bytes.Clone(path) // its bytes are those of the next one
	}
	r.ranked[c] = pathValue{path, value}
}

// nested reads the fields in an object or a list. What remains of it is kept in extra.
func (r *lineReader) nested(name, path, value []byte) {
	before, outside, closing := len(r.extra), len(r.path), value[0]+2
	if r.depth++; r.depth == 1 {
		r.path = append(r.path, path...) // of the line, which must not change
	} else {
		r.path = path
	}
	r.begins(name)
	r.extra = append(r.extra, value[0])
	begin := len(r.extra)
	if closing == '}' {
		_, _ = jsonscan.Members(value, 0, func(name []byte, escaped bool, value []byte) *jsonscan.Bad {
			r.member(name, escaped, value)
			return nil
		})
	} else {
		r.elements(value)
	}
	if len(r.extra) > begin || value[jsonscan.SpaceEnd(value, 1)] == closing {
		r.extra = append(r.extra, closing)
	} else {
		r.extra = r.extra[:before] // every field has a column or no value
	}
	r.path = r.path[:outside]
	r.depth--
}

// column reads the fields in an object or a list that is the text of a string, as format conversion writes it to a column of
// text. It returns false, and does nothing, if no field has a meaning here.
func (r *lineReader) column(name, path, value []byte) bool {
	inside, isText := r.text(value)
	if !isText || r.depth == maxNested {
		return false
	}
	if end, bad := jsonscan.ValueEnd(inside, 0, 1); bad != nil || end < len(inside) {
		return false
	}
	before, seen := len(r.extra), r.seen
	if r.nested(name, path, inside); r.seen.count.known() == seen.count.known() {
		r.extra, r.seen = r.extra[:before], seen
		return false
	}
	return true
}

// elements reads the elements of a list. Those with a column become null, so that the others keep their index.
func (r *lineReader) elements(list []byte) {
	i := jsonscan.SpaceEnd(list, 1)
	more := list[i] != ']'
	for n := int64(0); more; n++ {
		end, _ := jsonscan.ValueEnd(list, i, 1)
		before := len(r.extra)
		r.field(nil, append(appendInt(append(r.path, ".["...), n), ']'), list[i:end])
		if len(r.extra) == before {
			r.keep(nil, []byte("null"))
		}
		i, more, _ = jsonscan.MoreOrEnd(list, end, ']')
	}
}

// stored returns a text as the value of a field's column, and false if it cannot be one. It stores a time in r.micro.
func (r *lineReader) stored(f field, text []byte) ([]byte, bool) {
	switch f.kind {
	case kindNumber:
		if n, ok := parseNumber(text); ok {
			return text, fits(f.column, n)
		}
		n, ok := wholeNumber(f.column, text)
		begin := len(r.spare)
		r.spare = appendInt(r.spare, n)
		return r.spare[begin:], ok && fits(f.column, n)
	case kindTime:
		micro, zoneless, ok := parseTime(text)
		if ok {
			r.micro = micro
		}
		if zoneless {
			r.seen.zoneless++
		}
		return text, ok
	}
	return text, true
}

// hidden matches a masked API key or its 128-bit hash.
var hidden = regexp.MustCompile(`^(\*+.{0,4}|[0-9a-f]{32})$`)

// text returns the content of a string, or any other value unchanged.
func (r *lineReader) text(value []byte) (text []byte, isText bool) {
	if value[0] != '"' {
		return value, false
	}
	text = value[1 : len(value)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		begin := len(r.spare)
		r.spare = jsonscan.Unescape(r.spare, text)
		text = r.spare[begin:]
	}
	return text, true
}

// keep adds a field to extra, or an element of a list if it has no name.
func (r *lineReader) keep(name, value []byte) {
	if name != nil && (string(value) == `"-"` || string(value) == "null") {
		return
	}
	r.begins(name)
	r.extra = appendValue(r.extra, value)
}

// begins adds what precedes the value of a field to extra.
func (r *lineReader) begins(name []byte) {
	if len(r.extra) == 0 {
		r.extra = append(r.extra, '{')
	} else if last := r.extra[len(r.extra)-1]; last != '{' && last != '[' {
		r.extra = append(r.extra, ',')
	}
	if name != nil {
		r.extra = append(r.extra, '"')
		r.extra = appendJSON(r.extra, name)
		r.extra = append(r.extra, '"', ':')
	}
}

// appendValue appends a JSON value. DuckDB rejects halves of surrogate pairs, which JSON allows; they become U+FFFD.
func appendValue(dst, value []byte) []byte {
	for {
		i := bytes.IndexByte(value, '\\')
		if i < 0 {
			return append(dst, value...)
		}
		dst = append(dst, value[:i]...)
		escape := value[i : i+2]
		if escape[1] == 'u' {
			r, rest := jsonscan.EscapedRune(value[i+2:])
			if escape = value[i : len(value)-len(rest)]; r == utf8.RuneError {
				escape = []byte(`\ufffd`)
			}
		}
		dst = append(dst, escape...)
		value = value[i+len(escape):]
	}
}

// appendJSON appends a name, escaped as in JSON.
func appendJSON(dst, name []byte) []byte {
	for _, c := range name {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// end ends an object, which is a row, wraps lines, or is something else.
func (r *lineReader) end(object []byte) {
	if r.wrapped != nil && r.unwrap(object) {
		return
	}
	r.n++
	switch {
	case bytes.HasPrefix(r.row[colRequestID], []byte(doctorMark)):
		r.count.doctor++
	case r.isLog():
		r.write()
	default:
		r.count.other++
	}
}

// write writes the row.
func (r *lineReader) write() {
	if r.row[colTime] == nil && r.outer.known {
		r.row[colTime], r.micro = []byte{}, r.outer.micro
		r.seen.zoneless += r.outer.zoneless
	}
	r.fill()
	r.count.rows++
	r.count.misfit += r.seen.misfit
	r.count.zoneless += r.seen.zoneless
	r.out = append(appendInt(r.out, int64(r.object)), separator)
	r.out = append(appendInt(r.out, r.n), separator)
	for _, f := range r.replaced {
		r.keep(f.path, f.value)
	}
	if len(r.extra) > 0 {
		r.extra = append(r.extra, '}')
		r.row[colExtra] = r.extra
	}
	escaped := false
	for c, text := range r.row {
		switch {
		case text == nil:
		case column(c) == colTime:
			r.out = appendInt(r.out, r.micro)
		default:
			var special bool
			r.out, special = appendField(r.out, text)
			escaped = escaped || special
		}
		r.out = append(r.out, separator)
	}
	r.out = endRow(r.out, escaped)
}

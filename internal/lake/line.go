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
	misfit   int64 // values that do not fit their column, kept in extra
	repaired int64 // lines whose curly quotes were repaired
	zoneless int64 // times without a zone, read as UTC
}

// lineReader converts lines to rows.
type lineReader struct {
	fields  *jsonscan.Names[use] // what to do with each member
	own     int                  // fields of the format; 0 if it is not known
	object  int32
	folders []partition

	out   []byte // rows, as CSV
	n     int64  // JSON objects and bad lines so far
	count counts

	row   [columns][]byte // the values of the current row; nil is NULL
	ranks [columns]int
	micro int64
	extra []byte
	spare []byte // storage of unescaped values
	path  []byte // of the object or list that is being read; empty at the top level
	depth int    // of path
	seen  seen
}

// seen counts the fields of the current object, at any depth.
type seen struct {
	all      int
	known    int // with a column and a value that fits, or of the format
	telling  int // of those, the ones that only an access log has
	own      int // of the format
	misfit   int64
	zoneless int64
}

// envelope is the reason for a line of an error object.
var envelope = &jsonscan.Bad{Reason: "this is Firehose error output; `stagelog replay` reprocesses its records"}

// tooLong is the reason for a line over maxLineBytes.
var tooLong = &jsonscan.Bad{Reason: fmt.Sprintf("the line is longer than %d bytes", maxLineBytes)}

// lineOf reads one line. If the line is too long, line holds only its beginning.
func (r *lineReader) lineOf(line []byte, long bool) *jsonscan.Bad {
	if !long {
		return r.line(line)
	}
	r.n++
	r.count.bad++
	return tooLong
}

// line reads one line, which may hold several objects or a list of them.
func (r *lineReader) line(line []byte) *jsonscan.Bad {
	begin, n, count := len(r.out), r.n, r.count
	bad := r.objects(line)
	if bad != nil && bad != envelope {
		if repaired := jsonscan.FixQuotes(line); repaired != nil {
			r.out, r.n, r.count = r.out[:begin], n, count
			if bad = r.objects(repaired); bad == nil {
				r.count.repaired++
			}
		}
	}
	if bad != nil {
		r.out, r.n, r.count = r.out[:begin], n+1, count
		r.count.bad++
	}
	return bad
}

func (r *lineReader) objects(b []byte) *jsonscan.Bad {
	objects := 0
	for i := between(b, 0); i < len(b); objects++ {
		if b[i] != '{' {
			return jsonscan.BadJSON
		}
		r.begin()
		end, bad := r.objectOf(b, i)
		if bad != nil {
			return bad
		}
		r.end()
		i = between(b, end)
	}
	if objects == 0 {
		return jsonscan.BadJSON
	}
	return nil
}

// between skips white space and the punctuation of a list, and returns the index of the next object.
func between(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == ',' || b[i] == '[' || b[i] == ']' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

func (r *lineReader) begin() {
	clear(r.row[:])
	r.extra, r.spare, r.path, r.depth = r.extra[:0], r.spare[:0], r.path[:0], 0
	r.seen = seen{}
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

// add counts a field.
func (s *seen) add(f use) {
	s.all++
	s.known += int(f.known)
	s.telling += int(f.telling)
	s.own += int(f.own)
}

// remove counts a field whose value does not fit its column. It is no sign of an access log.
func (s *seen) remove(f use) {
	s.misfit++
	s.known -= int(f.known)
	s.telling -= int(f.telling)
}

// isLog reports whether the current object is an access log line. It has all fields of the format, or at least two with
// names that access logs have: an id, a time or an address is in every kind of log, so there must be another one among
// them, or they must be most of the line.
func (r *lineReader) isLog() bool {
	s := r.seen
	return r.own > 0 && s.own >= r.own || s.known >= 2 && (s.telling > 0 || 2*s.known > s.all)
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
	if (value[0] == '{' || value[0] == '[') && r.depth < maxNested {
		known := r.seen.known
		if r.nested(name, path, value); r.seen.known == known && f.kind != kindExtra {
			r.seen.misfit++
		}
		return
	}
	if (f.kind == kindExtra || f.column == colError) && len(value) > 1 && (value[1] == '{' || value[1] == '[') && r.column(name, path, value) {
		return
	}
	r.seen.add(f)
	if f.kind == kindExtra {
		r.keep(name, value)
		return
	}
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
		r.row[c], r.ranks[c] = stored, f.rank
	}
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
	if r.nested(name, path, inside); r.seen.known == seen.known {
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

// end writes the row.
func (r *lineReader) end() {
	r.n++
	if bytes.HasPrefix(r.row[colRequestID], []byte(doctorMark)) {
		r.count.doctor++
		return
	}
	if !r.isLog() {
		r.count.other++
		return
	}
	r.fill()
	r.count.rows++
	r.count.misfit += r.seen.misfit
	r.count.zoneless += r.seen.zoneless
	r.out = append(appendInt(r.out, int64(r.object)), separator)
	r.out = append(appendInt(r.out, r.n), separator)
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

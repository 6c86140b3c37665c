package enrich

import "github.com/stagelog/stagelog/internal/encoding/jsonscan"

// object describes an object of a record, as found by one pass over it.
type object struct {
	start, brace int  // the opening and the closing brace
	kept         int  // number of top-level members that are not removed
	newline      bool // there may be a newline between tokens

	in  [inputs]span   // the last value of each input role
	out [outputs]state // of each output name in the input

	// The edits in order, not overlapping. Objects with many repeated names need more than few.
	few  [8]edit
	n    int
	more []edit
}

// span is the position of a value: the content of a string, the whole token of any other value.
type span struct {
	from, to int
	kind     kind
}

// kind is the kind of a value, as far as needed here.
type kind uint8

const (
	kindNone    kind = iota // no such member
	kindASCII               // a string without escapes, in ASCII
	kindPlain               // a string without escapes
	kindEscaped             // a string with escapes
	kindNumber
	kindOther // null, true, false, an object or an array
)

// state describes an output name in the input.
type state uint8

const (
	absent state = iota
	dash         // only as `-`: replaced in place
	taken        // with another value: kept
)

// edit replaces rec[from:to].
type edit struct {
	from, to int32
	kind     kind   // of the replaced value
	field    *field // the value's field, with roleAPIKey or an output role; nil removes the range
}

// scan parses the object that begins at i strictly and returns the index after it.
func (e *Enricher) scan(b []byte, i int, o *object) (next int, bad *Bad) {
	if b[i] != '{' {
		if _, bad := jsonscan.ValueEnd(b, i, 0); bad != nil {
			return i, bad
		}
		return i, badObject
	}
	o.start = i
	o.kept, next, bad = e.object(b, i, 1, o, e.fields)
	o.brace = next - 1
	return next, bad
}

// object parses the object that begins at i, whose fields are fs, and returns the number of members that stay and the
// index after it. depth is the number of objects and lists that it is in, itself included.
func (e *Enricher) object(b []byte, i, depth int, o *object, fs *fields) (kept, next int, bad *Bad) {
	i = o.space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return 0, i + 1, nil
	}
	comma, cut := 0, -1 // index of the comma before this member; start of a range to remove up to the next one
	for {
		member := i
		if cut >= 0 {
			o.cut(cut, member)
			cut = -1
		}
		var f *field
		if f, i, bad = o.name(b, i, fs); bad != nil {
			return kept, i, bad
		}
		var v span
		if v, i, bad = e.value(b, i, depth, o, f); bad != nil {
			return kept, i, bad
		}
		switch {
		case f == nil || e.note(b, o, f, v):
			kept++
		case kept > 0:
			o.cut(comma, i)
		default:
			cut = member
		}

		end := i
		if i < len(b) && b[i] <= ' ' {
			i = o.space(b, i)
		}
		switch {
		case i >= len(b):
			return kept, i, jsonscan.BadTruncated
		case b[i] == '}':
			if cut >= 0 {
				o.cut(cut, end)
			}
			return kept, i + 1, nil
		case b[i] != ',':
			return kept, i, jsonscan.BadJSON
		}
		comma = i
		i++
		if i < len(b) && b[i] <= ' ' {
			i = o.space(b, i)
		}
	}
}

// list parses the list that begins at i, whose elements are the fields of fs, and returns the index after it.
func (e *Enricher) list(b []byte, i, depth int, o *object, fs *fields) (next int, bad *Bad) {
	o.newline = true
	if i = jsonscan.SpaceEnd(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for k, more := 0, true; more; k++ {
		f := fs.element(k)
		var v span
		if v, i, bad = e.value(b, i, depth, o, f); bad != nil {
			return i, bad
		}
		if f != nil && !e.note(b, o, f, v) {
			o.edit(v, f) // removing it would move the others
		}
		if i, more, bad = jsonscan.MoreOrEnd(b, i, ']'); bad != nil {
			return i, bad
		}
	}
	return i, nil
}

// name reads a member's name and the colon, and returns its field and the index of the value.
func (o *object) name(b []byte, i int, fs *fields) (f *field, next int, bad *Bad) {
	if i >= len(b) {
		return f, i, jsonscan.BadTruncated
	}
	if b[i] != '"' {
		return f, i, jsonscan.BadJSON
	}
	from, end := i+1, jsonscan.PlainEnd(b, i+1)
	escaped := false
	if end >= len(b) || b[end] != '"' {
		if end, escaped, bad = jsonscan.StringEnd(b, end); bad != nil {
			return f, end, bad
		}
	}
	if escaped {
		f = fs.find(jsonscan.Unescape(nil, b[from:end]))
	} else {
		f = fs.find(b[from:end])
	}
	if i = end + 1; i < len(b) && b[i] == ':' {
		i++
	} else if i, bad = o.colon(b, i); bad != nil {
		return f, i, bad
	}
	if i < len(b) && b[i] <= ' ' {
		i = o.space(b, i)
	}
	return f, i, nil
}

// value reads the value of a field, or of none if f is nil, and returns the index after it.
func (e *Enricher) value(b []byte, i, depth int, o *object, f *field) (v span, next int, bad *Bad) {
	if i >= len(b) || b[i] != '"' {
		if f != nil && f.inside != nil {
			return e.inside(b, i, depth, o, f)
		}
		return o.other(b, i, depth)
	}
	v = span{from: i + 1, to: jsonscan.PlainEnd(b, i+1), kind: kindASCII}
	if v.to >= len(b) || b[v.to] != '"' {
		var escaped bool
		if v.to, escaped, bad = jsonscan.StringEnd(b, v.to); bad != nil {
			return v, v.to, bad
		}
		v.kind = kindPlain
		if escaped {
			v.kind = kindEscaped
		}
	}
	return v, v.to + 1, nil
}

// inside reads the value of a field with fields of its own.
func (e *Enricher) inside(b []byte, i, depth int, o *object, f *field) (v span, next int, bad *Bad) {
	switch {
	case i >= len(b) || depth >= jsonscan.MaxDepth || f.role == roleAPIKey || b[i] != '{' && b[i] != '[':
		return o.other(b, i, depth)
	case b[i] == '{':
		_, next, bad = e.object(b, i, depth+1, o, f.inside)
	default:
		next, bad = e.list(b, i, depth+1, o, f.inside)
	}
	return span{i, next, kindOther}, next, bad
}

// note records the value of a field. It reports whether the member stays.
func (e *Enricher) note(b []byte, o *object, f *field, v span) (stays bool) {
	switch r := f.role; {
	case r == roleNone:
	case r < roleAPIKey:
		o.in[r] = v
	case r > roleAPIKey:
		k := r - roleUsagePlan
		if !isDash(b, v) {
			o.out[k] = taken
		} else {
			o.edit(v, f)
			o.out[k] = max(o.out[k], dash)
		}
	case e.mode == Drop && f.before == "" && f.after == "":
		return false
	case !isDash(b, v) && !isNull(b, v):
		o.edit(v, f)
	}
	return true
}

// edit notes that the value of a field is replaced.
func (o *object) edit(v span, f *field) { o.add(edit{int32(v.from), int32(v.to), v.kind, f}) }

// cut removes rec[from:to].
func (o *object) cut(from, to int) { o.add(edit{int32(from), int32(to), kindNone, nil}) }

func (o *object) add(ed edit) {
	if o.n < len(o.few) {
		o.few[o.n] = ed
	} else {
		o.more = append(o.more, ed)
	}
	o.n++
}

// at returns edit i.
func (o *object) at(i int) *edit {
	if i < len(o.few) {
		return &o.few[i]
	}
	return &o.more[i-len(o.few)]
}

func (o *object) space(b []byte, i int) int {
	end := jsonscan.SpaceEnd(b, i)
	for _, c := range b[i:end] {
		if c == '\n' || c == '\r' {
			o.newline = true
		}
	}
	return end
}

// colon calls jsonscan.ColonEnd, for input that the fast path does not handle.
func (o *object) colon(b []byte, i int) (int, *Bad) {
	o.newline = true
	return jsonscan.ColonEnd(b, i)
}

// other reads a value that is not a string.
func (o *object) other(b []byte, i, depth int) (v span, next int, bad *Bad) {
	end, bad := jsonscan.ValueEnd(b, i, depth)
	if bad != nil {
		return v, end, bad
	}
	v = span{from: i, to: end, kind: kindNumber}
	switch b[i] {
	case '{', '[':
		o.newline = true
		v.kind = kindOther
	case 't', 'f', 'n':
		v.kind = kindOther
	}
	return v, end, nil
}

// isDash reports whether v is `-`, which API Gateway writes for a variable that is not set.
func isDash(b []byte, v span) bool {
	switch v.kind {
	case kindASCII:
		return v.to-v.from == 1 && b[v.from] == '-'
	case kindEscaped:
		return v.to-v.from == 6 && string(jsonscan.Unescape(nil, b[v.from:v.to])) == "-"
	}
	return false
}

func isNull(b []byte, v span) bool {
	return v.kind == kindOther && b[v.from] == 'n'
}

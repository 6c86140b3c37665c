package enrich

import "github.com/stagelog/stagelog/internal/encoding/jsonscan"

// object describes an object of a record, as found by one pass over it.
type object struct {
	start, brace int  // the opening and the closing brace
	kept         int  // number of members that are not removed
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

// edit replaces rec[from:to] according to its action.
type edit struct {
	from, to int32
	kind     kind // of the replaced value
	action   role // roleAPIKey or an output role; roleNone removes the range
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
	i = o.space(b, i+1)
	if i < len(b) && b[i] == '}' {
		o.brace = i
		return i + 1, nil
	}
	comma, cut := 0, -1 // index of the comma before this member; start of a range to remove up to the next one
	for {
		member := i
		if cut >= 0 {
			o.cut(cut, member)
			cut = -1
		}
		var r role
		if r, i, bad = e.name(b, i, o); bad != nil {
			return i, bad
		}
		var v span
		if v, i, bad = o.value(b, i); bad != nil {
			return i, bad
		}
		switch {
		case r == roleNone || e.note(b, o, r, v):
			o.kept++
		case o.kept > 0:
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
			return i, jsonscan.BadTruncated
		case b[i] == '}':
			if cut >= 0 {
				o.cut(cut, end)
			}
			o.brace = i
			return i + 1, nil
		case b[i] != ',':
			return i, jsonscan.BadJSON
		}
		comma = i
		i++
		if i < len(b) && b[i] <= ' ' {
			i = o.space(b, i)
		}
	}
}

// name reads a member's name and the colon, and returns the index of the value.
func (e *Enricher) name(b []byte, i int, o *object) (r role, next int, bad *Bad) {
	if i >= len(b) {
		return r, i, jsonscan.BadTruncated
	}
	if b[i] != '"' {
		return r, i, jsonscan.BadJSON
	}
	from, end := i+1, jsonscan.PlainEnd(b, i+1)
	escaped := false
	if end >= len(b) || b[end] != '"' {
		if end, escaped, bad = jsonscan.StringEnd(b, end); bad != nil {
			return r, end, bad
		}
	}
	if r = roleNone; escaped {
		r = e.roles.of(jsonscan.Unescape(nil, b[from:end]))
	} else {
		r = e.roles.of(b[from:end])
	}
	if i = end + 1; i < len(b) && b[i] == ':' {
		i++
	} else if i, bad = o.colon(b, i); bad != nil {
		return r, i, bad
	}
	if i < len(b) && b[i] <= ' ' {
		i = o.space(b, i)
	}
	return r, i, nil
}

// value reads a member's value and returns the index after it.
func (o *object) value(b []byte, i int) (v span, next int, bad *Bad) {
	if i >= len(b) || b[i] != '"' {
		return o.other(b, i)
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

// note records a member that has a role. It reports whether the member stays.
func (e *Enricher) note(b []byte, o *object, r role, v span) (stays bool) {
	switch {
	case r < roleAPIKey:
		o.in[r] = v
	case r > roleAPIKey:
		k := r - roleUsagePlan
		if !isDash(b, v) {
			o.out[k] = taken
		} else {
			o.edit(v.from, v.to, v.kind, r)
			o.out[k] = max(o.out[k], dash)
		}
	case e.mode == Drop:
		return false
	case !isDash(b, v) && !isNull(b, v):
		o.edit(v.from, v.to, v.kind, r)
	}
	return true
}

// edit appends an edit.
func (o *object) edit(from, to int, k kind, action role) {
	ed := edit{int32(from), int32(to), k, action}
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

// cut removes rec[from:to].
func (o *object) cut(from, to int) { o.edit(from, to, kindNone, roleNone) }

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
func (o *object) other(b []byte, i int) (v span, next int, bad *Bad) {
	end, bad := jsonscan.ValueEnd(b, i, 1)
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

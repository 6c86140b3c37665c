package enrich

// object is what one pass over an object of a record found.
type object struct {
	start, brace int  // the opening and the closing brace
	kept         int  // members that stay
	newline      bool // there may be a newline between tokens

	in  [inputs]span   // the last value of each input role
	out [outputs]state // what stands under each output name

	edits []edit // in order; not overlapping
	few   [8]edit
}

// span is a value: content only for a string, else the whole token.
type span struct {
	from, to int
	kind     kind
}

// kind of a value, as far as we care.
type kind uint8

const (
	kindNone    kind = iota // no such member
	kindPlain               // a string whose bytes are its value
	kindEscaped             // a string with escapes
	kindNumber
	kindOther // null, true, false, an object or an array
)

// state of an output name in the input.
type state uint8

const (
	absent state = iota
	dash         // only as `-`: replaced where it stands
	taken        // with a value of its own: kept
)

// edit replaces rec[from:to] by what its action makes of it.
type edit struct {
	from, to int
	kind     kind // of the value that is replaced
	action   role // roleAPIKey and the output roles; roleNone cuts
}

// scan reads the object that begins at i, strictly, and returns the index after it.
func (e *Enricher) scan(b []byte, i int, o *object) (next int, bad *Bad) {
	if b[i] != '{' {
		if _, bad := valueEnd(b, i, 0); bad != nil {
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
	comma, cut := 0, -1 // the comma before this member; where a cut that ends with it began
	for {
		if i >= len(b) {
			return i, badTruncated
		}
		if b[i] != '"' {
			return i, badJSON
		}
		if cut >= 0 {
			o.edit(edit{from: cut, to: i, action: roleNone})
			cut = -1
		}
		member := i

		end := plainEnd(b, i+1)
		escaped := false
		if end >= len(b) || b[end] != '"' {
			if end, escaped, bad = stringEnd(b, end); bad != nil {
				return end, bad
			}
		}
		name := b[i+1 : end]
		r := roleNone
		if escaped {
			r = e.roles.of(unescape(nil, name))
		} else {
			r = e.roles.of(name)
		}

		i = end + 1
		if i < len(b) && b[i] == ':' {
			i++
		} else if i, bad = o.colon(b, i); bad != nil {
			return i, bad
		}
		if i < len(b) && b[i] <= ' ' {
			i = o.space(b, i)
		}

		var v span
		if i < len(b) && b[i] == '"' {
			v = span{from: i + 1, to: plainEnd(b, i+1), kind: kindPlain}
			if v.to >= len(b) || b[v.to] != '"' {
				if v.to, escaped, bad = stringEnd(b, v.to); bad != nil {
					return v.to, bad
				}
				if escaped {
					v.kind = kindEscaped
				}
			}
			i = v.to + 1
		} else {
			if v, bad = o.other(b, i); bad != nil {
				return i, bad
			}
			i = v.to
		}

		if r == roleNone {
			o.kept++
		} else if e.note(b, o, r, v) {
			o.kept++
		} else if o.kept > 0 {
			o.edit(edit{from: comma, to: i, action: roleNone})
		} else {
			cut = member
		}

		after := i
		if i < len(b) && b[i] <= ' ' {
			i = o.space(b, i)
		}
		if i >= len(b) {
			return i, badTruncated
		}
		if b[i] == '}' {
			if cut >= 0 {
				o.edit(edit{from: cut, to: after, action: roleNone})
			}
			o.brace = i
			return i + 1, nil
		}
		if b[i] != ',' {
			return i, badJSON
		}
		comma = i
		i++
		if i < len(b) && b[i] <= ' ' {
			i = o.space(b, i)
		}
	}
}

// note takes down a member that has a role. It says whether the member stays.
func (e *Enricher) note(b []byte, o *object, r role, v span) (stays bool) {
	switch {
	case r < roleAPIKey:
		o.in[r] = v
	case r > roleAPIKey:
		k := r - roleUsagePlan
		if !isDash(b, v) {
			o.out[k] = taken
		} else {
			o.edit(edit{from: v.from, to: v.to, kind: v.kind, action: r})
			o.out[k] = max(o.out[k], dash)
		}
	case e.mode == Drop:
		return false
	case !isDash(b, v) && !isNull(b, v):
		o.edit(edit{from: v.from, to: v.to, kind: v.kind, action: r})
	}
	return true
}

// edit adds one. The array inside serves unless names are repeated on purpose.
func (o *object) edit(ed edit) {
	if o.edits == nil {
		o.edits = o.few[:0]
	}
	o.edits = append(o.edits, ed)
}

func (o *object) space(b []byte, i int) int {
	end := spaceEnd(b, i)
	for _, c := range b[i:end] {
		if c == '\n' || c == '\r' {
			o.newline = true
		}
	}
	return end
}

// colon is colonEnd where the short way did not do.
func (o *object) colon(b []byte, i int) (int, *Bad) {
	o.newline = true
	return colonEnd(b, i)
}

// other reads a value that is not a string.
func (o *object) other(b []byte, i int) (v span, bad *Bad) {
	v.from = i
	if v.to, bad = valueEnd(b, i, 1); bad != nil {
		return v, bad
	}
	v.kind = kindNumber
	switch b[i] {
	case '{', '[':
		o.newline = true
		v.kind = kindOther
	case 't', 'f', 'n':
		v.kind = kindOther
	}
	return v, nil
}

// isDash says whether v is the `-` that API Gateway writes for a variable that is not set.
func isDash(b []byte, v span) bool {
	switch v.kind {
	case kindPlain:
		return v.to-v.from == 1 && b[v.from] == '-'
	case kindEscaped:
		return v.to-v.from == 6 && string(unescape(nil, b[v.from:v.to])) == "-"
	}
	return false
}

func isNull(b []byte, v span) bool {
	return v.kind == kindOther && b[v.from] == 'n'
}

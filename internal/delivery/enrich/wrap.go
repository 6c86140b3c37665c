package enrich

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/encoding/cwlogs"
	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	// maxWrapped limits the decompressed bytes of a record, and the bytes of the lines in it.
	maxWrapped = 8 << 20
	// maxDepth limits how many wrappers are around a line: an envelope, in its event a log router's object, in that another one.
	maxDepth = 3
)

var (
	// notLine means that an object lacks the field that each line of the format has: it may wrap a line.
	notLine   = &Bad{Reason: "the record is not an access log line"}
	badText   = &Bad{Reason: "the record wraps text that is not an access log line, in which an API key cannot be hidden"}
	badEvents = &Bad{Reason: "no log event in the record is a JSON object"}
)

// wrapping reports whether a member with this name may hold a line: log routers and container runtimes write `message` or `log`,
// CloudWatch Logs Insights writes `@message`.
func wrapping(name []byte) bool {
	return string(name) == "message" || string(name) == "log" || string(name) == "@message"
}

// unwrapper appends the lines of one record in which they may be wrapped.
type unwrapper struct {
	*Enricher
	marker   Enricher // scans in mode Mask, which leaves the places of API keys in the edits
	decoder  cwlogs.Decoder
	expanded []byte   // the decompressed record
	beside   []member // those beside a wrapped line, in each of the wrappers around it
	base     int      // index of the lines in dst
	count    counts
}

// member is a raw member of a wrapper.
type member struct{ name, value []byte }

// counts counts what a record holds.
type counts struct {
	lines  int // access log lines
	others int // other JSON objects
	bad    int // log events that are neither
}

func (e *Enricher) newUnwrapper() any {
	return &unwrapper{Enricher: e, marker: Enricher{mode: Mask, fields: e.fields}}
}

// unwrap does the same as Append for a record that needs repair or wraps lines.
func (e *Enricher) unwrap(dst, rec []byte) ([]byte, error) {
	u := e.unwrappers.Get().(*unwrapper)
	defer u.release()
	return u.record(dst, rec)
}

// record appends the lines of a record.
func (u *unwrapper) record(dst, rec []byte) ([]byte, error) {
	if cwlogs.Compressed(rec) {
		expanded, bad := u.decoder.Expand(u.expanded[:0], rec, maxWrapped)
		if bad != nil {
			return dst, bad
		}
		u.expanded, rec = expanded, expanded
	}
	u.base = len(dst)
	out, bad := u.text(dst, rec, 0)
	switch {
	case bad != nil:
		return dst, bad
	case u.count.bad > 0 && u.count.lines+u.count.others == 0:
		return dst, badEvents
	case len(out) == len(dst):
		return dst, record.ErrDropped
	}
	return out, nil
}

// release makes u ready for the next record.
func (u *unwrapper) release() {
	if cap(u.expanded) > maxWrapped/4 {
		u.expanded = nil // rare
	}
	clear(u.beside[:cap(u.beside)])
	u.beside, u.count = u.beside[:0], counts{}
	u.unwrappers.Put(u)
}

// text appends the lines of a text, and repairs its quotes if they are its only mistake. depth is the number of wrappers around it.
func (u *unwrapper) text(dst, text []byte, depth int) ([]byte, *Bad) {
	before := u.count
	out, bad := u.objects(dst, text, depth)
	if bad == nil {
		return out, nil
	}
	u.count = before
	if bad != jsonscan.BadJSON && bad != jsonscan.BadTruncated {
		return dst, bad
	}
	repaired := jsonscan.FixQuotes(text)
	if repaired == nil {
		return dst, bad
	}
	if out, again := u.objects(dst, repaired, depth); again == nil && !jsonscan.Repeats(repaired) {
		return out, nil
	}
	u.count = before
	return dst, bad
}

func (u *unwrapper) objects(dst, text []byte, depth int) (out []byte, bad *Bad) {
	i := jsonscan.SpaceEnd(text, 0)
	if i == len(text) {
		return dst, badEmpty
	}
	out = dst
	for i < len(text) && bad == nil {
		if len(out)-u.base > maxWrapped {
			return dst, cwlogs.BadSize
		}
		beside := u.beside
		if end := timeEnd(text, i); end > i { // as CloudWatch Logs exports log events
			u.beside = append(beside, member{[]byte("timestamp"), slices.Concat([]byte{'"'}, text[i:end], []byte{'"'})})
			if i = jsonscan.SpaceEnd(text, end); i == len(text) {
				return dst, jsonscan.BadTruncated
			}
		}
		var o object
		var next int
		if next, bad = u.scan(text, i, &o); bad == nil {
			out, bad = u.object(out, text, &o, depth)
		}
		u.beside = beside
		i = jsonscan.SpaceEnd(text, next)
	}
	if bad != nil {
		return dst, bad
	}
	return out, nil
}

// timeEnd returns the index after the time at i, or i if no time and space are there.
func timeEnd(text []byte, i int) int {
	const shortest, longest = len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.000000000+00:00")
	n := bytes.IndexByte(text[i:min(len(text), i+longest+1)], ' ')
	if n < shortest {
		return i
	}
	if _, err := time.Parse(time.RFC3339, string(text[i:i+n])); err != nil {
		return i
	}
	return i + n
}

// object appends the lines of an object: its own or the wrapped ones.
func (u *unwrapper) object(dst, b []byte, o *object, depth int) ([]byte, *Bad) {
	if o.in[u.mark].kind == kindNone {
		if e, ok, _, _ := cwlogs.Parse(b, o.start); ok {
			if depth > 0 {
				return dst, badText
			}
			return u.events(dst, e)
		}
		if out, found, bad := u.member(dst, b, o, depth); found || bad != nil {
			return out, bad
		}
		if len(u.keys(b, o)) == 0 {
			u.count.others++
			return u.appendBeside(u.emit(dst, b, o), b, o), nil
		}
	}
	u.count.lines++
	return u.appendBeside(u.emit(dst, b, o), b, o), nil
}

// events appends the lines of an envelope. Firehose takes one result for a record, so an event that is not a JSON object must not fail
// the others. It cannot be delivered unchanged, because an API key in it cannot be hidden: a line says where it is in CloudWatch Logs.
func (u *unwrapper) events(dst []byte, e cwlogs.Envelope) (out []byte, bad *Bad) {
	out = dst
	u.decoder.Events(e, func(event cwlogs.Event) {
		if bad != nil {
			return
		}
		lines, why := u.text(out, event.Message, 1)
		switch {
		case why == nil:
			out = lines
		case len(out)-u.base > maxWrapped:
			bad = cwlogs.BadSize
		default:
			u.count.bad++
			out = appendUnreadable(out, e, event)
		}
	})
	if bad != nil {
		return dst, bad
	}
	return out, nil
}

func appendUnreadable(dst []byte, e cwlogs.Envelope, event cwlogs.Event) []byte {
	dst = append(dst, `{"unreadable_log_event":{"id":"`...)
	dst = appendEscaped(dst, string(event.ID))
	dst = append(dst, `","timestamp":`...)
	dst = strconv.AppendInt(dst, event.Timestamp, 10)
	dst = append(dst, `,"log_group":"`...)
	dst = append(dst, e.LogGroup...)
	dst = append(dst, `","log_stream":"`...)
	dst = append(dst, e.LogStream...)
	return append(dst, "\"}}\n"...)
}

// member appends the lines in a member of the object. found reports whether there is one.
func (u *unwrapper) member(dst, b []byte, o *object, depth int) (out []byte, found bool, bad *Bad) {
	out = dst
	_, _ = jsonscan.Members(b, o.start, func(name []byte, _ bool, value []byte) *Bad {
		text := wrapped(value)
		if found || !wrapping(name) || len(text) == 0 || string(text) == "-" {
			return nil
		}
		if depth == maxDepth {
			bad = badText
			return nil
		}
		before, beside := u.count, u.beside
		u.addBeside(b, o, name)
		lines, why := u.text(dst, text, depth+1)
		u.beside = beside
		switch {
		case why == cwlogs.BadSize:
			bad = why
		case why != nil:
			bad = badText
		case u.count.lines > before.lines:
			out, found = lines, true
			return nil
		}
		u.count = before // what the member holds stays in it
		return nil
	})
	switch {
	case found, bad == badText && u.mode == Keep:
		return out, found, nil
	}
	return out, false, bad
}

// wrapped returns the text in a member's value: the content of a string, or an object.
func wrapped(value []byte) []byte {
	switch value[0] {
	case '"':
		return jsonscan.Unescape(nil, value[1:len(value)-1])
	case '{':
		return value
	}
	return nil
}

// addBeside adds the members of a wrapper beside the one with the name of the wrapped line, except those that the wrapped line's
// own wrappers have too, and those where the format has the API key.
func (u *unwrapper) addBeside(b []byte, o *object, line []byte) {
	_, _ = jsonscan.Members(b, o.start, func(name []byte, _ bool, value []byte) *Bad {
		f := u.fields.find(jsonscan.Unescape(nil, name))
		switch {
		case string(name) == string(line):
		case u.mode != Keep && f != nil && (f.role == roleAPIKey || f.inside != nil):
		default:
			u.beside = append(u.beside, member{name, value})
		}
		return nil
	})
}

// appendBeside adds what was beside a line in its wrappers as the line's member `wrapper`. Members that hold the line's API key, as a
// copy of the line does, are omitted.
func (u *unwrapper) appendBeside(line, b []byte, o *object) []byte {
	if len(u.beside) == 0 {
		return line
	}
	keys := u.keys(b, o)
	bare := len(line) - len("}\n")
	line = line[:bare]
	if line[bare-1] != '{' {
		line = append(line, ',')
	}
	line = append(line, `"wrapper":{`...)
	begin := len(line)
	for i, m := range u.beside {
		repeated := slices.ContainsFunc(u.beside[i+1:], func(inner member) bool { return bytes.Equal(inner.name, m.name) })
		if repeated || slices.ContainsFunc(keys, func(key []byte) bool { return holds(m.value, key) }) {
			continue
		}
		if len(line) > begin {
			line = append(line, ',')
		}
		line = append(append(append(line, '"'), m.name...), '"', ':')
		line = append(line, m.value...)
	}
	oneLine(line[begin:])
	return append(line, "}}\n"...)
}

// keys returns the API keys in an object that scan has accepted.
func (u *unwrapper) keys(b []byte, o *object) (all [][]byte) {
	if u.mode == Keep {
		return nil
	}
	var marked object
	_, _ = u.marker.scan(b, o.start, &marked)
	for i := range marked.n {
		k := marked.at(i)
		if k.field.role != roleAPIKey {
			continue
		}
		text := b[k.from:k.to]
		if k.kind == kindEscaped {
			text = jsonscan.Unescape(nil, text)
		}
		text = bytes.TrimPrefix(text, []byte(k.field.before))
		if text = bytes.TrimSuffix(text, []byte(k.field.after)); len(text) > 0 && string(text) != "-" {
			all = append(all, text)
		}
	}
	return all
}

// holds reports whether a key may be in a raw value: as it is, or with escapes.
func holds(value, key []byte) bool {
	if bytes.IndexByte(value, '\\') < 0 {
		return bytes.Contains(value, key)
	}
	text := jsonscan.Unescape(nil, value)
	return bytes.Contains(value, key) || bytes.Contains(text, key) || bytes.Contains(text, []byte(`\u`)) // JSON in a string of JSON
}

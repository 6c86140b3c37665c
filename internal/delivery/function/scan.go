package function

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// eventRecord is a record of an event. Its bytes alias the event.
type eventRecord struct {
	id      []byte // still escaped, so that it can be copied to the reply
	data    []byte // base64, without the quotes
	hasData bool   // false for null or absent
	checked bool   // data is already decoded JSON, without escapes
}

// scanner parses JSON in the layout of Firehose, aws-lambda-go and our handler. It does not support escapes, and sets ok to false
// for any input it does not support; encoding/json must parse that. It never accepts input that encoding/json rejects.
type scanner struct {
	buf []byte
	pos int
	ok  bool
}

func (s *scanner) space() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// take skips white space and, if it follows, one byte c.
func (s *scanner) take(c byte) bool {
	if s.pos < len(s.buf) && s.buf[s.pos] == c {
		s.pos++
		return true
	}
	s.space()
	if s.pos < len(s.buf) && s.buf[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) need(c byte) { s.ok = s.ok && s.take(c) }

// str reads a string, optionally after white space. It checks the bytes between the quotes only for an escape before the closing
// quote.
func (s *scanner) str() []byte {
	if s.need('"'); !s.ok {
		return nil
	}
	n := bytes.IndexByte(s.buf[s.pos:], '"')
	if n < 0 || n > 0 && s.buf[s.pos+n-1] == '\\' {
		s.ok = false
		return nil
	}
	v := s.buf[s.pos : s.pos+n]
	s.pos += n + 1
	return v
}

// plain reads a string of printable ASCII without escapes.
func (s *scanner) plain() []byte {
	v := s.str()
	s.ok = s.ok && plainString(v)
	return v
}

// digits skips a number that consists only of digits.
func (s *scanner) digits() {
	s.space()
	start := s.pos
	for s.pos < len(s.buf) && s.buf[s.pos]-'0' <= 9 {
		s.pos++
	}
	n := s.pos - start
	s.ok = s.ok && n > 0 && (n == 1 || s.buf[start] != '0')
}

// end reports whether the whole input was valid. It is called after the outermost value.
func (s *scanner) end() bool {
	s.space()
	return s.ok && s.pos == len(s.buf)
}

// plainString reports whether v is the same inside and outside of a JSON string.
func plainString(v []byte) bool {
	for _, c := range v {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// members calls member for each member of an object, after reading the key and before reading the value.
func (s *scanner) members(member func(key []byte)) {
	if s.need('{'); s.ok && s.take('}') {
		return
	}
	for s.ok {
		key := s.str()
		s.need(':')
		if s.ok {
			member(key)
		}
		if s.ok && s.take('}') {
			return
		}
		s.need(',')
	}
}

// elements calls element for each element of an array, before reading it.
func (s *scanner) elements(element func()) {
	if s.need('['); s.ok && s.take(']') {
		return
	}
	for s.ok {
		element()
		if s.ok && s.take(']') {
			return
		}
		s.need(',')
	}
}

// once sets bit in seen. A repeated member sets ok to false.
func (s *scanner) once(seen *uint8, bit uint8) {
	s.ok = s.ok && *seen&bit == 0
	*seen |= bit
}

// scanEvent appends the records of an event to records. It returns false if decodeEvent must parse the event.
func scanEvent(records []eventRecord, event []byte) ([]eventRecord, bool) {
	s := scanner{buf: event, ok: true}
	var seen uint8
	s.members(func(key []byte) {
		switch string(key) {
		case "invocationId":
			s.once(&seen, 1)
			s.plain()
		case "deliveryStreamArn":
			s.once(&seen, 2)
			s.plain()
		case "region":
			s.once(&seen, 4)
			s.plain()
		case "records":
			s.once(&seen, 8)
			s.elements(func() { records = append(records, s.eventRecord()) })
		default:
			s.ok = false
		}
	})
	return records, s.end()
}

func (s *scanner) eventRecord() (r eventRecord) {
	var seen uint8
	s.members(func(key []byte) {
		switch string(key) {
		case "recordId":
			s.once(&seen, 1)
			r.id = s.plain()
		case "approximateArrivalTimestamp":
			s.once(&seen, 2)
			s.digits()
		case "data":
			s.once(&seen, 4)
			r.data, r.hasData = s.str(), true
		default:
			s.ok = false
		}
	})
	return r
}

// decodeEvent parses any valid event with encoding/json.
func decodeEvent(event []byte) ([]eventRecord, error) {
	var in struct {
		Records []struct {
			ID   string  `json:"recordId"`
			Data *string `json:"data"`
		} `json:"records"`
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, fmt.Errorf("read transformation event: %w", withoutContent(err))
	}
	records := make([]eventRecord, len(in.Records))
	for i, r := range in.Records {
		records[i] = eventRecord{id: appendQuoted(nil, r.ID), checked: true}
		if r.Data != nil {
			records[i].data, records[i].hasData = []byte(*r.Data), true
		}
	}
	return records, nil
}

// withoutContent makes an error of encoding/json safe to log: its text may contain bytes or values of the input.
func withoutContent(err error) error {
	switch e := err.(type) {
	case *json.SyntaxError:
		return fmt.Errorf("not JSON at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Errorf("member %q is not a %s", e.Field, e.Type)
	}
	return fmt.Errorf("not JSON (%T)", err)
}

// appendQuoted appends s as a JSON string, without the quotes.
func appendQuoted(dst []byte, s string) []byte {
	if plainString([]byte(s)) {
		return append(dst, s...)
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("BUG: marshal a string: " + err.Error())
	}
	return append(dst, quoted[1:len(quoted)-1]...)
}

package function

import "bytes"

// eventRecord is a record of an event. Its bytes alias the event.
type eventRecord struct {
	id      []byte // as it stands between the quotes of a JSON string, so it can be echoed
	data    []byte // base64, without the quotes
	hasData bool   // false for null or nothing
	checked bool   // data came through a JSON decoder: what is not base64 in it is not an escape
}

// scanner reads JSON that is laid out as Firehose, aws-lambda-go and our handler write it. It knows no escapes, and gives up (ok
// false) on whatever it does not know: encoding/json then decides. It never accepts what encoding/json refuses.
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

// take skips white space and one byte c, if it is there.
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

// str reads a string whose first quote may come after white space. The bytes between the quotes are not checked, but for the
// escape that would move the end.
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

// digits skips a number that is digits alone.
func (s *scanner) digits() {
	s.space()
	start := s.pos
	for s.pos < len(s.buf) && s.buf[s.pos]-'0' <= 9 {
		s.pos++
	}
	n := s.pos - start
	s.ok = s.ok && n > 0 && (n == 1 || s.buf[start] != '0')
}

// end is called behind the outermost value.
func (s *scanner) end() bool {
	s.space()
	return s.ok && s.pos == len(s.buf)
}

// plainString says whether v can stand between the quotes of a JSON string and means itself.
func plainString(v []byte) bool {
	for _, c := range v {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// members calls member for each member of an object, with the key read and the value not yet.
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

// elements calls element for each element of an array, with the value not yet read.
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

// once sets bit in seen; a second time is left to encoding/json.
func (s *scanner) once(seen *uint8, bit uint8) {
	s.ok = s.ok && *seen&bit == 0
	*seen |= bit
}

// scanEvent appends the records of an event to records. It is false if the event must be read by decodeEvent.
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

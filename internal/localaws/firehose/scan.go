package firehose

import "bytes"

// scan finds the name and the records of a PutRecord or PutRecordBatch in its body, in any order
// and with any whitespace, without a copy. It returns false for unusual bodies: escapes, other or repeated
// members, values of other types, malformed JSON. The caller then parses the body with a full parser,
// which gives the same result for every body that scan accepts. scan does not check the base64.
func (p *putRequest) scan(batch bool, body []byte) bool {
	p.encoded, p.name = p.encoded[:0], nil
	s := scanner{rest: body}
	if !s.next('{') {
		return false
	}
	for {
		key, ok := s.text()
		if !ok || !s.next(':') || !p.scanMember(batch, key, &s) {
			return false
		}
		if !s.next(',') {
			return s.next('}') && s.end() && p.name != nil && len(p.encoded) > 0
		}
	}
}

// scanMember reads the value of a member. It returns false for a repeated one.
func (p *putRequest) scanMember(batch bool, key []byte, s *scanner) bool {
	switch string(key) {
	case "DeliveryStreamName":
		if p.name != nil {
			return false
		}
		name, ok := s.text()
		p.name = name
		return ok && isStreamName(name)
	case "Records":
		return batch && len(p.encoded) == 0 && p.scanRecords(s)
	case "Record":
		return !batch && len(p.encoded) == 0 && p.scanRecord(s)
	}
	return false
}

func (p *putRequest) scanRecords(s *scanner) bool {
	if !s.next('[') {
		return false
	}
	for {
		if len(p.encoded) >= maxBatchRecords || !p.scanRecord(s) {
			return false
		}
		if !s.next(',') {
			return s.next(']')
		}
	}
}

func (p *putRequest) scanRecord(s *scanner) bool {
	const usual = `{"Data":"`
	if len(s.rest) >= len(usual) && string(s.rest[:len(usual)]) == usual {
		s.rest = s.rest[len(usual)-1:]
	} else {
		if !s.next('{') {
			return false
		}
		if key, ok := s.text(); !ok || string(key) != "Data" || !s.next(':') {
			return false
		}
	}
	data, ok := s.text()
	if !ok || !s.next('}') {
		return false
	}
	p.encoded = append(p.encoded, data)
	return true
}

// scanner reads JSON tokens from the front of rest.
type scanner struct{ rest []byte }

// next skips whitespace, and reads c if it follows. It reports whether it did.
func (s *scanner) next(c byte) bool {
	if len(s.rest) > 0 && s.rest[0] == c {
		s.rest = s.rest[1:]
		return true
	}
	s.skip()
	if len(s.rest) > 0 && s.rest[0] == c {
		s.rest = s.rest[1:]
		return true
	}
	return false
}

func (s *scanner) skip() {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\r', '\n':
			s.rest = s.rest[1:]
		default:
			return
		}
	}
}

func (s *scanner) end() bool {
	s.skip()
	return len(s.rest) == 0
}

// text reads a string up to the next quote. It returns strings with escapes or invalid bytes unchanged:
// they are neither a stream name nor base64.
func (s *scanner) text() ([]byte, bool) {
	if !s.next('"') {
		return nil, false
	}
	i := bytes.IndexByte(s.rest, '"')
	if i < 0 {
		return nil, false
	}
	t := s.rest[:i]
	s.rest = s.rest[i+1:]
	return t, true
}

// isStreamName reports whether name matches [a-zA-Z0-9_.-]{1,64}.
func isStreamName(name []byte) bool {
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 64
}

package firehose

import "bytes"

// scan finds the name and the records of a PutRecord or PutRecordBatch in its body, in any
// order and with any whitespace, without a copy. It is false for what is unusual: escapes,
// other or repeated members, values of other types, anything that is not well formed. The
// caller then parses the body by the rules; what scan takes, those take in the same way.
// The records' base64 is not looked at.
func (p *putRequest) scan(batch bool, body []byte) bool {
	p.encoded, p.name = p.encoded[:0], nil
	s := scanner{rest: body}
	if !s.next('{') {
		return false
	}
	seen := false
	for {
		key, ok := s.text()
		if !ok || !s.next(':') {
			return false
		}
		switch {
		case string(key) == "DeliveryStreamName" && p.name == nil:
			if p.name, ok = s.text(); !ok || !isStreamName(p.name) {
				return false
			}
		case batch && string(key) == "Records" && !seen:
			seen = true
			if !p.scanRecords(&s) {
				return false
			}
		case !batch && string(key) == "Record" && !seen:
			seen = true
			if !p.scanRecord(&s) {
				return false
			}
		default:
			return false
		}
		if s.next(',') {
			continue
		}
		return s.next('}') && s.end() && p.name != nil && seen
	}
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

// scanner reads JSON's tokens off the front of rest.
type scanner struct{ rest []byte }

// next takes c, if it comes next but for whitespace.
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

// text takes a string, up to the next quote. One with escapes, or with bytes that a string
// may not hold, comes out as it stands, which is neither a name nor base64.
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

// isStreamName is [a-zA-Z0-9_.-]{1,64}.
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

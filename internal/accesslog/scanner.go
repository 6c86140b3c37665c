package accesslog

import "unicode/utf8"

type tokenKind uint8

const (
	textToken     tokenKind = iota // one character
	variableToken                  // a whole $context variable
)

// scanner walks a format character by character and variable by variable, and knows whether it is inside of a JSON string.
// It takes any text: what is not JSON has no strings worth the name, and the caller finds that out elsewhere.
type scanner struct {
	text     string
	start    int // of the current token
	end      int
	kind     tokenKind
	inString bool // the current token is inside of a string; of quotes themselves: the closing one is, the opening one is not
	escaped  bool // the current character follows a backslash in a string
	str      bool // state after the current token
	esc      bool
}

// next goes on to the next token; false at the end.
func (s *scanner) next() bool {
	if s.end >= len(s.text) {
		return false
	}
	s.start = s.end
	s.inString, s.escaped = s.str, s.esc
	if end := variableEnd(s.text, s.start); end > s.start {
		s.kind, s.end, s.esc = variableToken, end, false
		return true
	}
	_, size := utf8.DecodeRuneInString(s.text[s.start:])
	s.kind, s.end = textToken, s.start+size
	switch c := s.text[s.start]; {
	case s.esc:
		s.esc = false
	case c == '"':
		s.str = !s.str
	case c == '\\' && s.str:
		s.esc = true
	}
	return true
}

func (s *scanner) token() string { return s.text[s.start:s.end] }

// variableEnd is where the variable that begins at i ends, or i when none begins there.
func variableEnd(s string, i int) int {
	if s[i] != '$' || len(s)-i <= len(contextPrefix) || s[i:i+len(contextPrefix)] != contextPrefix {
		return i
	}
	if end := nameEnd(s, i+len(contextPrefix)); end > i+len(contextPrefix) {
		return end
	}
	return i
}

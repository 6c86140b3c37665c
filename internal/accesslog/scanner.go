package accesslog

import (
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	textToken     tokenKind = iota // one character
	variableToken                  // a whole $context variable
)

// quoteStyle selects the characters that a scanner treats as quotes of a JSON string.
type quoteStyle uint8

const (
	straightQuotes quoteStyle = iota
	curlyQuotes               // and straight ones
	singleQuotes              // and no others
)

func (q quoteStyle) isQuote(r rune) bool {
	switch q {
	case curlyQuotes:
		return r == '"' || isCurly(r)
	case singleQuotes:
		return r == '\'' || r == '\u2018' || r == '\u2019'
	}
	return r == '"'
}

// isCurly reports whether r is a double quote that word processors insert instead of a straight one.
func isCurly(r rune) bool { return r >= '\u201c' && r <= '\u201f' || r == '\uff02' }

// scanner splits a format into variables and single characters and tracks JSON strings. It accepts any text: for a text
// that is not JSON the strings have no meaning, which the caller has to check.
type scanner struct {
	text   string
	quotes quoteStyle

	start    int // the current token is text[start:end]
	end      int
	kind     tokenKind
	char     rune // of a textToken
	isQuote  bool // the current token begins or ends a string
	inString bool // the current token is inside a string or is its closing quote

	open    bool // the next token is inside a string
	escaped bool // the next character follows a backslash in a string
}

// next advances to the next token and returns false at the end.
func (s *scanner) next() bool {
	if s.end >= len(s.text) {
		return false
	}
	s.start, s.inString, s.isQuote = s.end, s.open, false
	if end := variableEnd(s.text, s.start); end > s.start {
		s.kind, s.char, s.end, s.escaped = variableToken, 0, end, false
		return true
	}
	r, size := utf8.DecodeRuneInString(s.text[s.start:])
	s.kind, s.char, s.end = textToken, r, s.start+size
	switch {
	case s.escaped:
		s.escaped = false
	case s.quotes.isQuote(r):
		s.isQuote = true
		s.open = !s.open
	case r == '\\' && s.open:
		s.escaped = true
	}
	return true
}

func (s *scanner) token() string { return s.text[s.start:s.end] }

// variableEnd returns the end of the variable that starts at i, or i if none starts there.
func variableEnd(s string, i int) int {
	if name := i + len(contextPrefix); strings.HasPrefix(s[i:], contextPrefix) && nameEnd(s, name) > name {
		return nameEnd(s, name)
	}
	return i
}

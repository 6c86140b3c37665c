package objectkey

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// rejected lists the letters that Firehose rejects in a timestamp expression, measured
// letter by letter: those that Java's DateTimeFormatter does not accept on their own.
const rejected = "CIJPRTUVbfijloprt"

// unsupported lists letters that Firehose accepts but this package has no data for: the
// period of the day in words and the generic name of a time zone.
const unsupported = "Bv"

// errPattern reports a pattern that Firehose rejects.
var errPattern = errors.New("not a pattern")

// pattern is a compiled Java DateTimeFormatter pattern, in the locale en_US.
type pattern []token

// token is literal text or one run of a pattern letter.
type token struct {
	letter  byte // 0 for literal text
	count   int
	literal string
}

// compile compiles a pattern. The error is errPattern, or names what is not supported.
// The brackets of an optional section matter only for parsing dates and print nothing.
func compile(s string) (pattern, error) {
	var p pattern
	literal := func(text string) {
		if n := len(p); n > 0 && p[n-1].letter == 0 {
			p[n-1].literal += text
		} else if text != "" {
			p = append(p, token{literal: text})
		}
	}
	depth := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case isLetters(s[i : i+1]):
			n := 1
			for i+n < len(s) && s[i+n] == c {
				n++
			}
			if err := checkRun(c, n); err != nil {
				return nil, err
			}
			p = append(p, token{letter: c, count: n})
			i += n
		case c == '\'':
			text, n := quoted(s[i:])
			if n == 0 {
				return nil, errPattern
			}
			literal(text)
			i += n
		case c == '{' || c == '}' || c == '#':
			return nil, errPattern
		case c == '[':
			depth++
			i++
		case c == ']':
			if depth--; depth < 0 {
				return nil, errPattern
			}
			i++
		default:
			literal(s[i : i+1])
			i++
		}
	}
	return p, nil
}

func mustCompile(s string) pattern {
	p, err := compile(s)
	if err != nil {
		panic("BUG: pattern " + s)
	}
	return p
}

// quoted reads a quoted literal at the start of s and returns its text and its length in s,
// 0 if the closing quote is missing. Two quotes stand for one, inside and outside of a literal.
func quoted(s string) (text string, n int) {
	if strings.HasPrefix(s, "''") {
		return "'", 2
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return b.String(), i + 1
		}
	}
	return "", 0
}

// maxRun limits how often a letter may be repeated, as in Java's DateTimeFormatterBuilder.
// The limit of other letters is 19.
var maxRun = map[byte]int{
	'G': 5, 'E': 5, 'M': 5, 'L': 5, 'Q': 5, 'q': 5, 'e': 5, 'c': 5,
	'D': 3, 'd': 2, 'h': 2, 'H': 2, 'k': 2, 'K': 2, 'm': 2, 's': 2, 'w': 2,
	'W': 1, 'F': 1, 'a': 1, 'S': 9, 'O': 4, 'X': 5, 'x': 5, 'Z': 5, 'z': 4,
}

func checkRun(c byte, n int) error {
	switch {
	case strings.IndexByte(rejected, c) >= 0:
		return errPattern
	case strings.IndexByte(unsupported, c) >= 0, c == 'z' && n == 4:
		return fmt.Errorf("stagelog does not support %q", strings.Repeat(string(c), n))
	}
	most, ok := maxRun[c]
	if !ok {
		most = 19
	}
	if n > most || c == 'c' && n == 2 || c == 'O' && n != 1 && n != 4 {
		return errPattern
	}
	return nil
}

// warnings returns the uses of the pattern that are probably mistakes.
func (p pattern) warnings() []string {
	advice := map[byte]string{
		'Y': "YYYY is the week-based year: the last days of December can fall in the next year; write yyyy",
		'D': "D is the day of the year (1 to 366); write dd for the day of the month",
		'h': "h is the hour on a 12-hour clock (1 to 12), so midnight and noon share a folder; write HH",
		'K': "K is the hour on a 12-hour clock (0 to 11), so midnight and noon share a folder; write HH",
		'k': "k is the hour from 1 to 24; write HH",
	}
	halfOfDay := slices.ContainsFunc(p, func(t token) bool { return t.letter == 'a' })
	var all []string
	for i, t := range p {
		if t.letter == 'm' && i >= 2 && strings.ContainsRune("yu", rune(p[i-2].letter)) {
			all = append(all, "mm is the minute; write MM for the month")
		}
		text, ok := advice[t.letter]
		if ok && (!halfOfDay || t.letter != 'h' && t.letter != 'K') && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

package accesslog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// rejected reports an empty or too long format and returns true: it is not examined further.
func (d *draft) rejected() bool {
	switch {
	case strings.TrimSpace(d.text) == "":
		d.note(Error, "empty", 0, "the format is empty: API Gateway rejects it", "use a preset: `stagelog format print usage`")
	case len(d.text) > MaxFormatBytes:
		d.note(Error, "too-long", 0, fmt.Sprintf("the format has %d bytes: API Gateway accepts about %d", len(d.text), awsFormatBytes), "remove fields")
	default:
		return false
	}
	return true
}

// repair reports and removes the causes of invalid records. It works from the outside to the inside, because each step
// makes the text readable for the next.
func (d *draft) repair() {
	d.repairEncoding()
	d.repairLiteralNewline()
	d.repairWrapping()
	d.repairEscapedQuotes()
	d.repairLiteralNewline()
	d.repairNewlines()
	d.repairReferences()
	d.repairPattern(doubleDollar, Warning, "double-dollar", "%s has one $ too many: the first one stays in front of the value in every record", "$$context.")
	d.repairPattern(bracketedName, Error, "bracketed-name", "%s is the syntax of mapping templates: access logs replace the part before the bracket and copy the rest", "$$context.${1}.${2}")
	if strings.HasPrefix(strings.TrimSpace(d.text), "{") {
		d.repairQuotes(curlyQuotes, "curly-quotes",
			"%d curly quotes, which word processors and web pages insert: API Gateway treats them as text, so no record is valid JSON",
			"use straight quotes: \"")
		d.repairQuotes(singleQuotes, "single-quotes", "%d single quotes around names and values: JSON requires double quotes, so no record is valid JSON",
			"use double quotes: \"")
		d.repairSpaces()
		d.repairValues()
		d.repairCommas()
	}
	if !d.isJSON() {
		reason, i := d.syntaxError()
		d.note(Error, "not-json", min(i, len(d.text)), "the format is not a JSON object ("+reason+"): its records cannot be enriched and go to the error output",
			"write {\"field\":\"$context.variable\",…} on one line, or use a preset: `stagelog format print usage`")
	}
}

func (d *draft) repairEncoding() {
	if strings.HasPrefix(d.text, "\ufeff") {
		d.repaired(Error, "byte-order-mark", 0, "the format starts with a byte order mark: so does every record, and JSON parsers reject it", "save the file as UTF-8 without BOM")
		e := d.edit()
		e.keep(len("\ufeff"), len(d.text))
		e.done()
	}
	if utf8.ValidString(d.text) {
		return
	}
	e, _, first := d.rewrite(straightQuotes, func(s *scanner) (string, bool) {
		return "\ufffd", s.char == utf8.RuneError && s.end-s.start == 1
	})
	d.repaired(Error, "invalid-utf8", first, "the format is not valid UTF-8: no record is valid JSON", "save the file as UTF-8")
	e.done()
}

// repairLiteralNewline replaces a backslash and an n at the end by the intended newline. Consoles store a typed "\n" as these two characters.
func (d *draft) repairLiteralNewline() {
	body := strings.TrimRight(d.text, space)
	if !strings.HasSuffix(body, `}\n`) && !strings.HasSuffix(body, `}\r\n`) {
		return
	}
	end := strings.LastIndexByte(body, '}') + 1
	d.repaired(Error, "literal-newline", end, `the format ends with a backslash and the letter n instead of a newline: every record ends with these two characters, so none is valid JSON`,
		"end it with a real newline: press Enter in the console, or use $'…\\n' in a shell")
	e := d.edit()
	e.keep(0, end)
	e.put("\n", end)
	e.done()
}

// repairWrapping removes quotes around the whole format, usually copied along with it from a shell command or a YAML file.
func (d *draft) repairWrapping() {
	start := len(d.text) - len(strings.TrimLeft(d.text, space))
	end := len(strings.TrimRight(d.text, space))
	if end-start < 2 {
		return
	}
	first, n := utf8.DecodeRuneInString(d.text[start:end])
	last, m := utf8.DecodeLastRuneInString(d.text[start:end])
	if !strings.ContainsRune("\"'`\u201c\u201d\u2018\u2019", first) || !strings.ContainsRune("\"'`\u201c\u201d\u2018\u2019", last) {
		return
	}
	if trimmed := strings.TrimSpace(d.text[start+n : max(start+n, end-m)]); !strings.HasPrefix(trimmed, "{") || !strings.HasSuffix(trimmed, "}") && !strings.HasSuffix(trimmed, `}\n`) {
		return
	}
	d.repaired(Error, "wrapped-in-quotes", start, "the whole format is in quotes: they become part of every record, so no record is valid JSON", "remove the quotes before { and after }")
	e := d.edit()
	e.keep(0, start)
	e.keep(start+n, end-m)
	e.keep(end, len(d.text))
	e.done()
}

// repairEscapedQuotes removes the backslashes of a format copied from a JSON document or source code.
func (d *draft) repairEscapedQuotes() {
	if i := strings.IndexByte(d.text, '{'); i < 0 || !strings.HasPrefix(strings.TrimSpace(d.text[i+1:]), `\"`) {
		return
	}
	first := strings.Index(d.text, `\"`)
	var plain string
	if json.Unmarshal([]byte(`"`+strings.Trim(d.text, "\r\n")+`"`), &plain) != nil {
		return
	}
	d.repaired(Error, "escaped-quotes", first, `the quotes are escaped with backslashes, as in a JSON document or source code: API Gateway treats \" as text, so no record is valid JSON`, `write " instead of \"`)
	e := d.edit()
	for i := 0; i < len(d.text); i++ {
		if strings.HasPrefix(d.text[i:], `\"`) || strings.HasPrefix(d.text[i:], `\\`) {
			i++
		}
		e.keep(i, i+1)
	}
	e.done()
}

// repairNewlines puts the format on one line that ends with a newline.
func (d *draft) repairNewlines() {
	if i := innerNewline(d.text); i >= 0 {
		d.repaired(Error, "newline-inside", i, "the format has more than one line: API Gateway rejects it", "put it on one line; a newline is allowed only at the end")
	}
	if !strings.HasSuffix(d.text, "\n") {
		d.repaired(Warning, "no-trailing-newline", len(d.text),
			"the format does not end with a newline: API Gateway and Firehose add none, so records run together ({…}{…}) wherever no function adds one, as in the source backup",
			"end the format with a newline")
	}
	start := len(d.text) - len(strings.TrimLeft(d.text, space))
	end := len(strings.TrimRight(d.text, space))
	isObject := strings.HasPrefix(d.text[start:], "{")
	e := d.edit()
	s := scanner{text: d.text[:end], quotes: curlyQuotes, end: start}
	for s.next() {
		gap := len(d.text[s.start:end]) - len(strings.TrimLeft(d.text[s.start:end], space))
		switch {
		case gap == 0:
			e.keep(s.start, s.end)
			continue
		case !strings.ContainsAny(d.text[s.start:s.start+gap], "\r\n"):
			e.keep(s.start, s.start+gap)
		case s.inString || !isObject:
			e.put(" ", s.start)
		}
		s.end = s.start + gap
	}
	e.put("\n", len(d.text))
	e.done()
}

// space is the set of characters that JSON allows between tokens.
const space = " \t\r\n"

// repairReferences rewrites variables in the syntax of other template languages to the syntax of API Gateway.
func (d *draft) repairReferences() {
	e, first := d.edit(), -1
	for i := 0; i < len(d.text); {
		name, length := foreignReference(d.text[i:])
		if length == 0 {
			e.keep(i, i+1)
			i++
			continue
		}
		if first < 0 {
			first = i
		}
		e.put(contextPrefix+name, i)
		i += length
	}
	if first < 0 {
		return
	}
	name, length := foreignReference(d.text[first:])
	d.repaired(Error, "not-substituted", first, fmt.Sprintf("%s is not API Gateway's variable syntax: it appears unchanged in every record", d.text[first:first+length]),
		"write "+contextPrefix+name)
	e.done()
}

var (
	doubleDollar  = regexp.MustCompile(`\$\$+context\.`)
	bracketedName = regexp.MustCompile(`\$context\.([A-Za-z0-9_.]*[A-Za-z0-9_])\[(?:'|\\?")([A-Za-z0-9_]+)(?:'|\\?")\]`)
)

// repairPattern reports the first match of a pattern, in a message with a %s, and replaces all as Regexp.Expand does.
func (d *draft) repairPattern(pattern *regexp.Regexp, severity Severity, code, message, replacement string) {
	matches := pattern.FindAllStringSubmatchIndex(d.text, -1)
	if matches == nil {
		return
	}
	e, done := d.edit(), 0
	for i, m := range matches {
		text := string(pattern.ExpandString(nil, replacement, d.text, m))
		if i == 0 {
			d.repaired(severity, code, m[0], fmt.Sprintf(message, d.text[m[0]:m[1]]), "write "+text)
		}
		e.keep(done, m[0])
		e.put(text, m[0])
		done = m[1]
	}
	e.keep(done, len(d.text))
	e.done()
}

// foreignReference reads ${context.name}, or $Context.name in any other case than "$context.", at the start of s. The length
// is 0 if there is none. {{$context.name}} is not repaired.
func foreignReference(s string) (name string, length int) {
	if !strings.HasPrefix(s, "$") {
		return "", 0
	}
	brace := 1
	if strings.HasPrefix(s, "${") {
		brace = 2
	}
	const word = "context."
	if len(s) < brace+len(word) || !strings.EqualFold(s[brace:brace+len(word)], word) || (brace == 1 && s[1:1+len(word)] == word) {
		return "", 0
	}
	end := nameEnd(s, brace+len(word))
	name = s[brace+len(word) : end]
	if name == "" {
		return "", 0
	}
	if brace == 2 {
		if end >= len(s) || s[end] != '}' {
			return "", 0
		}
		end++
	}
	return name, end
}

package accesslog

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// refuses notes what leaves nothing to look at.
func (d *draft) refuses() bool {
	switch {
	case strings.TrimSpace(d.text) == "":
		d.note(Error, "empty", 0, "the format is empty: API Gateway refuses it", "take a preset: `stagelog format print usage`")
	case len(d.text) > MaxFormatBytes:
		d.note(Error, "too-long", 0, fmt.Sprintf("the format has %d bytes: API Gateway takes about %d", len(d.text), awsFormatBytes), "leave fields out")
	default:
		return false
	}
	return true
}

// mend notes and removes the causes of invalid lines, from the outside in: what one step mends the next can read.
func (d *draft) mend() {
	d.mendEncoding()
	d.mendLiteralNewline()
	d.mendWrapping()
	d.mendEscapedQuotes()
	d.mendLiteralNewline()
	d.mendNewlines()
	d.mendReferences()
	if strings.HasPrefix(strings.TrimSpace(d.text), "{") {
		d.mendQuotes(curlyQuotes, "curly-quotes",
			"%d curly quotes, as word processors and web pages make them: API Gateway takes them as text, and no record will be valid JSON",
			"use straight quotes: \"")
		d.mendQuotes(singleQuotes, "single-quotes", "%d single quotes around names and values: JSON knows only double ones, and no record will be valid JSON",
			"use double quotes: \"")
		d.mendSpaces()
		d.mendValues()
		d.mendCommas()
	}
	if !d.isJSON() {
		what, i := d.syntaxError()
		d.note(Error, "not-json", min(i, len(d.text)), "the format is not a JSON object ("+what+"): its records cannot be enriched, and go to the error output",
			"write {\"field\":\"$context.variable\",…} on one line, or take a preset: `stagelog format print usage`")
	}
}

func (d *draft) mendEncoding() {
	if strings.HasPrefix(d.text, "\ufeff") {
		d.mended(Error, "byte-order-mark", 0, "the format begins with a byte order mark: every record will, and JSON parsers refuse that", "save the file as UTF-8 without BOM")
		e := d.edit()
		e.keep(len("\ufeff"), len(d.text))
		e.done()
	}
	if utf8.ValidString(d.text) {
		return
	}
	e, first := d.edit(), -1
	for i := 0; i < len(d.text); {
		r, size := utf8.DecodeRuneInString(d.text[i:])
		if r == utf8.RuneError && size == 1 {
			if first < 0 {
				first = i
			}
			e.put("\ufffd", i)
		} else {
			e.keep(i, i+size)
		}
		i += size
	}
	d.mended(Error, "invalid-utf8", first, "the format is not valid UTF-8: no record will be valid JSON", "save the file as UTF-8")
	e.done()
}

// mendLiteralNewline turns a backslash and an n at the end, which consoles make of a typed "\n", into the newline that was meant.
func (d *draft) mendLiteralNewline() {
	body := strings.TrimRight(d.text, space)
	if !strings.HasSuffix(body, `}\n`) && !strings.HasSuffix(body, `}\r\n`) {
		return
	}
	end := strings.LastIndexByte(body, '}') + 1
	d.mended(Error, "literal-newline", end, `the format ends in a backslash and the letter n, not in a newline: both stand at the end of every record, and no record is valid JSON`,
		"end it with a real newline: press Enter in the console, $'…\\n' in a shell")
	e := d.edit()
	e.keep(0, end)
	e.put("\n", end)
	e.done()
}

// mendWrapping removes quotes around the whole format, which stay there when a shell's or a YAML file's quotes are copied too.
func (d *draft) mendWrapping() {
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
	inner := d.text[start+n : max(start+n, end-m)]
	if trimmed := strings.TrimSpace(inner); !strings.HasPrefix(trimmed, "{") || !strings.HasSuffix(trimmed, "}") && !strings.HasSuffix(trimmed, `}\n`) {
		return
	}
	d.mended(Error, "wrapped-in-quotes", start, "quotes stand around the whole format: they become part of every record, and no record is valid JSON", "remove the quotes before { and after }")
	e := d.edit()
	e.keep(0, start)
	e.keep(start+n, end-m)
	e.keep(end, len(d.text))
	e.done()
}

// mendEscapedQuotes removes the backslashes of a format that was copied out of a JSON document or a program.
func (d *draft) mendEscapedQuotes() {
	if i := strings.IndexByte(d.text, '{'); i < 0 || !strings.HasPrefix(strings.TrimSpace(d.text[i+1:]), `\"`) {
		return
	}
	first := strings.Index(d.text, `\"`)
	var plain string
	if json.Unmarshal([]byte(`"`+strings.Trim(d.text, "\r\n")+`"`), &plain) != nil {
		return
	}
	d.mended(Error, "escaped-quotes", first, `the quotes have backslashes, as in a JSON document or a program: API Gateway takes \" as text, and no record will be valid JSON`, `write " for \"`)
	e := d.edit()
	for i := 0; i < len(d.text); i++ {
		if strings.HasPrefix(d.text[i:], `\"`) || strings.HasPrefix(d.text[i:], `\\`) {
			i++
		}
		e.keep(i, i+1)
	}
	e.done()
}

// mendNewlines puts the format on one line, and one newline at its end.
func (d *draft) mendNewlines() {
	if i := innerNewline(d.text); i >= 0 {
		d.mended(Error, "newline-inside", i, "the format has more than one line: API Gateway refuses it", "put it on one line; a newline may stand at the end alone")
	}
	if !strings.HasSuffix(d.text, "\n") {
		d.mended(Warning, "no-trailing-newline", len(d.text),
			"no newline at the end: API Gateway and Firehose add none, so records stand in one line ({…}{…}) wherever no function puts it in, as in the source backup",
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

// space is what counts as space around a format and between its fields.
const space = " \t\r\n"

// mendReferences puts the forms that other template languages have for a variable into the one that API Gateway replaces.
func (d *draft) mendReferences() {
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
	d.mended(Error, "not-substituted", first, fmt.Sprintf("%s is not how API Gateway writes a variable: it stays in every record as it is", d.text[first:first+length]),
		"write "+contextPrefix+name)
	e.done()
}

// foreignReference reads ${context.name}, {{$context.name}} is left alone, and $Context.name in any case but the right one.
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

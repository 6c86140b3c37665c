package accesslog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity is the importance of a finding.
type Severity int

const (
	// Info marks advice.
	Info Severity = iota
	// Warning marks a format that works with a disadvantage, such as a logged secret or unknown customers.
	Warning
	// Error marks a format that API Gateway rejects or whose records are not JSON.
	Error
)

// String returns "info", "warning" or "error".
func (s Severity) String() string {
	return [...]string{"info", "warning", "error"}[s]
}

// MarshalText returns the same text as String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one problem of a format.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`          // stable, for programs, such as "curly-quotes"
	Message  string   `json:"message"`       // "cause: consequence"; callers may cut it at the first ": "
	Fix      string   `json:"fix,omitempty"` // what to do; `add "name":"$context.variable"` for a field that the format lacks
	Offset   int      `json:"offset"`        // byte of the format where the first cause is
}

// String formats the finding as one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s at byte %d: %s [%s]", f.Severity, f.Offset, f.Message, f.Code)
}

// Lint reports the problems of a format: what API Gateway rejects, what makes records invalid JSON, what exposes a secret and
// what leaves the customer unknown. Findings are in the order of their offsets, one for each cause.
func Lint(format string) []Finding {
	d := newDraft(format)
	if !d.rejected() {
		d.repair()
		d.advise()
	}
	return d.sorted()
}

// Fix repairs what it can without guessing the intention: quotes, newlines, commas, the case of "$context", a missing request
// id. It never removes a field. The findings are one of severity Info for each kind of repair, whose message starts with
// "fixed: ", followed by Lint's findings on the result. Fixing the result again changes nothing.
func Fix(format string) (string, []Finding) {
	text, fixed := format, []Finding(nil)
	// One repair can expose the next problem (quotes within quotes). The limit protects against hostile input.
	for range maxFixRounds {
		d := newDraft(text)
		if d.rejected() {
			break
		}
		d.repair()
		d.addRequestID()
		for _, f := range d.sorted() {
			known := slices.ContainsFunc(fixed, func(m Finding) bool { return m.Code == f.Code })
			if d.repairs[f.Code] && !known {
				fixed = append(fixed, Finding{Severity: Info, Code: f.Code, Message: "fixed: " + f.Message, Offset: f.Offset})
			}
		}
		if d.text == text {
			break
		}
		text = d.text
	}
	return text, append(fixed, Lint(text)...)
}

const maxFixRounds = 8

// draft is a format under repair. It maps each byte to its offset in the original.
type draft struct {
	text     string
	at       []int // at[i] is the offset in the original of text[i]; one more for the end
	findings []Finding
	repairs  map[string]bool // codes of findings whose cause is removed from text
}

func newDraft(format string) *draft {
	d := &draft{text: format, at: make([]int, len(format)+1), repairs: map[string]bool{}}
	for i := range d.at {
		d.at[i] = i
	}
	return d
}

// note adds a finding at byte i of the current text.
func (d *draft) note(severity Severity, code string, i int, message, fix string) {
	d.findings = append(d.findings, Finding{Severity: severity, Code: code, Message: message, Fix: fix, Offset: d.at[i]})
}

// repaired adds a finding whose cause the caller's next edit removes.
func (d *draft) repaired(severity Severity, code string, i int, message, fix string) {
	d.note(severity, code, i, message, fix)
	d.repairs[code] = true
}

func (d *draft) sorted() []Finding {
	slices.SortStableFunc(d.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(b.Severity, a.Severity))
	})
	return d.findings
}

// isJSON reports whether the text is one JSON object once its variables have values.
func (d *draft) isJSON() bool {
	_, ok := objectOf(d.text, straightQuotes)
	return ok
}

// syntaxError returns the reason why the text is not a JSON object, and the byte of the text where the error is.
func (d *draft) syntaxError() (reason string, i int) {
	var value any
	err := json.Unmarshal([]byte(skeleton(d.text, straightQuotes)), &value)
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return "it is another JSON value", 0
	}
	return syntax.Error(), d.fromSkeleton(int(syntax.Offset) - 1)
}

// fromSkeleton returns the byte of the text that byte i of its skeleton comes from.
func (d *draft) fromSkeleton(i int) int {
	s := scanner{text: d.text}
	for written := 0; s.next(); {
		written += s.end - s.start
		if s.kind == variableToken && !s.inString {
			written += 2
		}
		if written > i {
			return s.start
		}
	}
	return len(d.text)
}

// edit builds the next text of a draft.
type edit struct {
	d    *draft
	text []byte
	at   []int
}

func (d *draft) edit() *edit { return &edit{d: d, text: make([]byte, 0, len(d.text)+16)} }

// rewrite copies the draft and replaces the tokens for which replace returns true. It returns the number of them and the
// offset of the first, or -1.
func (d *draft) rewrite(quotes quoteStyle, replace func(*scanner) (string, bool)) (e *edit, n, first int) {
	e, first = d.edit(), -1
	for s := (scanner{text: d.text, quotes: quotes}); s.next(); {
		text, ok := replace(&s)
		if !ok {
			e.keep(s.start, s.end)
			continue
		}
		if n++; first < 0 {
			first = s.start
		}
		e.put(text, s.start)
	}
	return e, n, first
}

// keep copies bytes i to j of the draft.
func (e *edit) keep(i, j int) {
	e.text = append(e.text, e.d.text[i:j]...)
	e.at = append(e.at, e.d.at[i:j]...)
}

// put inserts new text with the offset of byte i.
func (e *edit) put(s string, i int) {
	e.text = append(e.text, s...)
	for range len(s) {
		e.at = append(e.at, e.d.at[i])
	}
}

// done replaces the draft's text.
func (e *edit) done() {
	e.at = append(e.at, e.d.at[len(e.d.text)])
	e.d.text, e.d.at = string(e.text), e.at
}

// The messages of UpdateStage for an invalid format (a BadRequestException).
var (
	// ErrEmpty is returned for an empty format.
	ErrEmpty = errors.New("Access Log value must not be empty") //lint:ignore ST1005 AWS's message
	// ErrNotSingleLine is returned for a newline before the end.
	ErrNotSingleLine = errors.New("Access Log format must be single line, new line character is allowed only at end of the format") //lint:ignore ST1005 AWS's message
	// ErrNoRequestID is returned for a format without a request id.
	ErrNoRequestID = errors.New("Access Log format must include either $context.requestId or $context.extendedRequestId") //lint:ignore ST1005 AWS's message
)

// ValidateAccessLogFormat returns an error with AWS's message for exactly the formats that API Gateway's UpdateStage
// rejects. Like AWS it accepts formats that produce invalid JSON, which Lint reports. Which error AWS returns when several
// apply is not documented.
func ValidateAccessLogFormat(format string) error {
	switch {
	case format == "":
		return ErrEmpty
	case innerNewline(format) >= 0:
		return ErrNotSingleLine
	case !hasRequestID(format):
		return ErrNoRequestID
	}
	return nil
}

// innerNewline returns the offset of the first newline before the end of the format, or -1.
func innerNewline(format string) int {
	body := strings.TrimSuffix(strings.TrimSuffix(format, "\n"), "\r")
	return strings.IndexAny(body, "\r\n")
}

func hasRequestID(format string) bool {
	return slices.ContainsFunc(uses(format), func(u use) bool {
		name := format[u.start:u.end]
		return name == varRequestID || name == varExtendedRequestID
	})
}

package accesslog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Severity says how bad a finding is.
type Severity int

const (
	// Info is worth knowing.
	Info Severity = iota
	// Warning works, and somebody will be sorry: a secret that travels, a customer that nobody finds.
	Warning
	// Error is refused by API Gateway, or makes records that are not JSON.
	Error
)

// String is "info", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "info"
}

// MarshalText is String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that Lint has to say about a format.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`          // for programs: stable, such as "curly-quotes"
	Message  string   `json:"message"`       // the cause and the consequence
	Fix      string   `json:"fix,omitempty"` // what to do about it
	Offset   int      `json:"offset"`        // byte of the format, where the first cause stands
}

// String is the finding on one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s at byte %d: %s [%s]", f.Severity, f.Offset, f.Message, f.Code)
}

// Lint says what is wrong with a format: what API Gateway refuses, what breaks the JSON of records, what leaks a secret, what
// leaves the customer unknown. Findings are in the order of the format; each code comes once for each cause it has.
func Lint(format string) []Finding {
	d := newDraft(format)
	if !d.refuses() {
		d.mend()
		d.advise()
	}
	return d.sorted()
}

// Fix mends what can be mended without guessing what was meant: quotes, newlines, commas, the case of names, a missing request
// id. It never removes a field. The findings are one of severity Info for each kind of thing that it mended, its message
// beginning "mended: ", and then all that Lint still has to say about the result. Fixing twice changes nothing more.
func Fix(format string) (string, []Finding) {
	text, mended := format, []Finding(nil)
	// A mend may lay open the next one (quotes within quotes); each round shortens the way, and the bound keeps a
	// hostile text from going on for ever.
	for range maxFixRounds {
		d := newDraft(text)
		if d.refuses() {
			break
		}
		d.mend()
		d.addRequestID()
		for _, f := range d.sorted() {
			known := slices.ContainsFunc(mended, func(m Finding) bool { return m.Code == f.Code })
			if d.mends[f.Code] && !known {
				mended = append(mended, Finding{Severity: Info, Code: f.Code, Message: "mended: " + f.Message, Offset: f.Offset})
			}
		}
		if d.text == text {
			break
		}
		text = d.text
	}
	return text, append(mended, Lint(text)...)
}

const maxFixRounds = 8

// draft is a format while it is being mended. It remembers where each byte stood in the original.
type draft struct {
	text     string
	at       []int // at[i] is the offset in the original of text[i]; one more for the end
	findings []Finding
	mends    map[string]bool // codes of findings whose cause is mended in text
}

func newDraft(format string) *draft {
	d := &draft{text: format, at: make([]int, len(format)+1), mends: map[string]bool{}}
	for i := range d.at {
		d.at[i] = i
	}
	return d
}

// note records a finding about the byte i of the text as it stands now.
func (d *draft) note(severity Severity, code string, i int, message, fix string) {
	d.findings = append(d.findings, Finding{Severity: severity, Code: code, Message: message, Fix: fix, Offset: d.at[i]})
}

// mended records a finding whose cause the draft's next edit removes.
func (d *draft) mended(severity Severity, code string, i int, message, fix string) {
	d.note(severity, code, i, message, fix)
	d.mends[code] = true
}

func (d *draft) sorted() []Finding {
	slices.SortStableFunc(d.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(b.Severity, a.Severity))
	})
	return d.findings
}

// isJSON says whether the text is one JSON object once its variables are filled in.
func (d *draft) isJSON() bool {
	_, ok := membersOf(d.text, straightQuotes)
	return ok
}

// syntaxError is what keeps the text from being JSON, and the byte of the text where that is.
func (d *draft) syntaxError() (string, int) {
	var any any
	err := json.Unmarshal([]byte(skeleton(d.text, straightQuotes)), &any)
	syntax, ok := err.(*json.SyntaxError)
	if !ok {
		return "it is not an object", 0
	}
	return syntax.Error(), d.fromSkeleton(int(syntax.Offset) - 1)
}

// fromSkeleton is the byte of the text that byte i of its skeleton came from.
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

// edit writes the next text of a draft.
type edit struct {
	d    *draft
	text []byte
	at   []int
}

func (d *draft) edit() *edit { return &edit{d: d, text: make([]byte, 0, len(d.text)+16)} }

// keep takes bytes i to j over as they are.
func (e *edit) keep(i, j int) {
	e.text = append(e.text, e.d.text[i:j]...)
	e.at = append(e.at, e.d.at[i:j]...)
}

// put writes new text that stands for byte i.
func (e *edit) put(s string, i int) {
	e.text = append(e.text, s...)
	for range len(s) {
		e.at = append(e.at, e.d.at[i])
	}
}

// done makes the edit the draft's text.
func (e *edit) done() {
	e.at = append(e.at, e.d.at[len(e.d.text)])
	e.d.text, e.d.at = string(e.text), e.at
}

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxMistakes bounds what one error says: who has so many has one cause.
const maxMistakes = 100

// Mistake is one thing that is wrong, or unwise, in a file.
type Mistake struct {
	File         string
	Line, Column int    // from 1; 0 when it is about the file as a whole
	Path         string // of the value: local.usage_plans[0].throttle.rate; "" for the file as a whole
	Message      string // what was found, and what was expected
	Hint         string // the nearest right thing, or ""
}

// String is the mistake on one line, as compilers write theirs.
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", m.Line, m.Column)
	}
	b.WriteString(": ")
	if m.Path != "" {
		b.WriteString(m.Path + ": ")
	}
	b.WriteString(m.Message)
	if m.Hint != "" {
		b.WriteString("; " + m.Hint)
	}
	return b.String()
}

// Mistakes is all that is wrong in a file, in the order of its lines.
type Mistakes []Mistake

// Error is one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, 0, len(m)+1)
	for i, mistake := range m {
		if i == maxMistakes {
			lines = append(lines, fmt.Sprintf("%s: and %d more", mistake.File, len(m)-i))
			break
		}
		lines = append(lines, mistake.String())
	}
	return strings.Join(lines, "\n")
}

func (m Mistakes) sort() {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

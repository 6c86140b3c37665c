package yamlfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxShown bounds how many problems one error message lists.
const maxShown = 100

// Problem describes one thing in a file that is invalid, or valid but unwise.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0 for a problem of the whole file
	Path         string // of the value: local.usage_plans[0].throttle.rate; "" for the whole file
	Message      string // the value found and the value expected
	Hint         string // the nearest valid value or the next step; may be ""
}

// String returns the problem on one line, in the form that compilers use.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Problems lists the problems of a file in the order of its lines.
type Problems []Problem

// Error returns one line per problem.
func (p Problems) Error() string {
	lines := make([]string, 0, min(len(p), maxShown+1))
	for i, problem := range p {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("%s: and %d more", problem.File, len(p)-i))
			break
		}
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/provision"
)

// mark is how a plan shows an action: a sign that is read without colour, and its colour.
var marks = map[provision.Action]struct{ sign, colour, word string }{
	provision.Create:   {"+", green, "create"},
	provision.Change:   {"~", yellow, "change"},
	provision.TakeOver: {"~", yellow, "adopt"},
	provision.Put:      {"~", yellow, "replace, and remember what was there"},
	provision.Restore:  {"-", red, "put back what was there before"},
	provision.Keep:     {"=", faint, ""},
	provision.Refuse:   {"!", red, "not ours"},
}

// printPlan writes a plan for people: a line for each resource, and under it each field
// that changes, with what is there and what is wanted.
func printPlan(w io.Writer, p *provision.Plan, colour paint) {
	wide := 0
	for _, s := range p.Steps {
		wide = max(wide, utf8.RuneCountInString(s.Kind))
	}
	for _, s := range p.Steps {
		m := marks[s.Action]
		if s.OfStage() && s.Action == provision.Create {
			m.word = "switch its access logs on"
		}
		line := fmt.Sprintf("%s %-*s  %s", m.sign, wide, s.Kind, s.Name)
		if m.word != "" {
			line += "  (" + m.word + ")"
		}
		fmt.Fprintln(w, colour.it(m.colour, line))
		if s.Why != "" {
			fmt.Fprintln(w, "      "+s.Why)
		}
		if s.Action != provision.Refuse {
			printFields(w, s, colour)
		}
		for _, n := range s.Notes {
			fmt.Fprintln(w, colour.it(faint, "      note: "+n))
		}
	}
}

func printFields(w io.Writer, s provision.Step, colour paint) {
	wide := 0
	for _, f := range s.Changes {
		wide = max(wide, utf8.RuneCountInString(f.Name))
	}
	for _, f := range s.Changes {
		switch {
		case strings.Contains(f.Have+f.Want, "\n"):
			fmt.Fprintf(w, "      %s\n", f.Name)
			printLines(w, f, colour)
		case s.Action == provision.Create || f.Have == "":
			fmt.Fprintf(w, "      %-*s  %s\n", wide, f.Name, colour.it(green, f.Want))
		case f.Want == "":
			fmt.Fprintf(w, "      %-*s  %s (removed)\n", wide, f.Name, colour.it(red, f.Have))
		default:
			fmt.Fprintf(w, "      %-*s  %s → %s\n", wide, f.Name, colour.it(red, f.Have), colour.it(green, f.Want))
		}
	}
}

// printLines shows a document as the lines that go and the lines that come.
func printLines(w io.Writer, f provision.Field, colour paint) {
	for _, l := range diffLines(split(f.Have), split(f.Want)) {
		switch l[0] {
		case '+':
			l = colour.it(green, l)
		case '-':
			l = colour.it(red, l)
		}
		fmt.Fprintln(w, "        "+l)
	}
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// diffLines is have turned into want, by a longest common subsequence: lines that begin
// with "- " go, those with "+ " come, the others stay.
func diffLines(have, want []string) []string {
	longest := make([][]int, len(have)+1)
	for i := range longest {
		longest[i] = make([]int, len(want)+1)
	}
	for i := len(have) - 1; i >= 0; i-- {
		for j := len(want) - 1; j >= 0; j-- {
			if have[i] == want[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var lines []string
	i, j := 0, 0
	for i < len(have) || j < len(want) {
		switch {
		case i < len(have) && j < len(want) && have[i] == want[j]:
			lines = append(lines, "  "+have[i])
			i, j = i+1, j+1
		case j == len(want) || i < len(have) && longest[i+1][j] >= longest[i][j+1]:
			lines = append(lines, "- "+have[i])
			i++
		default:
			lines = append(lines, "+ "+want[j])
			j++
		}
	}
	return lines
}

// planSummary counts in a sentence.
func planSummary(p *provision.Plan) string {
	counts := p.Counts()
	var parts []string
	for _, c := range []struct {
		action provision.Action
		words  string
	}{
		{provision.Create, "to create"},
		{provision.Change, "to change"},
		{provision.TakeOver, "to adopt"},
		{provision.Put, "to replace"},
		{provision.Restore, "to put back"},
		{provision.Refuse, "not ours"},
		{provision.Keep, "as it should be"},
	} {
		if n := counts[c.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, c.words))
		}
	}
	return strings.Join(parts, ", ") + "."
}

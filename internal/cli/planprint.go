package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/provision"
)

// marks hold how a plan shows each action.
var marks = map[provision.Action]struct{ sign, colour, word, counted string }{
	provision.Create:  {"+", green, "create", "to create"},
	provision.Change:  {"~", yellow, "change", "to change"},
	provision.Adopt:   {"~", yellow, "adopt", "to adopt"},
	provision.Replace: {"~", yellow, "replace the previous logging, which destroy restores", "to replace"},
	provision.Restore: {"-", red, "restore the previous logging", "to restore"},
	provision.Delete:  {"-", red, "delete", "to delete"},
	provision.NoOp:    {"=", faint, "", "unchanged"},
	provision.Blocked: {"!", red, "blocked", "blocked"},
}

// printPlan writes a line for each resource, and below it each field that changes, with both values.
func printPlan(w io.Writer, p *provision.Plan, colour paint) {
	wide := 0
	for _, s := range p.Steps {
		wide = max(wide, utf8.RuneCountInString(s.Kind))
	}
	for _, s := range p.Steps {
		m := marks[s.Action]
		if s.OfStage() && s.Action == provision.Create {
			m.word = "turn on access logging"
		}
		line := fmt.Sprintf("%s %-*s  %s", m.sign, wide, s.Kind, s.Name)
		if m.word != "" {
			line += "  (" + m.word + ")"
		}
		fmt.Fprintln(w, colour.it(m.colour, line))
		if s.Reason != "" {
			fmt.Fprintln(w, "      "+s.Reason)
		}
		if s.Elsewhere != "" {
			fmt.Fprintln(w, colour.it(yellow, "      "+s.Elsewhere))
		}
		if s.Action != provision.Blocked {
			printFields(w, s, colour)
		}
		for _, n := range s.Warnings {
			fmt.Fprintln(w, colour.it(yellow, "      warning: "+indented(n)))
		}
		for _, n := range s.Notes {
			fmt.Fprintln(w, colour.it(faint, "      note: "+indented(n)))
		}
	}
}

// indented indents the lines after the first, such as those of a policy.
func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n        ") }

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

// printLines writes the diff of a document.
func printLines(w io.Writer, f provision.Field, colour paint) {
	for _, l := range provision.DiffLines(f.Have, f.Want) {
		switch l[0] {
		case '+':
			l = colour.it(green, l)
		case '-':
			l = colour.it(red, l)
		}
		fmt.Fprintln(w, "        "+l)
	}
}

// planSummary returns the number of resources for each action.
func planSummary(p *provision.Plan) string {
	counts := p.Counts()
	var parts []string
	for _, action := range []provision.Action{provision.Create, provision.Change, provision.Adopt, provision.Replace, provision.Restore, provision.Delete, provision.Blocked, provision.NoOp} {
		if n := counts[action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, marks[action].counted))
		}
	}
	return strings.Join(parts, ", ") + "."
}

package export

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// body is the inside of a block of HCL, in the layout of `terraform fmt`.
type body struct{ parts []part }

// part is a line or more of a body.
type part struct {
	name  string // of an argument, or the header of a block; "" is text as it is
	value string // of an argument, written out
	inner *body  // of a block
	text  string
}

// set gives an argument its value.
func (b *body) set(name string, v any) {
	b.parts = append(b.parts, part{name: name, value: written(v)})
}

// line separates what comes next.
func (b *body) line() { b.parts = append(b.parts, part{}) }

// comment adds lines with # before them.
func (b *body) comment(lines ...string) {
	b.parts = append(b.parts, part{text: strings.TrimSuffix(comment(lines...), "\n")})
}

// block adds a block and answers its inside. Labels come with the header, quoted.
func (b *body) block(header string, labels ...string) *body {
	for _, l := range labels {
		header += " " + strconv.Quote(l)
	}
	inner := &body{}
	b.parts = append(b.parts, part{name: header, inner: inner})
	return inner
}

// String is the body as text. Arguments of one line that follow each other have their equals
// signs in one column.
func (b *body) String() string {
	var out strings.Builder
	for i, p := range b.parts {
		switch {
		case p.inner != nil && len(p.inner.parts) == 0:
			out.WriteString(p.name + " {}\n")
		case p.inner != nil:
			out.WriteString(p.name + " {\n" + indent(p.inner.String()) + "}\n")
		case p.name != "":
			out.WriteString(p.name + strings.Repeat(" ", b.column(i)-len(p.name)) + " = " + p.value + "\n")
		default:
			out.WriteString(p.text + "\n")
		}
	}
	return out.String()
}

// column is where the equals sign of part i goes.
func (b *body) column(i int) int {
	flat := func(i int) bool {
		return i >= 0 && i < len(b.parts) && b.parts[i].inner == nil && b.parts[i].name != "" && !strings.Contains(b.parts[i].value, "\n")
	}
	width := len(b.parts[i].name)
	if !flat(i) {
		return width
	}
	for k := i; flat(k); k-- {
		width = max(width, len(b.parts[k].name))
	}
	for k := i; flat(k); k++ {
		width = max(width, len(b.parts[k].name))
	}
	return width
}

func indent(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if strings.TrimSpace(line) != "" {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "")
}

// expression is HCL as it is, such as a reference.
const expression = "!hcl"

func hcl(text string) *yaml.Node { return scalar(expression, text) }

// written is a value in HCL. What is longer than a line goes on without indentation.
func written(v any) string {
	n := value(v)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
		return quoted(n.Value)
	case n.Kind == yaml.ScalarNode:
		return n.Value
	case n.Kind == yaml.SequenceNode && flat(n):
		var items []string
		for _, c := range n.Content {
			items = append(items, written(c))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case n.Kind == yaml.SequenceNode:
		var items strings.Builder
		for _, c := range n.Content {
			items.WriteString(written(c) + ",\n")
		}
		return "[\n" + indent(items.String()) + "]"
	}
	var inner body
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if strings.ContainsFunc(key, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			key = quoted(key)
		}
		inner.set(key, n.Content[i+1])
	}
	return "{\n" + indent(inner.String()) + "}"
}

// flat says whether a list fits into a line.
func flat(n *yaml.Node) bool {
	return len(n.Content) == 0 || len(n.Content) == 1 && n.Content[0].Kind == yaml.ScalarNode
}

// quoted is a text as HCL writes it, in which nothing stands for anything else.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(text[i+1:], "{"):
			b.WriteString(string(r) + string(r))
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

package export

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// body is the content of an HCL file or block, in the layout of `terraform fmt`.
type body struct{ parts []part }

// part is an argument, a block or literal text of a body.
type part struct {
	name  string // name of an argument or header of a block; "" for literal text
	value string // value of an argument, in HCL
	inner *body  // content of a block
	text  string // literal text
}

// set adds arguments, given as alternating names and values. It omits names with a nil value.
func (b *body) set(pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			continue
		}
		b.parts = append(b.parts, part{name: pairs[i].(string), value: hclValue(pairs[i+1])})
	}
}

// line adds an empty line.
func (b *body) line() { b.parts = append(b.parts, part{}) }

// comment adds lines as a comment.
func (b *body) comment(lines ...string) {
	b.parts = append(b.parts, part{text: strings.TrimSuffix(comment(lines...), "\n")})
}

// block adds a block and returns its content. It quotes labels and appends them to the header.
func (b *body) block(header string, labels ...string) *body {
	for _, l := range labels {
		header += " " + strconv.Quote(l)
	}
	inner := &body{}
	b.parts = append(b.parts, part{name: header, inner: inner})
	return inner
}

// String returns the body as text. It aligns the equals signs of consecutive single-line
// arguments.
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

// column returns the column of the equals sign of part i.
func (b *body) column(i int) int {
	singleLine := func(i int) bool {
		return i >= 0 && i < len(b.parts) && b.parts[i].inner == nil && b.parts[i].name != "" && !strings.Contains(b.parts[i].value, "\n")
	}
	width := len(b.parts[i].name)
	if !singleLine(i) {
		return width
	}
	for k := i; singleLine(k); k-- {
		width = max(width, len(b.parts[k].name))
	}
	for k := i; singleLine(k); k++ {
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

// expression is the tag of a scalar that is an HCL expression, such as a reference.
const expression = "!hcl"

func hcl(text string) *yaml.Node { return scalar(expression, text) }

// hclValue returns a value in HCL. The caller indents multi-line values.
func hclValue(v any) string {
	n := value(v)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
		return hclString(n.Value)
	case n.Kind == yaml.ScalarNode:
		return n.Value
	case n.Kind == yaml.SequenceNode && fitsOnLine(n):
		var items []string
		for _, c := range n.Content {
			items = append(items, hclValue(c))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case n.Kind == yaml.SequenceNode:
		var items strings.Builder
		for _, c := range n.Content {
			items.WriteString(hclValue(c) + ",\n")
		}
		return "[\n" + indent(items.String()) + "]"
	}
	var inner body
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if strings.ContainsFunc(key, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			key = hclString(key)
		}
		inner.set(key, n.Content[i+1])
	}
	return "{\n" + indent(inner.String()) + "}"
}

// fitsOnLine reports whether a list is written on one line.
func fitsOnLine(n *yaml.Node) bool {
	return len(n.Content) == 0 || len(n.Content) == 1 && n.Content[0].Kind == yaml.ScalarNode
}

// hclString returns text as an escaped HCL string.
func hclString(text string) string {
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

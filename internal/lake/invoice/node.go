package invoice

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
)

// mistake is one thing that is wrong in a price file.
type mistake struct {
	line, column int
	text         string
}

// file is a price file while it is being read.
type file struct {
	name     string
	mistakes []mistake
}

// err is all mistakes, a line for each, in the order of the file.
func (f *file) err() error {
	slices.SortStableFunc(f.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var all []error
	for _, m := range f.mistakes {
		at := ""
		if m.line > 0 {
			at = fmt.Sprintf(":%d:%d", m.line, m.column)
		}
		all = append(all, fmt.Errorf("%s%s: %s", f.name, at, m.text))
	}
	return errors.Join(all...)
}

// value is one node of the file. The zero value is one that is not there.
type value struct {
	file *file
	node *yaml.Node
	path string
}

func (v value) given() bool { return v.node != nil }

// wrong records a mistake about v.
func (v value) wrong(format string, args ...any) {
	m := mistake{text: fmt.Sprintf(format, args...)}
	if v.path != "" {
		m.text = v.path + ": " + m.text
	}
	if v.node != nil {
		m.line, m.column = v.node.Line, v.node.Column
	}
	v.file.mistakes = append(v.file.mistakes, m)
}

// mapping reads a mapping that may have the given keys.
func (v value) mapping(keys ...string) map[string]value {
	found := map[string]value{}
	if v.node == nil {
		return found
	}
	if v.node.Kind != yaml.MappingNode {
		v.wrong("expected a mapping of %s", strings.Join(keys, ", "))
		return found
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		c := value{v.file, node, strings.TrimPrefix(v.path+"."+key.Value, ".")}
		at := value{v.file, key, c.path}
		switch _, twice := found[key.Value]; {
		case !slices.Contains(keys, key.Value):
			at.path = v.path
			at.wrong("unknown key %q%s", key.Value, didYouMean(key.Value, keys))
		case twice:
			at.wrong("given twice: keep one")
		case node.Kind == yaml.AliasNode:
			at.wrong("an alias: write the value out")
		case node.Kind == yaml.ScalarNode && node.Value == "":
			at.wrong("no value given")
		default:
			found[key.Value] = c
		}
	}
	return found
}

// list reads a list.
func (v value) list() []value {
	if v.node == nil {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.wrong("expected a list")
		return nil
	}
	all := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		all[i] = value{v.file, n, fmt.Sprintf("%s[%d]", v.path, i)}
	}
	return all
}

// text is a scalar as the file has it: 0.10 keeps its zero, and 0123 stays what it is.
func (v value) text() string {
	if v.node == nil {
		return ""
	}
	if v.node.Kind != yaml.ScalarNode {
		v.wrong("expected a single value")
		return ""
	}
	return v.node.Value
}

// oneOf is a word out of a few, by default the first.
func (v value) oneOf(words ...string) string {
	if !v.given() {
		return words[0]
	}
	text := v.text()
	if !slices.Contains(words, text) {
		v.wrong("%q is not known%s", text, didYouMean(text, words))
	}
	return text
}

// yes is true or false, by default false.
func (v value) yes() bool { return v.oneOf("false", "true") == "true" }

// whole is a whole number of at least least.
func (v value) whole(least, otherwise int64) int64 {
	if !v.given() {
		return otherwise
	}
	n, err := strconv.ParseInt(v.text(), 10, 64)
	if err != nil || n < least || n > maxRequests {
		v.wrong("expected a whole number from %d to %d, found %q", least, maxRequests, v.text())
		return otherwise
	}
	return n
}

// maxRequests is more than API Gateway answers in a century, and far from where int64 ends.
const maxRequests = int64(1_000_000_000_000_000)

func didYouMean(name string, names []string) string {
	if like, ok := nearest.Name(name, names); ok {
		return ": did you mean " + like + "?"
	}
	return ": expected one of " + strings.Join(names, ", ")
}

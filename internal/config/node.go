package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
)

// maxAliased bounds the nodes that are read through aliases. A file of 1 MiB cannot have more nodes than bytes, but aliases of
// aliases can make billions of them.
const maxAliased = 100_000

// file is a file while it is being read.
type file struct {
	name     string
	getenv   func(string) string
	mistakes Mistakes
	warnings Mistakes
	aliased  int  // nodes read through aliases
	tooMany  bool // and that was said
}

// value is one node of the file and where it stands. The zero value is one that is not there.
type value struct {
	file  *file
	node  *yaml.Node // aliases are resolved; nil when there is none
	at    *yaml.Node // where messages point to: the alias rather than what it stands for
	path  string
	alias bool // reached through an alias
}

func (v value) exists() bool { return v.node != nil && !isNull(v.node) }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// wrong records a mistake about v.
func (v value) wrong(hint, format string, args ...any) {
	v.file.mistakes = append(v.file.mistakes, v.mistake(hint, format, args...))
}

// unwise records a warning about v.
func (v value) unwise(hint, format string, args ...any) {
	v.file.warnings = append(v.file.warnings, v.mistake(hint, format, args...))
}

func (v value) mistake(hint, format string, args ...any) Mistake {
	m := Mistake{File: v.file.name, Path: v.path, Message: fmt.Sprintf(format, args...), Hint: hint}
	if v.at != nil {
		m.Line, m.Column = v.at.Line, v.at.Column
	}
	return m
}

// child is the value of a node below v.
func (v value) child(node *yaml.Node, path string) value {
	c := value{file: v.file, node: node, at: node, path: path, alias: v.alias}
	if v.alias {
		c.at = v.at
	}
	for depth := 0; c.node != nil && c.node.Kind == yaml.AliasNode && depth < 8; depth++ {
		c.node, c.alias = c.node.Alias, true
	}
	if !c.alias {
		return c
	}
	if v.file.aliased++; v.file.aliased > maxAliased {
		if !v.file.tooMany {
			c.wrong("write the values out", "aliases stand for more than %d values", maxAliased)
			v.file.tooMany = true
		}
		c.node = nil
	}
	return c
}

// kind names what a node is, in words.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return "a single value"
}

// mapping reads a mapping that may have the given keys, and returns the values of those that it has.
func (v value) mapping(keys ...string) map[string]value {
	found := map[string]value{}
	if v.node == nil {
		return found
	}
	if v.node.Kind != yaml.MappingNode {
		v.wrong("", "expected a mapping (%s), found %s", strings.Join(keys, ", "), kind(v.node))
		return found
	}
	lines := map[string]int{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		name := key.Value
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merged = append(merged, node)
			continue
		}
		c := v.child(node, join(v.path, printable(name)))
		if !v.alias {
			c.at = orKey(c.at, key)
		}
		switch line, twice := lines[name]; {
		case key.Kind != yaml.ScalarNode:
			c.path = v.path
			c.wrong("", "expected a name before the colon, found %s", kind(key))
		case twice:
			c.wrong("", "given twice, first in line %d", line)
		case !slices.Contains(keys, name):
			c.at = key
			c.wrong(didYouMean(name, keys), "unknown key")
		default:
			found[name] = c
		}
		if _, known := lines[name]; !known {
			lines[name] = key.Line
		}
	}
	for _, node := range merged {
		v.merge(found, node, keys, maxMerges)
	}
	return found
}

// maxMerges bounds merge keys within merged mappings.
const maxMerges = 8

// merge adds what a merge key (<<) brings and the mapping does not say itself.
func (v value) merge(found map[string]value, node *yaml.Node, keys []string, depth int) {
	m := v.child(node, v.path)
	if m.node == nil {
		return
	}
	items := []value{m}
	if m.node.Kind == yaml.SequenceNode {
		items = m.list()
	}
	for _, item := range items {
		if item.node == nil || item.node.Kind != yaml.MappingNode || depth == 0 {
			item.wrong("", "expected a mapping to merge")
			continue
		}
		for i := 0; i+1 < len(item.node.Content); i += 2 {
			key, node := item.node.Content[i], item.node.Content[i+1]
			switch _, has := found[key.Value]; {
			case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
				item.merge(found, node, keys, depth-1)
			case key.Kind != yaml.ScalarNode || !slices.Contains(keys, key.Value):
				c := item.child(key, join(v.path, printable(key.Value)))
				c.wrong(didYouMean(key.Value, keys), "unknown key, merged in here")
			case !has:
				found[key.Value] = item.child(node, join(v.path, key.Value))
			}
		}
	}
}

// orKey is where a message about a value points to: to its key where the value itself takes no room.
func orKey(node, key *yaml.Node) *yaml.Node {
	if node.Line == 0 || isNull(node) {
		return key
	}
	return node
}

// list reads a list.
func (v value) list() []value {
	if !v.exists() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.wrong("", "expected a list, found %s", kind(v.node))
		return nil
	}
	all := make([]value, 0, len(v.node.Content))
	for i, n := range v.node.Content {
		if v.file.tooMany {
			break
		}
		item := v.child(n, v.path+"["+strconv.Itoa(i)+"]")
		if item.node != nil && isNull(item.node) {
			item.wrong("", "expected a value, found nothing")
			continue
		}
		all = append(all, item)
	}
	return all
}

// literal is the text of a scalar as the file has it, where no environment variable may stand.
func (v value) literal() (string, bool) {
	text, ok := v.scalar()
	if ok && strings.HasPrefix(text, envPrefix) {
		v.wrong("write the value itself", "expected a value, found an environment variable: they are for names, accounts, upstreams and keys")
		return "", false
	}
	return text, ok
}

// text is the text of a scalar as the file has it, or of the environment variable that it names. Messages about it use shown.
func (v value) text() (string, bool) {
	text, ok := v.scalar()
	if !ok {
		return "", false
	}
	name, isEnv := strings.CutPrefix(text, envPrefix)
	if !isEnv {
		return text, true
	}
	if name == "" || strings.ContainsAny(name, "= \t\n\x00") {
		v.wrong("write env:NAME", "expected the name of an environment variable after env:")
		return "", false
	}
	text = v.file.getenv(name)
	if text == "" {
		v.wrong("set it, or write the value here", "the environment variable %s is not set", printable(name))
	}
	return text, text != ""
}

const envPrefix = "env:"

// shown is what messages may say of a scalar: never the value of an environment variable.
func (v value) shown() string {
	if v.node == nil {
		return "nothing"
	}
	if name, isEnv := strings.CutPrefix(v.node.Value, envPrefix); isEnv {
		return "the value of the environment variable " + printable(name)
	}
	return printable(v.node.Value)
}

func (v value) scalar() (string, bool) {
	if !v.exists() {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode {
		v.wrong("", "expected a single value, found %s", kind(v.node))
		return "", false
	}
	if tag := v.node.ShortTag(); !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, tag) {
		v.wrong("", "expected a plain value, found the tag %s", printable(tag))
		return "", false
	}
	return v.node.Value, true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// printable is a text as messages show it: on one line, and not for ever. What is not a plain word stands in quotes.
func printable(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	if q := strconv.Quote(s); q[1:len(q)-1] != s || s == "" || strings.ContainsAny(s, " :,") {
		return q
	}
	return s
}

func didYouMean(name string, names []string) string {
	if like, ok := nearest.Name(name, names); ok {
		return "did you mean " + like + "?"
	}
	return "expected one of: " + strings.Join(names, ", ")
}

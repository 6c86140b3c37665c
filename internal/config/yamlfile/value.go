package yamlfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxAliased bounds the nodes that are read through aliases. A file cannot have more nodes than bytes, but aliases of
// aliases can multiply them.
const maxAliased = 100_000

// maxMerges bounds merge keys within merged mappings.
const maxMerges = 8

// Value is one value of a file with its position. The zero Value represents a missing key.
type Value struct {
	file  *file
	node  *yaml.Node // with aliases resolved; nil if there is none
	at    *yaml.Node // the position for messages: of the alias, not of its anchor
	path  string
	alias bool // reached through an alias
}

// Given reports whether the file has the key, even without a value.
func (v Value) Given() bool { return v.node != nil }

// Exists reports whether the file has the key with a value. An empty text is a value, null is not.
func (v Value) Exists() bool { return v.node != nil && !isNull(v.node) }

// IsMapping reports whether the value is a mapping.
func (v Value) IsMapping() bool { return v.node != nil && v.node.Kind == yaml.MappingNode }

// File returns the name of the value's file, as it was given to Read.
func (v Value) File() string { return v.file.name }

// Line returns the line of the value, or 0 if it has none.
func (v Value) Line() int {
	if v.at == nil {
		return 0
	}
	return v.at.Line
}

// Or returns v, or other if the file does not have v's key.
func (v Value) Or(other Value) Value {
	if v.file != nil {
		return v
	}
	return other
}

// Problemf records a problem of v.
func (v Value) Problemf(hint, format string, args ...any) {
	v.file.problems = append(v.file.problems, v.problem(hint, fmt.Sprintf(format, args...)))
}

// Warnf records a warning about v: it is valid but unwise.
func (v Value) Warnf(hint, format string, args ...any) {
	v.file.warnings = append(v.file.warnings, v.problem(hint, fmt.Sprintf(format, args...)))
}

func (v Value) problem(hint, message string) Problem {
	p := Problem{File: v.file.name, Path: v.path, Message: message, Hint: hint}
	if v.at != nil {
		p.Line, p.Column = v.at.Line, v.at.Column
	}
	return p
}

// child returns the value of a node below v.
func (v Value) child(node *yaml.Node, path string) Value {
	c := Value{file: v.file, node: node, at: node, path: path, alias: v.alias}
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
			c.Problemf("write out the values instead of using aliases", "aliases expand to more than %d values", maxAliased)
			v.file.tooMany = true
		}
		c.node = nil
	}
	return c
}

// Mapping returns the values of a mapping by key. It records a problem for each key that is not among keys. A value that
// does not exist is an empty mapping.
func (v Value) Mapping(keys ...string) map[string]Value {
	found := map[string]Value{}
	if !v.Exists() {
		return found
	}
	if v.node.Kind != yaml.MappingNode {
		v.Problemf("", "expected a mapping (%s), found %s", strings.Join(keys, ", "), kind(v.node))
		return found
	}
	lines := map[string]int{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		name := key.Value
		if isMerge(key) {
			merged = append(merged, node)
			continue
		}
		c := v.child(node, join(v.path, printable(name)))
		if !v.alias {
			c.at = position(c.at, key)
		}
		switch line, twice := lines[name]; {
		case key.Kind != yaml.ScalarNode:
			c.path = v.path
			c.Problemf("", "expected a name before the colon, found %s", kind(key))
		case twice:
			c.Problemf("", "duplicate key, first set on line %d", line)
		case !slices.Contains(keys, name):
			c.at = key
			c.Problemf(DidYouMean(name, keys), "unknown key")
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

// merge adds the values of a merge key (<<) that the mapping itself does not have.
func (v Value) merge(found map[string]Value, node *yaml.Node, keys []string, depth int) {
	m := v.child(node, v.path)
	if m.node == nil {
		return
	}
	items := []Value{m}
	if m.node.Kind == yaml.SequenceNode {
		items = m.List()
	}
	for _, item := range items {
		if item.node == nil || item.node.Kind != yaml.MappingNode || depth == 0 {
			item.Problemf("", "expected a mapping to merge")
			continue
		}
		for i := 0; i+1 < len(item.node.Content); i += 2 {
			key, node := item.node.Content[i], item.node.Content[i+1]
			switch _, has := found[key.Value]; {
			case isMerge(key):
				item.merge(found, node, keys, depth-1)
			case key.Kind != yaml.ScalarNode || !slices.Contains(keys, key.Value):
				c := item.child(key, join(v.path, printable(key.Value)))
				c.Problemf(DidYouMean(key.Value, keys), "unknown key in the merged mapping")
			case !has:
				found[key.Value] = item.child(node, join(v.path, key.Value))
			}
		}
	}
}

// Required returns the value of a key that the mapping v must have. If it is missing or empty, Required records a
// problem and returns the zero Value.
func (v Value) Required(m map[string]Value, key string) Value {
	c, given := m[key]
	switch {
	case !v.IsMapping():
		return Value{} // reported by Mapping
	case !given:
		missing := v
		missing.path = join(v.path, key)
		missing.Problemf("", "required key is missing")
		return Value{}
	case c.file == nil:
		return Value{} // reported by Filled
	case c.empty():
		c.Problemf("", "value is missing")
		return Value{}
	}
	return c
}

// Filled returns the values of a mapping as Mapping does, and records a problem for each key without a value.
func (v Value) Filled(keys ...string) map[string]Value {
	m := v.Mapping(keys...)
	for _, key := range keys {
		if c, given := m[key]; given && c.empty() {
			c.Problemf("", "value is missing")
			m[key] = Value{}
		}
	}
	return m
}

func (v Value) empty() bool {
	return !v.Exists() || v.node.Kind == yaml.ScalarNode && v.node.Value == ""
}

// List returns the items of a list, without those that have no value, for which it records a problem.
func (v Value) List() []Value {
	if !v.Exists() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.Problemf("", "expected a list, found %s", kind(v.node))
		return nil
	}
	all := make([]Value, 0, len(v.node.Content))
	for i, n := range v.node.Content {
		if v.file.tooMany {
			break
		}
		item := v.child(n, v.path+"["+strconv.Itoa(i)+"]")
		if item.node != nil && isNull(item.node) {
			item.Problemf("", "expected a value, found nothing")
			continue
		}
		all = append(all, item)
	}
	return all
}

// Entries returns the keys of a mapping that may have any keys, in the order of the file, and the values by key.
func (v Value) Entries() (names []string, values map[string]Value) {
	if v.Exists() && !v.IsMapping() {
		v.Problemf("", "expected a mapping, found %s", kind(v.node))
		return nil, nil
	}
	if v.IsMapping() {
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if key := v.node.Content[i]; key.Kind == yaml.ScalarNode && !isMerge(key) && !slices.Contains(names, key.Value) {
				names = append(names, key.Value)
			}
		}
	}
	return names, v.Mapping(names...)
}

// Len returns the number of items in a list.
func (v Value) Len() int {
	if v.node == nil || v.node.Kind != yaml.SequenceNode {
		return 0
	}
	return len(v.node.Content)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

// kind returns a name for the kind of a node.
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

// position returns where a message about a value points to: to its key if the value itself is empty.
func position(node, key *yaml.Node) *yaml.Node {
	if node.Line == 0 || isNull(node) {
		return key
	}
	return node
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

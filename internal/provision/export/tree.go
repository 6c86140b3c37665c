package export

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// Placeholders for values that are known only when the text is applied. They are characters of
// Unicode's private use area, so they do not occur in other text.
const (
	partition = "\uE001"
	region    = "\uE002"
	account   = "\uE003"
)

// elsewhere returns the pipeline with placeholders for partition, Region and account.
func elsewhere(s *desired.Spec) *desired.Spec {
	moved := *s
	moved.Partition, moved.Region, moved.Account = partition, region, account
	return &moved
}

// known reports whether a text contains no placeholder.
func known(text string) bool { return !strings.ContainsAny(text, partition+region+account) }

// The values of a resource are a tree of YAML nodes, because their mappings are ordered and the
// JSON of a policy is valid YAML. Both languages are generated from it.

// object returns a mapping of alternating names and values. It omits names with a nil value.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != nil {
			n.Content = append(n.Content, scalar("!!str", pairs[i].(string)), value(pairs[i+1]))
		}
	}
	return n
}

// optional returns nil for a nil or empty text.
func optional(text *string) any {
	if text == nil || *text == "" {
		return nil
	}
	return *text
}

func list(values ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, v := range values {
		n.Content = append(n.Content, value(v))
	}
	return n
}

func scalar(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

func value(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case string:
		return scalar("!!str", v)
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	case int:
		return scalar("!!int", strconv.Itoa(v))
	case int32:
		return scalar("!!int", strconv.Itoa(int(v)))
	case policy.Document:
		return document(v)
	}
	panic(fmt.Sprintf("BUG: unsupported value of type %T", v))
}

// document returns a policy as a tree.
func document(d policy.Document) *yaml.Node {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(d.JSON()), &n); err != nil {
		panic("BUG: the JSON of a policy is not YAML: " + err.Error())
	}
	plain(&n)
	return n.Content[0]
}

// plain removes the JSON style from the nodes.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

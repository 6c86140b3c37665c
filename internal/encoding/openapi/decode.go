package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a YAML document. Aliases count each time they are used.
const (
	maxDepth = 64
	maxNodes = 200_000
)

var errTooLarge = errors.New("the document is too large or too deeply nested")

// object is a JSON object or YAML mapping. Its values are object, []any, string, bool, nil
// and json.Number, which keeps a number as it was written.
type object = map[string]any

func decode(data []byte) (object, error) {
	data = bytes.TrimPrefix(bytes.TrimSpace(data), []byte("\xef\xbb\xbf"))
	if len(data) == 0 {
		return nil, errors.New("the document is empty")
	}
	var v any
	var err error
	if data[0] == '{' {
		v, err = decodeJSON(data)
	} else {
		v, err = decodeYAML(data)
	}
	if err != nil {
		return nil, err
	}
	o, ok := v.(object)
	if !ok {
		return nil, errors.New("the document is not an object")
	}
	return o, nil
}

func decodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, invalidJSON(data, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more text after the end of the document")
	}
	return v, nil
}

// invalidJSON returns an error with the line of a syntax error.
func invalidJSON(data []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return errors.New("the document is not valid JSON: it ends too early")
	}
	line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
	return fmt.Errorf("the document is not valid JSON: line %d: %s", line, syntax)
}

func decodeYAML(data []byte) (any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("the document is not valid YAML: %.200s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	nodes := 0
	return fromYAML(&doc, 0, &nodes)
}

func fromYAML(n *yaml.Node, depth int, nodes *int) (any, error) {
	if *nodes++; depth > maxDepth || *nodes > maxNodes {
		return nil, errTooLarge
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) != 1 {
			return nil, errors.New("the document is empty")
		}
		return fromYAML(n.Content[0], depth+1, nodes)
	case yaml.AliasNode:
		return fromYAML(n.Alias, depth+1, nodes)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			v, err := fromYAML(e, depth+1, nodes)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		return fromMapping(n, depth, nodes)
	}
	return scalar(n), nil
}

// fromMapping reads a mapping. Its own keys override merged ones (<<).
func fromMapping(n *yaml.Node, depth int, nodes *int) (any, error) {
	o := make(object, len(n.Content)/2)
	var merged []any
	for i := 0; i+1 < len(n.Content); i += 2 {
		v, err := fromYAML(n.Content[i+1], depth+1, nodes)
		if err != nil {
			return nil, err
		}
		switch key := n.Content[i]; {
		case key.Tag == "!!merge":
			merged = append(merged, v)
		case key.Kind != yaml.ScalarNode:
			return nil, errors.New("document has a key that is not text")
		default:
			o[key.Value] = v
		}
	}
	for _, v := range merged {
		sources, isList := v.([]any)
		if !isList {
			sources = []any{v}
		}
		for _, source := range sources {
			from, _ := source.(object)
			for k, e := range from {
				if _, own := o[k]; !own {
					o[k] = e
				}
			}
		}
	}
	return o, nil
}

func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
	}
	return n.Value
}

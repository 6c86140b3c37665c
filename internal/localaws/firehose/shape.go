package firehose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

type kind int

const (
	text kind = iota
	integer
	boolean
	blob
	list
	structure
	opaque // not checked: part of a feature that is refused as a whole
)

// shape is a type of the API model with its constraints.
type shape struct {
	kind    kind
	min     int // length, or value of an integer
	max     int // 0 is no limit
	pattern string
	matches func(string) bool // of pattern
	enum    []string
	members []member // of a structure
	element *shape   // of a list
	lax     bool     // a structure whose unknown members are ignored
}

type member struct {
	name     string
	shape    *shape
	required bool
	// refused names the member in the error of an unsupported feature; "": supported.
	refused string
}

// checker checks a value against its shape.
type checker struct {
	violations []string
	refusals   []string
}

// check returns the errors of a value in the order of the service: the first value of a wrong type, else all
// violations of the model, else the unsupported members.
func (s *shape) check(value map[string]any) *wire.Error {
	var c checker
	if err := c.structure("", s, value); err != nil {
		return err
	}
	if err := validation(c.violations); err != nil {
		return err
	}
	if len(c.refusals) > 0 {
		return refused(strings.Join(c.refusals, ", "))
	}
	return nil
}

func (c *checker) violated(path, format string, args ...any) {
	c.violations = append(c.violations, "Value at '"+path+"' failed to satisfy constraint: Member must "+fmt.Sprintf(format, args...))
}

func (c *checker) structure(path string, s *shape, value map[string]any) *wire.Error {
	known := 0
	for _, m := range s.members {
		v, given := value[m.name]
		if given {
			known++
		}
		at := join(path, m.name)
		switch {
		case v == nil && m.required:
			c.violated(at, "not be null")
		case v == nil:
		case m.refused != "":
			c.refusals = append(c.refusals, m.refused)
		default:
			if err := c.value(at, m.shape, v); err != nil {
				return err
			}
		}
	}
	if known == len(value) || s.lax {
		return nil
	}
	for name := range value {
		if !s.has(name) {
			c.refusals = append(c.refusals, "the member "+join(path, name))
		}
	}
	return nil
}

func (s *shape) has(name string) bool {
	return slices.ContainsFunc(s.members, func(m member) bool { return m.name == name })
}

func (c *checker) value(path string, s *shape, v any) *wire.Error {
	switch s.kind {
	case opaque:
		return nil
	case structure:
		m, ok := v.(map[string]any)
		if !ok {
			return wrongType(v, "a structure")
		}
		return c.structure(path, s, m)
	case list:
		return c.list(path, s, v)
	case boolean:
		if _, ok := v.(bool); !ok {
			return wrongType(v, "a Boolean")
		}
	case integer:
		return c.integer(path, s, v)
	case text:
		str, ok := v.(string)
		if !ok {
			return wrongType(v, "a String")
		}
		c.text(path, s, str)
	case blob:
		return c.blob(path, s, v)
	}
	return nil
}

func (c *checker) list(path string, s *shape, v any) *wire.Error {
	all, ok := v.([]any)
	if !ok {
		return wrongType(v, "a list")
	}
	c.length(path, s, len(all))
	if s.max > 0 && len(all) > s.max {
		return nil // one violation instead of one per element
	}
	for i, e := range all {
		at := path + "." + strconv.Itoa(i+1) + ".member"
		if e == nil {
			c.violated(at, "not be null")
			continue
		}
		if err := c.value(at, s.element, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) integer(path string, s *shape, v any) *wire.Error {
	number, ok := v.(json.Number)
	if !ok {
		return wrongType(v, "an Integer")
	}
	n, err := number.Int64()
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		return wrongType(v, "an Integer")
	}
	if n < int64(s.min) {
		c.violated(path, "have value greater than or equal to %d", s.min)
	}
	if s.max > 0 && n > int64(s.max) {
		c.violated(path, "have value less than or equal to %d", s.max)
	}
	return nil
}

func (c *checker) text(path string, s *shape, v string) {
	c.length(path, s, utf8.RuneCountInString(v))
	if s.matches != nil && !s.matches(v) {
		c.violated(path, "satisfy regular expression pattern: %s", s.pattern)
	}
	if s.enum != nil && !slices.Contains(s.enum, v) {
		c.violated(path, "satisfy enum value set: [%s]", strings.Join(s.enum, ", "))
	}
}

func (c *checker) blob(path string, s *shape, v any) *wire.Error {
	str, ok := v.(string)
	if !ok {
		return wrongType(v, "a Blob")
	}
	n, err := decodedLength(str)
	if err != nil {
		return badBase64()
	}
	c.length(path, s, n)
	return nil
}

// decodedLength decodes s and returns the length of the result.
func decodedLength(s string) (int, error) {
	if strings.ContainsAny(s, "\r\n") {
		return 0, base64.CorruptInputError(0) // the decoder would skip them
	}
	return base64.StdEncoding.Strict().Decode(make([]byte, base64.StdEncoding.DecodedLen(len(s))), []byte(s))
}

func (c *checker) length(path string, s *shape, n int) {
	if n < s.min {
		c.violated(path, "have length greater than or equal to %d", s.min)
	}
	if s.max > 0 && n > s.max {
		c.violated(path, "have length less than or equal to %d", s.max)
	}
}

// wrongType returns the error of the JSON services' deserializer.
func wrongType(v any, want string) *wire.Error {
	switch v := v.(type) {
	case map[string]any:
		return serialization("Start of structure or map found where not expected.")
	case []any:
		return serialization("Start of list found where not expected")
	case string:
		return serialization("STRING_VALUE can not be converted to " + want)
	case bool:
		return serialization(strings.ToUpper(strconv.FormatBool(v)) + "_VALUE can not be converted to " + want)
	}
	return serialization("NUMBER_VALUE can not be converted to " + want)
}

func badBase64() *wire.Error { return serialization("A Blob is not valid base64") }

// join appends a member to a path in the service's notation: members begin in lower case.
func join(path, name string) string {
	name = strings.ToLower(name[:min(1, len(name))]) + name[min(1, len(name)):]
	if path == "" {
		return name
	}
	return path + "." + name
}

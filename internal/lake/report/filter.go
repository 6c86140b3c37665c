package report

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// Filter is conditions on requests. Those with = on the same dimension are alternatives; apart from that, all must hold.
type Filter []Condition

// Condition compares a dimension with a pattern.
//
// In a pattern, * stands for any text, and \* for a star; a value that is missing is "-". A status may be a class, as in
// 5xx. Customer and Plan match by id and by name.
type Condition struct {
	Dimension Dimension
	Not       bool // requests that match are left out
	Pattern   string
}

// ParseFilter reads conditions that are written dimension=pattern or dimension!=pattern.
func ParseFilter(conditions ...string) (Filter, error) {
	var f Filter
	for _, text := range conditions {
		name, pattern, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("filter %s: expected dimension=value or dimension!=value, as in status=5xx", table.Printable(text))
		}
		name, not := strings.CutSuffix(name, "!")
		d, err := ParseDimension(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", table.Printable(text), err)
		}
		f = append(f, Condition{Dimension: d, Not: not, Pattern: pattern})
	}
	return f, nil
}

// String is the condition as ParseFilter reads it.
func (c Condition) String() string {
	if c.Not {
		return string(c.Dimension) + "!=" + c.Pattern
	}
	return string(c.Dimension) + "=" + c.Pattern
}

// where is the SQL of a filter, and the parameters of it. It is "true" where there is nothing to hold.
func (f Filter) where(z zone) (string, []any) {
	var all []string
	var args []any
	for _, d := range Dimensions() {
		var any []string
		for _, c := range f {
			if c.Dimension != d || c.Not {
				continue
			}
			sql, a := c.matches(z)
			any, args = append(any, sql), append(args, a...)
		}
		if len(any) > 0 {
			all = append(all, "("+strings.Join(any, " OR ")+")")
		}
		for _, c := range f {
			if c.Dimension != d || !c.Not {
				continue
			}
			sql, a := c.matches(z)
			all, args = append(all, "NOT ("+sql+")"), append(args, a...)
		}
	}
	if len(all) == 0 {
		return "true", nil
	}
	return strings.Join(all, " AND "), args
}

var (
	classPattern  = regexp.MustCompile(`^[1-9]xx$`)
	statusPattern = regexp.MustCompile(`^[1-9][0-9]{2}$`)
)

// matches is SQL that is true or false, never NULL, and its parameters.
func (c Condition) matches(z zone) (string, []any) {
	var texts []string
	switch d := c.Dimension; d {
	case Customer, Plan:
		id, name := d.identity()
		if c.Pattern == "-" {
			return fmt.Sprintf("(%s IS NULL)", name), nil
		}
		texts = []string{id, name}
	case Status, Class:
		// As numbers, statuses are compared some twenty times faster.
		if n, err := strconv.ParseUint(strings.TrimSuffix(c.Pattern, "xx"), 10, 16); err == nil {
			if classPattern.MatchString(c.Pattern) {
				return "coalesce(status BETWEEN ? AND ?, false)", []any{n * 100, n*100 + 99}
			}
			if d == Status && statusPattern.MatchString(c.Pattern) {
				return "coalesce(status = ?, false)", []any{n}
			}
		}
		texts = []string{d.text(z, d.columns(z))}
	case Hour, Day, Month:
		texts = []string{d.text(z, d.columns(z))}
	default:
		texts = []string{d.column()}
	}
	var parts []string
	var args []any
	like, isGlob := glob(c.Pattern)
	for _, text := range texts {
		switch {
		case !isGlob && c.Pattern == "-":
			parts = append(parts, fmt.Sprintf("coalesce(%s, '-') = '-'", text))
		case !isGlob:
			parts, args = append(parts, fmt.Sprintf("coalesce(%s = ?, false)", text)), append(args, like)
		default:
			parts, args = append(parts, fmt.Sprintf(`coalesce(%s, '-') LIKE ? ESCAPE '\'`, text)), append(args, like)
		}
	}
	return strings.Join(parts, " OR "), args
}

// glob is a pattern as LIKE takes it, or, where it has no star, the value that it stands for.
func glob(pattern string) (like string, isGlob bool) {
	var plain, escaped strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern) && pattern[i+1] == '*':
			i++
			plain.WriteByte('*')
			escaped.WriteByte('*')
			continue
		case c == '*':
			isGlob = true
			escaped.WriteByte('%')
			continue
		case slices.Contains([]byte(`%_\`), c):
			escaped.WriteByte('\\')
		}
		plain.WriteByte(c)
		escaped.WriteByte(c)
	}
	if isGlob {
		return escaped.String(), true
	}
	return plain.String(), false
}

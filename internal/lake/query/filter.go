package query

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stagelog/stagelog/internal/lake/table"
)

// Missing stands for a value that a request lacks, in patterns and in results.
const Missing = "-"

// Filter is a list of conditions on requests. Conditions with = on the same dimension are alternatives; otherwise all must
// hold.
type Filter []Condition

// Condition compares a dimension with a pattern.
//
// In a pattern, * matches any text and \* a star; a missing value is "-". A status may also be a class as
// in 5xx, a range as in 400-499, or "errors", which is every status from 400 on. Customer and Plan match by id and by name.
type Condition struct {
	Dimension Dimension
	Not       bool // excludes requests that match
	Pattern   string
}

// ParseFilter parses conditions of the form dimension=pattern or dimension!=pattern.
func ParseFilter(conditions ...string) (Filter, error) {
	var f Filter
	for _, text := range conditions {
		name, pattern, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("filter %s: expected dimension=value or dimension!=value, as in status=5xx", table.Printable(text))
		}
		c, err := ParseCondition(name, pattern)
		if err != nil {
			return nil, err
		}
		f = append(f, c)
	}
	return f, nil
}

// ParseCondition parses a condition from its parts before and after the first "=".
func ParseCondition(name, pattern string) (Condition, error) {
	bare, not := strings.CutSuffix(name, "!")
	d, err := ParseDimension(strings.TrimSpace(bare))
	if err != nil {
		return Condition{}, fmt.Errorf("filter %s: %w", table.Printable(name+"="+pattern), err)
	}
	c := Condition{Dimension: d, Not: not, Pattern: pattern}
	return c, c.check()
}

// Is returns the condition that a dimension has exactly this value. It escapes stars.
func Is(d Dimension, value string) Condition {
	return Condition{Dimension: d, Pattern: strings.ReplaceAll(value, "*", `\*`)}
}

// Value returns the value that c selects, and false if c is negated or selects more than one.
func (c Condition) Value() (string, bool) {
	value, isGlob := glob(c.Pattern)
	return value, !c.Not && !isGlob
}

// String returns the condition in the form of ParseFilter.
func (c Condition) String() string { return c.Name() + "=" + c.Pattern }

// Name returns the part of the condition before the first "=".
func (c Condition) Name() string {
	if c.Not {
		return string(c.Dimension) + "!"
	}
	return string(c.Dimension)
}

// check returns an error for a dimension that does not exist and a pattern that can match nothing.
func (c Condition) check() error {
	if _, err := ParseDimension(string(c.Dimension)); err != nil {
		return fmt.Errorf("filter %s: %w", table.Printable(c.String()), err)
	}
	if _, isGlob := glob(c.Pattern); isGlob || c.Pattern == Missing {
		return nil
	}
	switch c.Dimension {
	case Status:
		_, ok := statusesOf(c.Pattern)
		if class, isClass := classOf(c.Pattern); !ok || isClass && class.low > 500 { // HTTP has no other classes
			return fmt.Errorf("filter %s: expected a status like 404, a class like 5xx, a range like 400-499, errors, - or a pattern with *", table.Printable(c.String()))
		}
	case Class:
		if _, ok := classOf(c.Pattern); !ok {
			return fmt.Errorf("filter %s: expected a class like 5xx, - or a pattern with *", table.Printable(c.String()))
		}
	}
	return nil
}

// statuses is a range of statuses, both ends included.
type statuses struct{ low, high int64 }

// statusesOf returns the range of statuses of a pattern without a star.
func statusesOf(pattern string) (statuses, bool) {
	if pattern == "errors" {
		return statuses{400, math.MaxInt16}, true
	}
	if s, ok := classOf(pattern); ok {
		return s, true
	}
	first, last, isRange := strings.Cut(pattern, "-")
	if !isRange {
		last = first
	}
	low, okLow := statusOf(first)
	high, okHigh := statusOf(last)
	return statuses{low, high}, okLow && okHigh && low <= high
}

// classOf parses a class like 5xx.
func classOf(pattern string) (statuses, bool) {
	if len(pattern) != 3 || !strings.EqualFold(pattern[1:], "xx") || pattern[0] < '1' || pattern[0] > '9' {
		return statuses{}, false
	}
	low := int64(pattern[0]-'0') * 100
	return statuses{low, low + 99}, true
}

func statusOf(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int64(n), err == nil && len(text) == 3 && n >= 100
}

// statuses returns the range of statuses that c selects, and false if c is compared as text.
func (c Condition) statuses() (statuses, bool) {
	switch c.Dimension {
	case Status:
		return statusesOf(c.Pattern)
	case Class:
		return classOf(c.Pattern)
	}
	return statuses{}, false
}

// where returns the SQL of the filter and its parameters.
func (f Filter) where(s scope) Clause {
	var all Clause
	for _, d := range Dimensions() {
		var alternatives []string
		var args []any
		for _, c := range f {
			if c.Dimension == d && !c.Not {
				m := c.where(s)
				alternatives, args = append(alternatives, m.SQL), append(args, m.Args...)
			}
		}
		if len(alternatives) > 0 {
			all = all.And("("+strings.Join(alternatives, " OR ")+")", args...)
		}
		for _, c := range f {
			if c.Dimension == d && c.Not {
				m := c.where(s)
				all = all.And("NOT coalesce("+m.SQL+", false)", m.Args...)
			}
		}
	}
	return all
}

// where returns SQL that is true only for requests that match. It may be NULL for others.
func (c Condition) where(s scope) Clause {
	// As numbers, statuses are compared some twenty times faster.
	if of, ok := c.statuses(); ok {
		if of.low == of.high {
			return Clause{SQL: "status = ?", Args: []any{of.low}}
		}
		return Clause{SQL: "status BETWEEN ? AND ?", Args: []any{of.low, of.high}}
	}
	columns := s.columns(c.Dimension)
	texts := columns
	switch {
	case c.Dimension.Named() && c.Pattern == Missing:
		return Clause{SQL: "(" + columns[1] + " IS NULL)"}
	case c.Dimension.property().column == "":
		texts = []string{s.text(c.Dimension, columns)}
	}
	var parts []string
	var args []any
	like, isGlob := glob(c.Pattern)
	missingToo := matchGlob(c.Pattern, Missing)
	for _, text := range texts {
		if missingToo {
			text = fmt.Sprintf("coalesce(%s, '-')", text)
		}
		if isGlob {
			parts, args = append(parts, text+` LIKE ? ESCAPE '\'`), append(args, like)
		} else {
			parts, args = append(parts, text+" = ?"), append(args, like)
		}
	}
	return Clause{SQL: strings.Join(parts, " OR "), Args: args}
}

// timed reports whether the filter depends on the time zone.
func (f Filter) timed() bool {
	return slices.ContainsFunc(f, func(c Condition) bool { return c.Dimension.Timed() })
}

// glob returns a pattern for LIKE or, if it has no star, the value that it selects.
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
		case c == '%' || c == '_' || c == '\\':
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

// Clause is a condition in SQL and its parameters. The zero value is always true.
type Clause struct {
	SQL  string
	Args []any
}

// And returns a condition that holds where both hold.
func (c Clause) And(sql string, args ...any) Clause {
	out := Clause{SQL: sql, Args: append(c.Args[:len(c.Args):len(c.Args)], args...)}
	if c.SQL != "" {
		out.SQL = c.SQL + " AND " + sql
	}
	return out
}

// text returns the condition's SQL, never "".
func (c Clause) text() string {
	if c.SQL == "" {
		return "true"
	}
	return c.SQL
}

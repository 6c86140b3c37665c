package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Canonical returns a normal form of the document: a sorted line for each action on each resource
// by each principal. It is independent of order, Sids, the use of lists for single values, the
// notation of accounts, the case of actions, and how the same grants are distributed over
// statements, except that a statement with more than maxLines grants is a single line. "" means
// that the document allows and denies nothing.
func (d Document) Canonical() string { return d.canonical(strings.ToLower) }

// Show returns Canonical for display: actions and conditions keep their case.
func (d Document) Show() string { return d.canonical(same) }

// ShowOther returns Show of another policy's text, with the case of names taken from d. The
// result equals d.Show() exactly if the policies are equivalent.
func (d Document) ShowOther(text string) string {
	other, err := Parse(text)
	if err != nil {
		return strings.TrimSpace(text)
	}
	mine := map[string]string{}
	for _, s := range d.Statements {
		for _, action := range slices.Concat(s.Actions, s.NotActions) {
			mine[strings.ToLower(action)] = action
		}
		for op, keys := range s.Conditions {
			mine[strings.ToLower(op)] = op
			for key := range keys {
				mine[strings.ToLower(key)] = key
			}
		}
	}
	return other.canonical(func(word string) string {
		if known, ok := mine[strings.ToLower(word)]; ok {
			return known
		}
		return word
	})
}

// canonical applies spell to actions, condition operators and condition keys, which are not
// case-sensitive.
func (d Document) canonical(spell func(string) string) string {
	var lines []string
	for _, s := range d.Statements {
		lines = append(lines, s.canonical(spell)...)
	}
	if len(lines) > 0 && d.Version != Version && strings.Contains(strings.Join(lines, ""), "${") {
		lines = append(lines, "policy variables are not replaced: Version is "+d.Version)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

// maxLines limits the lines of one statement. The sizes of its lists multiply: a policy within
// S3's 20 KB could have millions.
const maxLines = 10_000

func (s Statement) canonical(spell func(string) string) []string {
	when := conditionText(s.Conditions, spell)
	action := func(a string) string { return word(spell(a)) }
	actions := elements("", s.Actions, "all but ", s.NotActions, action)
	resources := elements(" on ", s.Resources, " on all but ", s.NotResources, word)
	principals := elements(" by ", s.Principal.names(), " by all but ", s.NotPrincipal.names(), same)
	if len(actions)*len(resources)*len(principals) > maxLines {
		return []string{s.Effect + " " + strings.Join(actions, ", ") + strings.Join(resources, ",") + strings.Join(principals, ",") + when}
	}
	var lines []string
	for _, action := range actions {
		for _, resource := range resources {
			for _, who := range principals {
				lines = append(lines, s.Effect+" "+action+resource+who+when)
			}
		}
	}
	return lines
}

func same(s string) string { return s }

// word returns a name or a value for use in a line. It quotes one that could be confused with the
// surrounding text, so that different statements never have the same line.
func word(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// elements returns one part for each name, or a single part for all exceptions, or an empty part
// if there are neither.
func elements(with string, names []string, without string, not []string, form func(string) string) []string {
	normal := func(names []string, with string) (all []string) {
		for _, n := range names {
			all = append(all, with+form(n))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	switch {
	case len(not) > 0:
		return []string{without + strings.Join(normal(not, ""), ", ")}
	case len(names) == 0:
		return []string{""}
	}
	return normal(names, with)
}

// names returns the principals in a uniform notation.
func (p Principal) names() []string {
	if p.Any {
		return []string{"*"}
	}
	var all []string
	for _, a := range p.AWS {
		if id, ok := accountOf(a); ok {
			all = append(all, "account "+id)
			continue
		}
		all = append(all, word(a))
	}
	for _, of := range []struct {
		kind  string
		names List
	}{{"", p.Service}, {"federated ", p.Federated}, {"canonical user ", p.CanonicalUser}} {
		for _, name := range of.names {
			all = append(all, of.kind+word(name))
		}
	}
	return all
}

var wholeAccount = regexp.MustCompile(`^(?:arn:aws[a-z-]*:iam::)?([0-9]{12})(?::root)?$`)

// accountOf returns the account id of a principal that represents a whole account.
func accountOf(principal string) (id string, ok bool) {
	m := wholeAccount.FindStringSubmatch(principal)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// conditionText returns " if …" with all conditions, or "" if there are none.
func conditionText(conditions Conditions, spell func(string) string) string {
	var parts []string
	for op, keys := range conditions {
		for key, values := range keys {
			values = slices.Clone(values)
			if strings.HasPrefix(strings.ToLower(op), "bool") || strings.EqualFold(op, "Null") {
				for i := range values {
					values[i] = strings.ToLower(values[i])
				}
			}
			for i := range values {
				values[i] = word(values[i])
			}
			slices.Sort(values)
			parts = append(parts, fmt.Sprintf("%s %s %s", word(spell(op)), word(spell(key)), strings.Join(slices.Compact(values), " or ")))
		}
	}
	if parts == nil {
		return ""
	}
	slices.Sort(parts)
	return " if " + strings.Join(parts, " and ")
}

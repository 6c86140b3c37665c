package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Canonical is what the document means: a sorted line for each action on each resource by
// each principal. Two documents have the same lines when they differ only in order, in Sids, in
// what is a list, in how an account is written, in the case of actions, or in how the same
// grants are spread over statements, but for a statement of more than maxLines grants, which is
// one line. "" allows and denies nothing.
func (d Document) Canonical() string { return d.canonical(strings.ToLower) }

// Show is Canonical for people: actions and conditions are in the case in which the document
// has them.
func (d Document) Show() string { return d.canonical(same) }

// ShowOther is Show of another policy's text, in the case of this document. So it is equal to
// this document's Show exactly when both mean the same.
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

// canonical writes actions, condition operators and condition keys, whose case means nothing,
// with spell.
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

// maxLines is how many lines a statement is spread over. Its lists multiply: within S3's 20 KB
// they could make millions.
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

// word is a name or a value in a line. One that could be taken for the words around it is in
// quotes, so that different statements never have the same line.
func word(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// elements are the parts of a statement that each stand alone, and what is excepted as one.
// A statement that has neither has one empty part.
func elements(with string, names []string, without string, not []string, form func(string) string) []string {
	if len(not) > 0 {
		all := []string{}
		for _, n := range not {
			all = append(all, form(n))
		}
		slices.Sort(all)
		return []string{without + strings.Join(slices.Compact(all), ", ")}
	}
	if len(names) == 0 {
		return []string{""}
	}
	var parts []string
	for _, n := range names {
		parts = append(parts, with+form(n))
	}
	slices.Sort(parts)
	return slices.Compact(parts)
}

// names are the principals, each in one form.
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
	for _, service := range p.Service {
		all = append(all, word(service))
	}
	for _, f := range p.Federated {
		all = append(all, "federated "+word(f))
	}
	for _, u := range p.CanonicalUser {
		all = append(all, "canonical user "+word(u))
	}
	return all
}

var wholeAccount = regexp.MustCompile(`^(?:arn:aws[a-z-]*:iam::)?([0-9]{12})(?::root)?$`)

// accountOf is the account that a principal stands for as a whole.
func accountOf(principal string) (id string, ok bool) {
	m := wholeAccount.FindStringSubmatch(principal)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// conditionText is " if …" with every condition, each of which must hold.
func conditionText(conditions map[string]map[string][]string, spell func(string) string) string {
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

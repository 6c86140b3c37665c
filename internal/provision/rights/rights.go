// Package rights states which IAM actions the commands need for a pipeline, on which resources. One table maps each operation
// that they call to its actions: policies, errors and a test that records all calls read it.
package rights

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// Options select what commands may do.
type Options struct {
	DeleteBucket bool // destroy deletes the bucket with its objects
}

// Needed is the result of Of.
type Needed struct {
	Policy policy.Document
	// Notes list the rights that the policy does not contain and what is missing without them.
	Notes []string
}

// maxManaged is the size of a managed policy in characters, without white space. An inline policy of a role may have 10,240.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxManaged = 6144

// Of returns the least policy for the commands that work on a pipeline. For Init only, d needs no more than its Spec. If the policy
// would be too large for IAM, it names the APIs of stages instead of the stages.
func Of(d *desired.Resources, by Command, o Options) Needed {
	p := pipeline{d, o.DeleteBucket, false}
	var n Needed
	if n.Policy = document(p, by); size(n.Policy) > maxManaged && by&^Init != 0 {
		p.manyStages = true
		if wide := document(p, by); size(wide) < size(n.Policy) {
			n.Policy = wide
			n.Notes = append(n.Notes, fmt.Sprintf("it allows all stages of the APIs, because it would exceed %d characters with the name of each stage", maxManaged))
		}
	}
	if used := size(n.Policy); used > maxManaged {
		n.Notes = append(n.Notes, fmt.Sprintf("it has %d characters without white space, and a managed policy may have %d: make it an inline policy of a role, which may have 10240, or two policies", used, maxManaged))
	}
	n.Notes = append(n.Notes, omitted(p, by, n.Policy)...)
	return n
}

func size(d policy.Document) int {
	return len(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, d.JSON()))
}

// document merges the actions on the same resources into one statement, and then the resources with the same actions.
func document(p pipeline, by Command) policy.Document {
	all := []policy.Statement{}
	add := func(s policy.Statement, same func(policy.Statement) bool, merge func(*policy.Statement)) {
		if i := slices.IndexFunc(all, same); i >= 0 {
			merge(&all[i])
			return
		}
		all = append(all, s)
	}
	for _, u := range uses {
		if u.by&by == 0 || u.purpose != "" || len(u.on.resources(p)) == 0 || u.actions == "" {
			continue
		}
		s := u.on.statement(p, strings.Fields(u.actions))
		add(s, func(other policy.Statement) bool {
			return slices.Equal(s.Resources, other.Resources) && reflect.DeepEqual(s.Conditions, other.Conditions)
		},
			func(other *policy.Statement) { other.Actions = union(other.Actions, s.Actions) })
	}
	statements := all
	all = []policy.Statement{}
	for _, s := range statements {
		add(s, func(other policy.Statement) bool {
			return slices.Equal(s.Actions, other.Actions) && reflect.DeepEqual(s.Conditions, other.Conditions)
		},
			func(other *policy.Statement) { other.Resources = union(other.Resources, s.Resources) })
	}
	for i := 0; i < len(all); i++ {
		if others := slices.Delete(slices.Clone(all), i, i+1); covered(all[i], others) {
			all = others
			i--
		}
	}
	return policy.Document{Version: policy.Version, Statements: all}
}

// covered reports whether others allow all that a statement allows.
func covered(s policy.Statement, others []policy.Statement) bool {
	d := policy.Document{Version: policy.Version, Statements: others}
	for _, action := range s.Actions {
		if slices.ContainsFunc(s.Resources, func(resource string) bool { return !allows(d, action, resource) }) {
			return false
		}
	}
	return true
}

func (on *scope) statement(p pipeline, actions []string) policy.Statement {
	s := policy.Statement{Sid: on.sid, Effect: "Allow", Actions: actions, Resources: on.resources(p)}
	if on.when != nil {
		s.Conditions = on.when(p)
	}
	return s
}

// union returns the sorted elements of both lists.
func union(a, b policy.List) policy.List {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// omitted describes the rights that the policy does not contain, one note for each purpose.
func omitted(p pipeline, by Command, printed policy.Document) (notes []string) {
	purposes := map[string]int{}
	for _, u := range uses {
		if u.by&by == 0 || u.purpose == "" {
			continue
		}
		on := u.on.resources(p)
		if len(on) == 0 || allows(printed, u.actions, on[0]) {
			continue
		}
		if i, ok := purposes[u.purpose]; ok {
			notes[i] = u.actions + " and " + notes[i]
			continue
		}
		purposes[u.purpose] = len(notes)
		notes = append(notes, fmt.Sprintf("%s on %s: left out, as it is needed only %s", u.actions, strings.Join(on, " and "), u.purpose))
	}
	return notes
}

func allows(d policy.Document, action, resource string) bool {
	decision, _ := policy.Evaluate([]policy.Document{d}, policy.Request{Action: action, Resource: resource})
	return decision == policy.Allow
}

// Action returns the IAM action of an operation, "" if it is not known.
func Action(operation string) string {
	for _, u := range uses {
		if u.operation == operation {
			action, _, _ := strings.Cut(u.actions, " ")
			return action
		}
	}
	if action, ok := otherActions[operation]; ok {
		return action
	}
	service, name := cutName(operation)
	if prefix, ok := prefixes[service]; ok {
		return prefix + ":" + name
	}
	return ""
}

// cutName returns the service ID and the name of an operation.
func cutName(operation string) (service, name string) {
	i := strings.LastIndexByte(operation, ' ')
	return operation[:max(i, 0)], operation[i+1:]
}

// reads reports whether an operation changes nothing.
func reads(operation string) bool {
	_, name := cutName(operation)
	return slices.ContainsFunc([]string{"Get", "List", "Describe", "Head", "Filter"}, func(verb string) bool { return strings.HasPrefix(name, verb) })
}

// Step is a change of one resource that is still to be made.
type Step struct {
	Kind    string // of the resource, like "IAM role"
	Creates bool
	Empties bool // also deletes the bucket's objects
}

// Writes returns the actions that a command needs for changes, sorted. It leaves out those that only create for a resource that
// exists, and those that only update for one that does not. d may be nil.
func Writes(d *desired.Resources, by Command, steps []Step) (actions []string) {
	p := pipeline{d, true, false}
	for _, u := range uses {
		if u.by&by != 0 && (d == nil || len(u.on.resources(p)) > 0) && u.purpose == "" && !reads(u.operation) && slices.ContainsFunc(steps, func(s Step) bool { return s.takes(u) }) {
			actions = append(actions, strings.Fields(u.actions)...)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

func (on *scope) covers(kind string) bool {
	return on.kind == kind || on.kind == kindCatalog && strings.HasPrefix(kind, kindCatalog)
}

func (s Step) takes(u use) bool {
	if u.on.kind == kindEmptied {
		return s.Empties
	}
	_, name := cutName(u.operation)
	creates, updates := strings.HasPrefix(name, "Create"), regexp.MustCompile("^(Update|Tag|Untag|Delete)").MatchString(name)
	switch {
	case !u.on.covers(s.Kind) || creates && !s.Creates:
		return false
	case s.Kind == kindStage: // stages are never created
		return true
	}
	return !updates || !s.Creates
}

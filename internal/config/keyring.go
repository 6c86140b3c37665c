package config

import "slices"

// keyRing finds customers and keys that come twice. Its messages name lines, never keys.
type keyRing struct {
	byName map[string]keyUse
	byID   map[string]keyUse
	byKey  map[Secret][]keyUse
}

// keyUse is one customer in one usage plan.
type keyUse struct {
	Customer
	line   int
	plan   string // path of the plan in the file
	stages []StageRef
}

func newKeyRing() *keyRing {
	return &keyRing{byName: map[string]keyUse{}, byID: map[string]keyUse{}, byKey: map[Secret][]keyUse{}}
}

// add looks at the customer c of the value v against those before it.
func (k *keyRing) add(v, plan value, c Customer, stages []StageRef) {
	if c.Key == "" || c.Name == "" {
		return // said already
	}
	for _, other := range k.byKey[c.Key] {
		if other.Name != c.Name {
			v.wrong("", "this key is that of another customer in line %d: a request has one customer", other.line)
			return
		}
		if other.plan == plan.path {
			v.wrong("", "this customer is in the usage plan already, in line %d", other.line)
			return
		}
		if slices.ContainsFunc(stages, func(s StageRef) bool { return slices.Contains(other.stages, s) }) {
			v.wrong("", "this key has a usage plan for the same stage in line %d: a key has one plan in each stage", other.line)
			return
		}
	}
	if other, ok := k.byName[c.Name]; ok && other.Key != c.Key {
		v.unwise("give each key its own name", "the customer of this name has another key in line %d: both count as one customer", other.line)
	}
	if other, ok := k.byID[c.ID]; ok && c.ID != "" && other.Key != c.Key {
		v.wrong("", "this id is that of another key in line %d", other.line)
	}
	use := keyUse{Customer: c, plan: plan.path, stages: stages}
	if v.at != nil {
		use.line = v.at.Line
	}
	k.byName[c.Name], k.byID[c.ID] = use, use
	k.byKey[c.Key] = append(k.byKey[c.Key], use)
}

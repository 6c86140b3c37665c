package config

import (
	"slices"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
	"github.com/stagelog/stagelog/internal/record"
)

// keyRing finds duplicate customers and keys. Its messages name lines, never keys.
type keyRing struct {
	byName map[string]keyUse
	byID   map[string]keyUse
	byKey  map[Secret][]keyUse
}

// keyUse represents one customer in one usage plan.
type keyUse struct {
	Customer
	line   int
	plan   int // the number of its usage plan in the file
	stages []record.StageRef
}

func newKeyRing() *keyRing {
	return &keyRing{byName: map[string]keyUse{}, byID: map[string]keyUse{}, byKey: map[Secret][]keyUse{}}
}

// add compares the customer c, read from v, with those added before.
func (k *keyRing) add(v yamlfile.Value, plan int, c Customer, stages []record.StageRef) {
	if c.Key == "" || c.Name == "" {
		return // reported by readCustomer
	}
	for _, other := range k.byKey[c.Key] {
		if other.Name != c.Name {
			v.Problemf("", "another customer has the same key on line %d", other.line)
			return
		}
		if other.plan == plan {
			v.Problemf("", "the usage plan already has this customer on line %d", other.line)
			return
		}
		if slices.ContainsFunc(stages, func(s record.StageRef) bool { return slices.Contains(other.stages, s) }) {
			v.Problemf("", "the key already has a usage plan for this stage on line %d: a key can have only one plan per stage", other.line)
			return
		}
	}
	if other, ok := k.byName[c.Name]; ok && other.Key != c.Key {
		v.Warnf("give each key its own name", "a customer of the same name has another key on line %d: both count as one customer", other.line)
	}
	if other, ok := k.byID[c.ID]; ok && c.ID != "" && other.Key != c.Key {
		v.Problemf("", "another key has the same id on line %d", other.line)
	}
	use := keyUse{Customer: c, line: v.Line(), plan: plan, stages: stages}
	k.byName[c.Name], k.byID[c.ID] = use, use
	k.byKey[c.Key] = append(k.byKey[c.Key], use)
}

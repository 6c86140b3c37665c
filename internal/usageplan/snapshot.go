package usageplan

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// Plan is a usage plan and its stages.
type Plan struct {
	ID, Name string
	Stages   []record.StageRef
}

// Key is an API key, without its value.
type Key struct {
	ID    string
	Name  string   // the customer; "" means the id, because API Gateway allows keys without a name
	Plans []string // the ids of its usage plans
}

// Listing holds all plans and keys of a source, in no particular order.
type Listing struct {
	Plans []Plan
	Keys  []Key
}

// Limits for keeping deleted keys: long enough to reprocess the error output of the last quarter, and
// bounded for accounts with many deletions.
const (
	rememberFor  = 90 * 24 * time.Hour
	rememberKeys = 50_000
)

// Snapshot is the index at one point in time. It is immutable and safe for parallel use.
type Snapshot struct {
	at    time.Time // of the listing
	whole bool      // from a complete listing, not only single lookups
	plans []Plan    // their stages are sorted
	keys  map[string]entry
	gone  int // entries of deleted keys
}

// entry is a key. Its plans are indexes into Snapshot.plans.
type entry struct {
	name  string
	plans []uint32
	gone  int64 // Unix seconds of the first listing without it; 0 if it exists
}

// NewSnapshot returns the snapshot of a listing that was read at the given time. It keeps the keys of
// prev, which may be nil, that the listing does not contain, with their names and plans.
func NewSnapshot(at time.Time, l Listing, prev *Snapshot) *Snapshot {
	s := &Snapshot{at: at, whole: true, keys: make(map[string]entry, len(l.Keys))}
	index := make(map[string]uint32, len(l.Plans))
	for _, p := range l.Plans {
		s.addPlan(index, p)
	}
	s.add(index, l.Keys)
	if prev != nil {
		s.remember(prev, index)
	}
	return s
}

// With returns a snapshot that also contains these plans and keys, which replace those with the same
// id. It keeps the age of s, because the other keys are not newer.
func (s *Snapshot) With(plans []Plan, keys []Key) *Snapshot {
	next := &Snapshot{keys: make(map[string]entry, len(keys))}
	if s != nil {
		next.at, next.whole, next.gone = s.at, s.whole, s.gone
		next.plans, next.keys = slices.Clone(s.plans), maps.Clone(s.keys)
	}
	index := next.planIndex()
	for _, p := range plans {
		next.addPlan(index, p)
	}
	next.add(index, keys)
	return next
}

// planIndex returns the position of each plan by its id.
func (s *Snapshot) planIndex() map[string]uint32 {
	index := make(map[string]uint32, len(s.plans))
	for i, p := range s.plans {
		index[p.ID] = uint32(i)
	}
	return index
}

// addPlan adds a plan, or replaces the one with the same id.
func (s *Snapshot) addPlan(index map[string]uint32, p Plan) {
	p.Stages = slices.SortedFunc(slices.Values(p.Stages), compareStages)
	if i, ok := index[p.ID]; ok {
		s.plans[i] = p
		return
	}
	index[p.ID] = uint32(len(s.plans))
	s.plans = append(s.plans, p)
}

// add adds keys. A key that is listed twice gets the plans of both.
func (s *Snapshot) add(index map[string]uint32, keys []Key) {
	fresh := make(map[string]bool, len(keys))
	for _, k := range keys {
		old := s.keys[k.ID]
		e := entry{name: k.Name}
		if fresh[k.ID] {
			e.plans = old.plans
		} else if old.gone != 0 {
			s.gone--
		}
		for _, id := range k.Plans {
			if i, ok := index[id]; ok && !slices.Contains(e.plans, i) {
				e.plans = append(e.plans, i)
			}
		}
		if e.name == "" {
			e.name = k.ID
		}
		fresh[k.ID] = true
		s.keys[k.ID] = e
	}
}

// remember copies the keys of prev that s does not contain.
func (s *Snapshot) remember(prev *Snapshot, index map[string]uint32) {
	type missing struct {
		id string
		entry
	}
	var all []missing
	for id, e := range prev.keys {
		if _, ok := s.keys[id]; ok {
			continue
		}
		if e.gone == 0 {
			e.gone = s.at.Unix()
		}
		if s.at.Sub(time.Unix(e.gone, 0)) <= rememberFor {
			all = append(all, missing{id, e})
		}
	}
	if len(all) > rememberKeys {
		slices.SortFunc(all, func(a, b missing) int { return int(b.gone - a.gone) })
		all = all[:rememberKeys]
	}
	for _, m := range all {
		plans := make([]uint32, len(m.plans))
		for k, i := range m.plans {
			p := prev.plans[i]
			if _, ok := index[p.ID]; !ok {
				s.addPlan(index, p) // the plan was deleted too
			}
			plans[k] = index[p.ID]
		}
		m.plans = plans
		s.keys[m.id] = m.entry
	}
	s.gone = len(all)
}

// sameContent reports whether two snapshots have the same plans and keys. Their times may differ.
func (s *Snapshot) sameContent(o *Snapshot) bool {
	if s.whole != o.whole || len(s.plans) != len(o.plans) {
		return false
	}
	others := o.planIndex()
	for _, p := range s.plans {
		i, ok := others[p.ID]
		if !ok || p.Name != o.plans[i].Name || !slices.Equal(p.Stages, o.plans[i].Stages) {
			return false
		}
	}
	return maps.EqualFunc(s.keys, o.keys, func(a, b entry) bool {
		return a.name == b.name && a.gone == b.gone &&
			slices.EqualFunc(a.plans, b.plans, func(i, k uint32) bool { return s.plans[i].ID == o.plans[k].ID })
	})
}

// At returns the time of the listing.
func (s *Snapshot) At() time.Time { return s.at }

// Len returns the number of keys and plans, including deleted ones that are kept.
func (s *Snapshot) Len() (keys, plans int) { return len(s.keys), len(s.plans) }

// noPlan is what find returns without a plan. It is read-only.
var noPlan Plan

// find does the same as Lookup, and also reports whether a plan covers exactly this stage.
func (s *Snapshot) find(keyID, apiID, stage []byte) (plan *Plan, customer string, known, exact bool) {
	e, ok := s.keys[string(keyID)]
	if !ok {
		return &noPlan, "", false, false
	}
	if len(apiID) == 0 || len(stage) == 0 {
		return s.onlyPlan(e.plans, apiID, stage), e.name, true, false
	}
	for _, i := range e.plans {
		if p := &s.plans[i]; p.covers(apiID, stage) {
			return p, e.name, true, true
		}
	}
	return &noPlan, e.name, true, false
}

// onlyPlan returns the plan that covers an API or a stage of which one or both are empty, or noPlan if several do.
func (s *Snapshot) onlyPlan(plans []uint32, apiID, stage []byte) *Plan {
	found := &noPlan
	for _, i := range plans {
		p := &s.plans[i]
		covered := len(apiID) == 0 && len(stage) == 0 || slices.ContainsFunc(p.Stages, func(at record.StageRef) bool {
			return (len(apiID) == 0 || at.API == string(apiID)) && (len(stage) == 0 || at.Stage == string(stage))
		})
		if covered && found != &noPlan {
			return &noPlan
		}
		if covered {
			found = p
		}
	}
	return found
}

// Lookup returns the plan of this key that covers this API and stage. A plan that does not cover them did not admit the
// request, even if it is the key's only one. If apiID or stage is empty because the record does not have it, Lookup ignores it
// and returns a plan only if no other one is possible.
func (s *Snapshot) Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool) {
	p, customer, known, _ := s.find(keyID, apiID, stage)
	return p.Name, p.ID, customer, known
}

// covers reports whether the plan, whose stages are sorted, has the stage. It does not allocate.
func (p *Plan) covers(apiID, stage []byte) bool {
	if len(p.Stages) <= 8 { // faster than a search
		for i := range p.Stages {
			if at := &p.Stages[i]; at.Stage == string(stage) && at.API == string(apiID) {
				return true
			}
		}
		return false
	}
	low, high := 0, len(p.Stages)
	for low < high {
		mid := int(uint(low+high) >> 1)
		at := &p.Stages[mid]
		switch {
		case at.API == string(apiID) && at.Stage == string(stage):
			return true
		case at.API < string(apiID) || at.API == string(apiID) && at.Stage < string(stage):
			low = mid + 1
		default:
			high = mid
		}
	}
	return false
}

func compareStages(a, b record.StageRef) int {
	return cmp.Or(strings.Compare(a.API, b.API), strings.Compare(a.Stage, b.Stage))
}

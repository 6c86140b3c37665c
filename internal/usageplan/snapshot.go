package usageplan

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/record"
)

// Plan is a usage plan and the stages that it covers.
type Plan struct {
	ID, Name string
	Stages   []record.StageRef
}

// Key is an API key, without its value.
type Key struct {
	ID    string
	Name  string   // the customer; the id stands in where a key has no name, as API Gateway allows
	Plans []string // the ids of its usage plans
}

// Listing is everything that a source knows, in no particular order.
type Listing struct {
	Plans []Plan
	Keys  []Key
}

// How long, and how many, deleted keys are remembered: long enough to enrich a replay of last
// quarter's error output, and bounded whatever is done to the account.
const (
	rememberFor  = 90 * 24 * time.Hour
	rememberKeys = 50_000
)

// Snapshot is the index at one time. It is immutable and safe for parallel use.
type Snapshot struct {
	at    time.Time // of the listing
	whole bool      // a full listing, not only keys that were looked up one by one
	plans []Plan    // stages sorted
	keys  map[string]entry
	gone  int // entries that are remembered
}

// entry is a key. Its plans are indexes into Snapshot.plans.
type entry struct {
	name  string
	plans []uint32
	gone  int64 // when it was first missing from a listing, Unix seconds; 0 while it is there
}

// NewSnapshot builds the snapshot of a listing that was read at a time. Keys that prev, which may be
// nil, has and the listing has not are remembered with the name and the plans that they had.
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

// With returns a snapshot that also has these plans and keys, which replace those of the same id. It
// is as old as s: single keys do not make the others newer.
func (s *Snapshot) With(plans []Plan, keys []Key) *Snapshot {
	next := &Snapshot{keys: make(map[string]entry, len(keys))}
	if s != nil {
		next.at, next.whole, next.gone = s.at, s.whole, s.gone
		next.plans, next.keys = slices.Clone(s.plans), maps.Clone(s.keys)
	}
	index := make(map[string]uint32, len(next.plans)+len(plans))
	for i, p := range next.plans {
		index[p.ID] = uint32(i)
	}
	for _, p := range plans {
		next.addPlan(index, p)
	}
	next.add(index, keys)
	return next
}

// addPlan adds a plan, or replaces the one of the same id.
func (s *Snapshot) addPlan(index map[string]uint32, p Plan) {
	p.Stages = slices.Clone(p.Stages)
	slices.SortFunc(p.Stages, compareStages)
	if i, ok := index[p.ID]; ok {
		s.plans[i] = p
		return
	}
	index[p.ID] = uint32(len(s.plans))
	s.plans = append(s.plans, p)
}

// add adds keys. One that is listed twice is in the plans of both.
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

// remember takes over what prev knows of keys that s has not.
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
				s.addPlan(index, p) // the plan is deleted too
			}
			plans[k] = index[p.ID]
		}
		m.plans = plans
		s.keys[m.id] = m.entry
	}
	s.gone = len(all)
}

// At is when the listing was read.
func (s *Snapshot) At() time.Time { return s.at }

// Len returns the number of keys and of plans, remembered ones included.
func (s *Snapshot) Len() (keys, plans int) { return len(s.keys), len(s.plans) }

// find is Lookup, with exact saying whether a plan covers this very stage.
func (s *Snapshot) find(keyID, apiID, stage []byte) (plan *Plan, customer string, known, exact bool) {
	e, ok := s.keys[string(keyID)]
	if !ok {
		return nil, "", false, false
	}
	for _, i := range e.plans {
		if p := &s.plans[i]; p.covers(apiID, stage) {
			return p, e.name, true, true
		}
	}
	if len(e.plans) == 1 {
		return &s.plans[e.plans[0]], e.name, true, false
	}
	return nil, e.name, true, false
}

// Lookup returns the plan of this key for this API and stage: the one of its plans that covers the
// stage, else its only plan (the plan may have been edited since), else none.
func (s *Snapshot) Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool) {
	p, customer, known, _ := s.find(keyID, apiID, stage)
	if p == nil {
		return "", "", customer, known
	}
	return p.Name, p.ID, customer, known
}

// covers searches the sorted stages without allocating. Most plans cover a few.
func (p *Plan) covers(apiID, stage []byte) bool {
	if len(p.Stages) <= 8 {
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
	if c := strings.Compare(a.API, b.API); c != 0 {
		return c
	}
	return strings.Compare(a.Stage, b.Stage)
}

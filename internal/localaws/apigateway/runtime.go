package apigateway

import (
	"crypto/sha256"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/apigateway/usage"
	"github.com/stagelog/stagelog/internal/record"
)

// valueHash is the hash of an API key's value. The time of a lookup by hash does not reveal how much of a
// guessed value is right.
type valueHash [sha256.Size]byte

func hashValue(value string) valueHash { return sha256.Sum256([]byte(value)) }

// runtime holds the copies that the Runtime methods read. They change under Service.mu.
type runtime struct {
	stages  shards[record.StageRef, *StageView]
	keys    shards[valueHash, KeyView]
	byID    shards[string, KeyView]
	plans   shards[string, *planRuntime]
	plansOf shards[string, []string] // key id -> plan ids; the slices are immutable
}

// planRuntime is a usage plan prepared for lookups.
type planRuntime struct {
	stages     map[record.StageRef]PlanView
	quota      *Quota
	quotaSince time.Time
}

func (r *runtime) init() {
	r.stages.init()
	r.keys.init()
	r.byID.init()
	r.plans.init()
	r.plansOf.init()
}

// Route implements Runtime.
func (s *Service) Route(apiID, stage string) (*StageView, bool) {
	return s.rt.stages.get(record.StageRef{API: apiID, Stage: stage})
}

// Stages lists the deployed stages. Like the Runtime methods it does not lock.
func (s *Service) Stages() []*StageView { return s.rt.stages.values() }

// Key implements Runtime.
func (s *Service) Key(value string) (KeyView, bool) { return s.rt.keys.get(hashValue(value)) }

// KeyByID finds an API key by its id, including one created just now. Like the Runtime methods it does
// not lock.
func (s *Service) KeyByID(id string) (KeyView, bool) { return s.rt.byID.get(id) }

// PlanFor implements Runtime.
func (s *Service) PlanFor(keyID, apiID, stage string) (PlanView, bool) {
	ids, _ := s.rt.plansOf.get(keyID)
	for _, id := range ids {
		if p, ok := s.rt.plans.get(id); ok {
			if view, ok := p.stages[record.StageRef{API: apiID, Stage: stage}]; ok {
				return view, true
			}
		}
	}
	return PlanView{}, false
}

// Take implements Runtime.
func (s *Service) Take(planID, keyID string, at time.Time) bool {
	p, ok := s.rt.plans.get(planID)
	switch {
	case !ok: // deleted meanwhile
		return true
	case p.quota == nil:
		s.usage.Add(planID, keyID, usage.DayOf(at))
		return true
	}
	start := p.quota.Start(at)
	return s.usage.Take(planID, keyID, usage.DayOf(at), usage.DayOf(start), p.quota.limitAt(start, p.quotaSince))
}

// limitAt returns the limit of the period that begins at start. The offset applies to the period in
// which the quota was set.
func (q Quota) limitAt(start, since time.Time) int64 {
	if q.Offset > 0 && q.Start(since).Equal(start) {
		return max(0, q.Limit-int64(q.Offset))
	}
	return q.Limit
}

// Count implements Runtime.
func (s *Service) Count(planID, keyID string, at time.Time) {
	if _, ok := s.rt.plans.get(planID); ok {
		s.usage.Add(planID, keyID, usage.DayOf(at))
	}
}

// Used implements Runtime.
func (s *Service) Used(planID, keyID string, from, to time.Time) int64 {
	return s.usage.Used(planID, keyID, usage.DayOf(from), usage.DayOf(to))
}

// showKey adds a key to the view. The caller holds mu or is loading.
func (s *Service) showKey(k *apiKey) {
	view := KeyView{ID: k.ID, Name: k.Name, Enabled: k.Enabled}
	s.rt.keys.set(hashValue(k.Value), view)
	s.rt.byID.set(k.ID, view)
}

func (s *Service) hideKey(k *apiKey) {
	s.rt.keys.remove(hashValue(k.Value))
	s.rt.byID.remove(k.ID)
}

// showMember adds a key to a plan of the view, or removes it.
func (s *Service) showMember(planID, keyID string, in bool) {
	s.rt.plansOf.update(keyID, func(old []string) ([]string, bool) {
		ids := slices.DeleteFunc(slices.Clone(old), func(id string) bool { return id == planID })
		if in {
			ids = append(ids, planID)
		}
		return ids, len(ids) > 0
	})
}

func (s *Service) showPlan(p *plan) {
	rp := &planRuntime{stages: make(map[record.StageRef]PlanView, len(p.Stages)), quota: p.Quota, quotaSince: p.QuotaSince}
	for _, st := range p.Stages {
		rp.stages[record.StageRef{API: st.API, Stage: st.Stage}] = PlanView{
			ID: p.ID, Name: p.Name, Throttle: p.Throttle, Quota: p.Quota, Methods: st.Throttle,
		}
	}
	s.rt.plans.set(p.ID, rp)
}

// showStage adds a stage and its deployment to the view. The caller holds mu or is loading.
func (s *Service) showStage(st *stage) {
	a, d := s.apis[st.API], s.deployments[st.API][st.DeploymentID]
	v := &StageView{
		APIID: a.ID, APIName: a.Name, Stage: st.Name, DeploymentID: d.ID, KeySource: d.KeySource, Variables: st.Variables,
	}
	if st.AccessLog != nil {
		v.AccessLog = *st.AccessLog
	}
	for _, r := range d.Resources {
		v.Routes = append(v.Routes, newRoute(r, st))
	}
	slices.SortFunc(v.Routes, func(a, b Route) int { return comparePaths(a.Segments, b.Segments) })
	s.rt.stages.set(record.StageRef{API: st.API, Stage: st.Name}, v)
}

func newRoute(r *resource, st *stage) Route {
	route := Route{ResourceID: r.ID, Path: r.Path, Segments: segmentsOf(r.Path), Methods: make(map[string]Method, len(r.Methods))}
	for name, m := range r.Methods {
		route.Methods[name] = Method{
			HTTPMethod: name, APIKeyRequired: m.APIKeyRequired,
			Throttle: st.throttleOf(r.Path, name), Integration: m.Integration.view(st.Variables),
		}
	}
	return route
}

func segmentsOf(path string) []Segment {
	var out []Segment
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		name, isParam := strings.CutPrefix(part, "{")
		switch {
		case part == "":
		case isParam:
			name = strings.TrimSuffix(name, "}")
			name, greedy := strings.CutSuffix(name, "+")
			out = append(out, Segment{Param: name, Greedy: greedy})
		default:
			out = append(out, Segment{Literal: part})
		}
	}
	return out
}

// comparePaths orders literals before parameters before greedy parameters, segment by segment.
func comparePaths(a, b []Segment) int {
	return slices.CompareFunc(a, b, func(x, y Segment) int {
		if c := x.rank() - y.rank(); c != 0 {
			return c
		}
		return strings.Compare(x.Literal+x.Param, y.Literal+y.Param)
	})
}

func (s Segment) rank() int {
	switch {
	case s.Greedy:
		return 2
	case s.Param != "":
		return 1
	}
	return 0
}

const shardCount = 256

// shards is a map with lock-free reads. A change copies one shard: forty entries of ten thousand.
type shards[K comparable, V any] struct {
	seed   maphash.Seed
	mu     sync.Mutex // held by writers
	shards [shardCount]atomic.Pointer[map[K]V]
}

func (s *shards[K, V]) init() { s.seed = maphash.MakeSeed() }

func (s *shards[K, V]) shard(k K) *atomic.Pointer[map[K]V] {
	return &s.shards[maphash.Comparable(s.seed, k)%shardCount]
}

func (s *shards[K, V]) get(k K) (v V, ok bool) {
	if m := s.shard(k).Load(); m != nil {
		v, ok = (*m)[k]
	}
	return v, ok
}

func (s *shards[K, V]) values() (all []V) {
	for i := range s.shards {
		if m := s.shards[i].Load(); m != nil {
			all = slices.AppendSeq(all, maps.Values(*m))
		}
	}
	return all
}

// update replaces the value under k with the one that change returns, or removes it if keep is false.
func (s *shards[K, V]) update(k K, change func(old V) (v V, keep bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.shard(k)
	next := map[K]V{}
	if m := at.Load(); m != nil {
		next = maps.Clone(*m)
	}
	if v, keep := change(next[k]); keep {
		next[k] = v
	} else {
		delete(next, k)
	}
	at.Store(&next)
}

func (s *shards[K, V]) set(k K, v V) { s.update(k, func(V) (V, bool) { return v, true }) }
func (s *shards[K, V]) remove(k K)   { s.update(k, func(old V) (V, bool) { return old, false }) }

package apigateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/record"
)

// Plans lists the usage plans with their stages and keys, sorted by name, then id.
func (s *Service) Plans() []PlanInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]PlanInfo, 0, len(s.plans))
	for _, p := range s.plans {
		info := PlanInfo{ID: p.ID, Name: p.Name}
		for _, st := range p.Stages {
			info.Stages = append(info.Stages, record.StageRef{API: st.API, Stage: st.Stage})
		}
		var keys []*apiKey
		for keyID := range s.members[p.ID] {
			keys = append(keys, s.keys[keyID])
		}
		info.Keys = keyInfos(keys)
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b PlanInfo) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return out
}

// Keys lists the API keys without their values, sorted by name, then id.
func (s *Service) Keys() []KeyInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return keyInfos(slices.Collect(maps.Values(s.keys)))
}

func keyInfos(keys []*apiKey) []KeyInfo {
	out := make([]KeyInfo, len(keys))
	for i, k := range keys {
		out[i] = KeyInfo{ID: k.ID, Name: k.Name, CustomerID: k.CustomerID, Enabled: k.Enabled}
	}
	slices.SortFunc(out, func(a, b KeyInfo) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return out
}

package apigateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/apigateway/usage"
	"github.com/stagelog/stagelog/internal/localaws/documents"
	"github.com/stagelog/stagelog/internal/record"
)

// resources holds the documents by id. Every document's owner is in it: the deployment's API, the stage's deployment, the
// member's plan and key.
type resources struct {
	apis        map[string]*restAPI
	deployments map[string]map[string]*deployment // by API
	stages      map[string]map[string]*stage      // by API
	keys        map[string]*apiKey
	keyByHash   map[valueHash]string // key id
	plans       map[string]*plan
	members     map[string]map[string]*member // plan id, key id
}

func newResources() resources {
	return resources{
		apis: map[string]*restAPI{}, deployments: map[string]map[string]*deployment{}, stages: map[string]map[string]*stage{},
		keys: map[string]*apiKey{}, keyByHash: map[valueHash]string{}, plans: map[string]*plan{}, members: map[string]map[string]*member{},
	}
}

// decode decodes the document of a key, by the key's kind.
func decode(key string, value []byte) (any, error) {
	kind, _, _ := strings.Cut(key, "/")
	switch kind {
	case kindAPI:
		return documents.Decode[restAPI](key, value)
	case kindDeployment:
		return documents.Decode[deployment](key, value)
	case kindStage:
		return documents.Decode[stage](key, value)
	case kindKey:
		return documents.Decode[apiKey](key, value)
	case kindPlan:
		return documents.Decode[plan](key, value)
	case kindMember:
		return documents.Decode[member](key, value)
	}
	return nil, fmt.Errorf("document %s is of an unknown kind", key)
}

// applyChanges implements the callback of documents.Share. The caller holds mu.
func (s *Service) applyChanges(_ context.Context, changes []documents.Change) error {
	changed := false
	for _, c := range changes {
		if usage.IsKey(c.Key) {
			continue
		}
		changed = true
		if c.Value == nil {
			delete(s.docs, c.Key)
			continue
		}
		doc, err := decode(c.Key, c.Value)
		if err != nil {
			s.log.Error("change of another process ignored", "error", err)
			continue
		}
		s.docs[c.Key] = doc
	}
	if changed {
		s.derive()
	}
	return nil
}

// changed implements the second callback of documents.Share, which holds no lock.
func (s *Service) changed(_ context.Context, changes []documents.Change) {
	definitions := false
	for _, c := range changes {
		if !usage.IsKey(c.Key) {
			definitions = true
			continue
		}
		if err := s.usage.Merge(c.Key, c.Value, c.Rev); err != nil {
			s.log.Error("usage of another process ignored", "error", err)
		}
	}
	if definitions {
		s.notify()
	}
}

// derive makes the resources and the view match docs. It returns the keys of the documents without an owner, which it leaves
// out: other processes may be writing or deleting the owner. The caller holds mu or is loading.
func (s *Service) derive() (orphans []string) {
	old := s.resources
	s.resources = newResources()
	for _, doc := range s.docs {
		switch doc := doc.(type) {
		case *restAPI:
			s.apis[doc.ID] = doc
		case *apiKey:
			s.keys[doc.ID] = doc
			s.keyByHash[hashValue(doc.Value)] = doc.ID
		case *plan:
			s.plans[doc.ID] = doc
		}
	}
	for key, doc := range s.docs {
		switch doc := doc.(type) {
		case *deployment:
			if s.apis[doc.API] == nil {
				orphans = append(orphans, key)
				continue
			}
			inner(s.deployments, doc.API)[doc.ID] = doc
		case *member:
			ids := strings.Split(key, "/") // the kind, the plan, the key
			if len(ids) != 3 || s.plans[ids[1]] == nil || s.keys[ids[2]] == nil {
				orphans = append(orphans, key)
				continue
			}
			inner(s.members, ids[1])[ids[2]] = doc
		}
	}
	for key, doc := range s.docs {
		st, ok := doc.(*stage)
		switch {
		case !ok:
		case s.deployments[st.API][st.DeploymentID] == nil:
			orphans = append(orphans, key)
		default:
			inner(s.stages, st.API)[st.Name] = st
		}
	}
	s.showDifferences(old)
	return orphans
}

// showDifferences updates the view from the old resources to the current ones.
func (s *Service) showDifferences(old resources) {
	for id, k := range old.keys {
		if now := s.keys[id]; now == nil || now.Value != k.Value {
			s.hideKey(k)
		}
	}
	for id, k := range s.keys {
		if old.keys[id] != k {
			s.showKey(k)
		}
	}
	for id := range old.plans {
		if s.plans[id] == nil {
			s.rt.plans.remove(id)
			s.usage.Drop(id)
		}
	}
	for id, p := range s.plans {
		if old.plans[id] != p {
			s.showPlan(p)
		}
	}
	s.showMembers(old)
	for api, stages := range old.stages {
		for name := range stages {
			if s.stages[api][name] == nil {
				s.rt.stages.remove(record.StageRef{API: api, Stage: name})
			}
		}
	}
	for api, stages := range s.stages {
		for name, st := range stages {
			if old.stages[api][name] != st || old.apis[api] != s.apis[api] || old.deployments[api][st.DeploymentID] != s.deployments[api][st.DeploymentID] {
				s.showStage(st)
			}
		}
	}
}

func (s *Service) showMembers(old resources) {
	for planID, members := range old.members {
		for keyID := range members {
			if s.members[planID][keyID] == nil {
				s.showMember(planID, keyID, false)
			}
		}
	}
	for planID, members := range s.members {
		for keyID := range members {
			if old.members[planID][keyID] == nil {
				s.showMember(planID, keyID, true)
			}
		}
	}
}

package apigateway

import (
	"context"
	"strings"

	"github.com/stagelog/stagelog/internal/localaws/apigateway/usage"
)

// planKeyWire is AWS's UsagePlanKey. AWS returns the value in lists too, and has no way to omit it.
type planKeyWire struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Value string `json:"value"`
	Name  string `json:"name,omitempty"`
}

func (k *apiKey) planWire() planKeyWire {
	return planKeyWire{ID: k.ID, Type: planKeyType, Value: k.Value, Name: k.Name}
}

func (s *Service) createUsagePlanKey(c *call) (any, error) {
	var in struct {
		KeyID   string `json:"keyId"`
		KeyType string `json:"keyType"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	p, err := s.planOf(c)
	if err != nil {
		return nil, err
	}
	if in.KeyType != planKeyType {
		return nil, badRequest("Invalid key type specified, must be %s", planKeyType)
	}
	k, err := s.key(in.KeyID)
	if err != nil {
		return nil, err
	}
	return answer(k, s.addMember(c.Context(), p, k, &member{Since: s.now()}), (*apiKey).planWire)
}

// addMember adds a key to a plan, unless another plan of the key covers one of the stages. The caller
// holds mu.
func (s *Service) addMember(ctx context.Context, p *plan, k *apiKey, m *member) error {
	if s.members[p.ID][k.ID] != nil {
		return conflict("API Key %s is already associated with Usage Plan %s", k.ID, p.ID)
	}
	if ids, _ := s.rt.plansOf.get(k.ID); len(ids) >= maxPlansPerKey {
		return limitExceeded("Maximum number of Usage Plans for this API Key has been reached")
	}
	if err := s.checkOnePlan(p.ID, k.ID, p.Stages); err != nil {
		return err
	}
	if err := s.save(ctx, docKey(kindMember, p.ID, k.ID), m); err != nil {
		return err
	}
	inner(s.members, p.ID)[k.ID] = m
	s.showMember(p.ID, k.ID, true)
	return nil
}

// dropMember removes a key from a plan. The caller holds mu.
func (s *Service) dropMember(ctx context.Context, planID, keyID string) error {
	if err := s.erase(ctx, docKey(kindMember, planID, keyID)); err != nil {
		return err
	}
	delete(s.members[planID], keyID)
	s.showMember(planID, keyID, false)
	return nil
}

// getUsagePlanKeys returns an empty list for an unknown plan, as recorded from AWS.
func (s *Service) getUsagePlanKeys(c *call) (any, error) {
	prefix := c.query("name")
	var all []*apiKey
	for keyID := range s.members[c.PathValue("plan")] {
		if k := s.keys[keyID]; strings.HasPrefix(k.Name, prefix) {
			all = append(all, k)
		}
	}
	return pageOf(c, all, (*apiKey).order, (*apiKey).planWire)
}

// planKey finds a key in a plan. The caller holds mu.
func (s *Service) planKey(c *call) (*apiKey, error) {
	p, err := s.planOf(c)
	if err != nil {
		return nil, err
	}
	if s.members[p.ID][c.PathValue("key")] == nil {
		return nil, notFound("Invalid Usage Plan Key identifier specified")
	}
	return s.keys[c.PathValue("key")], nil
}

func (s *Service) deleteUsagePlanKey(c *call) (any, error) {
	k, err := s.planKey(c)
	if err != nil {
		return nil, err
	}
	return nil, s.dropMember(c.Context(), c.PathValue("plan"), k.ID)
}

// maxUsageDays is the longest date range that GetUsage accepts.
const maxUsageDays = 90

// usageWire is AWS's Usage. Each key has one pair per day: the requests used, and those remaining
// at the end of the day.
type usageWire struct {
	UsagePlanID string                `json:"usagePlanId"`
	StartDate   string                `json:"startDate"`
	EndDate     string                `json:"endDate"`
	Position    string                `json:"position,omitempty"`
	Values      map[string][][2]int64 `json:"values"`
}

func (s *Service) getUsage(c *call) (any, error) {
	start, err1 := usage.ParseDay(c.query("startDate"))
	end, err2 := usage.ParseDay(c.query("endDate"))
	switch {
	case err1 != nil || err2 != nil:
		return nil, badRequest("Invalid date specified, must be in the format YYYY-MM-DD")
	case end < start:
		return nil, badRequest("Invalid date range: endDate is before startDate")
	case end-start >= maxUsageDays:
		return nil, badRequest("Invalid date range: at most %d days are allowed", maxUsageDays)
	}
	p, err := s.planOf(c)
	if err != nil {
		return nil, err
	}
	var keys []*apiKey
	for keyID := range s.members[p.ID] {
		if only := c.query("keyId"); only == "" || only == keyID {
			keys = append(keys, s.keys[keyID])
		}
	}
	paged, err := pageOf(c, keys, (*apiKey).order, func(k *apiKey) string { return k.ID })
	if err != nil {
		return nil, err
	}
	ids := paged.(page)
	w := usageWire{UsagePlanID: p.ID, StartDate: start.String(), EndDate: end.String(), Position: ids.Position, Values: map[string][][2]int64{}}
	for _, id := range ids.Item.([]string) {
		w.Values[id] = s.usageOf(p, id, start, end)
	}
	return w, nil
}

// usageOf returns the pairs of one key. Without a quota the remaining requests are 0.
func (s *Service) usageOf(p *plan, keyID string, start, end usage.Day) [][2]int64 {
	pairs := make([][2]int64, 0, end-start+1)
	for day := start; day <= end; day++ {
		pair := [2]int64{s.usage.Used(p.ID, keyID, day, day), 0}
		if q := p.Quota; q != nil {
			from := q.Start(day.Time())
			used := s.usage.Used(p.ID, keyID, usage.DayOf(from), day)
			pair[1] = max(0, q.limitAt(from, p.QuotaSince)-used)
		}
		pairs = append(pairs, pair)
	}
	return pairs
}

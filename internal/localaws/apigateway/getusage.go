package apigateway

import "github.com/stagelog/stagelog/internal/localaws/apigateway/usage"

// maxUsageDays is the longest range of GetUsage.
const maxUsageDays = 90

// usageWire is Usage. The days of each key are pairs of what was used and what remained at
// the end of the day.
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
	s.mu.RLock()
	p, err := s.plan(c.PathValue("plan"))
	if err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	var keys []*apiKey
	for keyID := range s.members[p.ID] {
		if only := c.query("keyId"); only == "" || only == keyID {
			keys = append(keys, s.keys[keyID])
		}
	}
	s.mu.RUnlock()

	paged, err := pageOf(c, keys, func(k *apiKey) string { return orderOf(k.Created, k.ID) }, func(k *apiKey) string { return k.ID })
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

// usageOf is the pairs of one key. A plan without a quota has no remainder: 0.
func (s *Service) usageOf(p *plan, keyID string, start, end usage.Day) [][2]int64 {
	pairs := make([][2]int64, 0, end-start+1)
	for day := start; day <= end; day++ {
		pair := [2]int64{s.usage.Used(p.ID, keyID, day, day), 0}
		if p.Quota != nil {
			q := Quota{Limit: p.Quota.Limit, Period: p.Quota.Period, Offset: p.Quota.Offset}
			from := q.Start(day.Time())
			used := s.usage.Used(p.ID, keyID, usage.DayOf(from), day)
			pair[1] = max(0, q.limitAt(from, p.QuotaSince)-used)
		}
		pairs = append(pairs, pair)
	}
	return pairs
}

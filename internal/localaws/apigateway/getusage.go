package apigateway

import "github.com/stagelog/stagelog/internal/localaws/apigateway/usage"

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

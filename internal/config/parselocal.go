package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

func readLocal(v value) *Local {
	m := v.mapping("apis", "usage_plans", "faults")
	l := &Local{}
	for _, item := range m["apis"].list() {
		l.APIs = append(l.APIs, readAPI(item, l.APIs))
	}
	keys := newKeyRing()
	names, known := map[string]bool{}, map[StageRef]bool{}
	for _, ref := range l.Stages() {
		known[ref] = true
	}
	for _, item := range m["usage_plans"].list() {
		plan := readPlan(item, l, known, keys)
		if plan.Name != "" && names[plan.Name] {
			item.wrong("", "there is a usage plan of this name already")
		}
		names[plan.Name] = true
		l.UsagePlans = append(l.UsagePlans, plan)
	}
	if f := m["faults"]; f.exists() {
		l.Faults = readFaults(f)
	}
	return l
}

func readAPI(v value, before []API) API {
	m := v.mapping("id", "name", "upstream", "stages", "api_key_required")
	required := true
	api := API{APIKeyRequired: &required}
	api.ID = v.required(m, "id").word(apiPattern, expectedAPI)
	api.Name = api.ID
	if c := m["name"]; c.exists() {
		api.Name = c.checked(checkLabel)
	}
	api.Upstream = v.required(m, "upstream").upstream()
	for _, item := range v.required(m, "stages").list() {
		if stage := item.word(stagePattern, expectedStage); stage != "" {
			api.Stages = appendOnce(api.Stages, stage, item)
		}
	}
	if c := m["stages"]; c.exists() && len(c.node.Content) == 0 {
		c.wrong("", "an API needs a stage to be called")
	}
	if c := m["api_key_required"]; c.exists() {
		required = c.oneOf("true", "false") != "false"
	}
	if api.ID != "" && slices.ContainsFunc(before, func(b API) bool { return b.ID == api.ID }) {
		m["id"].wrong("", "there is an API of this id already")
	}
	return api
}

// upstream is a URL. A message shows it only if no password can be in it.
func (v value) upstream() string {
	return v.checked(func(text string) string {
		if strings.Contains(text, "@") {
			return hidden + "an upstream's URL has no user and no password"
		}
		return checkUpstream(text)
	})
}

func readPlan(v value, l *Local, known map[StageRef]bool, keys *keyRing) UsagePlan {
	m := v.mapping("name", "id", "throttle", "quota", "stages", "customers")
	plan := UsagePlan{}
	plan.Name = v.required(m, "name").checked(checkLabel)
	if c := m["id"]; c.exists() {
		plan.ID = c.word(idPattern, "the id of a usage plan: letters and digits")
	}
	if c := m["throttle"]; c.exists() {
		plan.Throttle = readThrottle(c)
	}
	if c := m["quota"]; c.exists() {
		plan.Quota = readQuota(c)
	}
	for _, item := range m["stages"].list() {
		ref, ok := readStage(item)
		if !ok {
			continue
		}
		if !known[ref] {
			item.wrong(nearStage(ref, l), "local.apis has no stage %s", ref)
			continue
		}
		plan.Stages = appendOnce(plan.Stages, ref, item)
	}
	for _, item := range m["customers"].list() {
		c := readCustomer(item)
		keys.add(item, v, c, plan.Stages)
		plan.Customers = append(plan.Customers, c)
	}
	return plan
}

// nearStage is what a reference to a stage that is not there may have meant.
func nearStage(ref StageRef, l *Local) string {
	var names []string
	for _, s := range l.Stages() {
		names = append(names, s.String())
	}
	if len(names) == 0 || len(names) > 20 {
		return "add it to local.apis"
	}
	return didYouMean(ref.String(), names)
}

func readThrottle(v value) Throttle {
	m := v.mapping("rate", "burst")
	var t Throttle
	c := v.required(m, "rate")
	if text, ok := c.literal(); ok {
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate > 0) || rate > 1e6 {
			c.wrong("", "expected requests per second, over 0 and up to 1000000, found %s", c.shown())
		} else {
			t = Throttle{Rate: rate, Burst: int(math.Ceil(rate))}
		}
	}
	if c := m["burst"]; c.exists() {
		t.Burst = c.whole(1, 1_000_000)
	}
	return t
}

func readQuota(v value) Quota {
	m := v.mapping("limit", "period", "offset")
	q := Quota{Limit: v.required(m, "limit").whole(1, math.MaxInt32), Period: v.required(m, "period").oneOf("DAY", "WEEK", "MONTH")}
	if c := m["offset"]; c.exists() {
		q.Offset = c.whole(0, map[string]int{"": 27, "DAY": 0, "WEEK": 6, "MONTH": 27}[q.Period])
	}
	return q
}

// API Gateway's limits for the value of an API key.
const (
	minKeyLength = 20
	maxKeyLength = 128
)

func readCustomer(v value) Customer {
	m := v.mapping("name", "key", "id")
	var c Customer
	c.Name = v.required(m, "name").checked(checkLabel)
	if key, ok := v.required(m, "key").text(); ok {
		// Never the value itself in a message.
		if len(key) < minKeyLength || len(key) > maxKeyLength {
			m["key"].wrong("", "expected an API key of %d to %d characters, found one of %d", minKeyLength, maxKeyLength, len(key))
		} else if i := slices.IndexFunc([]rune(key), func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
			m["key"].wrong("", "expected an API key that a header can hold, found another character at %d", i+1)
		} else {
			c.Key = Secret(key)
		}
	}
	if id := m["id"]; id.exists() {
		c.ID = id.word(idPattern, "the id of an API key: letters and digits")
	}
	return c
}

func readFaults(v value) *Faults {
	m := v.mapping("page_size", "throttle_every", "delay", "new_key_after")
	f := &Faults{}
	if c := m["page_size"]; c.exists() {
		f.PageSize = c.whole(1, 500)
	}
	if c := m["throttle_every"]; c.exists() {
		f.ThrottleEvery = c.whole(2, math.MaxInt32)
	}
	if c := m["delay"]; c.exists() {
		f.Delay = c.duration(0, time.Minute)
	}
	if c := m["new_key_after"]; c.exists() {
		f.NewKeyAfter = c.duration(0, time.Hour)
	}
	return f
}

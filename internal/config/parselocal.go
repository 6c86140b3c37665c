package config

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/config/yamlfile"
	"github.com/stagelog/stagelog/internal/record"
)

func readLocal(v yamlfile.Value) *Local {
	m := v.Mapping("apis", "usage_plans", "faults", "console_hosts")
	l := &Local{}
	for _, item := range m["apis"].List() {
		l.APIs = append(l.APIs, readAPI(item, l.APIs))
	}
	keys := &keyRing{byName: map[string]keyUse{}, byID: map[string]keyUse{}, byKey: map[Secret][]keyUse{}}
	names, known := map[string]bool{}, map[record.StageRef]bool{}
	for _, ref := range l.Stages() {
		known[ref] = true
	}
	for _, item := range m["usage_plans"].List() {
		plan := readPlan(item, l, known, keys)
		if plan.Name != "" && names[plan.Name] {
			item.Problemf("", "duplicate usage plan name")
		}
		names[plan.Name] = true
		l.UsagePlans = append(l.UsagePlans, plan)
	}
	for _, item := range m["console_hosts"].List() {
		if host := item.Word(hostPattern, expectedHost); host != "" {
			l.ConsoleHosts = appendOnce(l.ConsoleHosts, host, item)
		}
	}
	if f := m["faults"]; f.Exists() {
		l.Faults = readFaults(f)
	}
	return l
}

func readAPI(v yamlfile.Value, before []API) API {
	m := v.Mapping("id", "name", "upstream", "openapi", "stages", "api_key_required")
	api := API{ID: v.Required(m, "id").Word(apiPattern, expectedAPI), Upstream: readUpstream(v.Required(m, "upstream")), Document: readDocument(m["openapi"])}
	api.Name = cmp.Or(m["name"].Checked(checkLabel), api.ID)
	for _, item := range v.Required(m, "stages").List() {
		if stage := item.Word(stagePattern, expectedStage); stage != "" {
			api.Stages = appendOnce(api.Stages, stage, item)
		}
	}
	if c := m["stages"]; c.Exists() && c.Len() == 0 {
		c.Problemf("", "expected at least one stage")
	}
	api.APIKeyRequired = m["api_key_required"].OneOf("true", "false") != "false"
	if api.ID != "" && slices.ContainsFunc(before, func(b API) bool { return b.ID == api.ID }) {
		m["id"].Problemf("", "duplicate API id")
	}
	return api
}

// readUpstream reads a URL. Messages quote it only if it cannot contain a password.
func readUpstream(v yamlfile.Value) string {
	text, ok := v.Text()
	if ok && strings.Contains(text, "@") {
		v.Problemf("", "expected a URL without user and password")
		return ""
	}
	if problem := checkUpstream(text); ok && problem != "" {
		v.Problemf("", "%s: %s", v.Shown(), problem)
		return ""
	}
	return text
}

func readPlan(v yamlfile.Value, l *Local, known map[record.StageRef]bool, keys *keyRing) UsagePlan {
	m := v.Mapping("name", "id", "throttle", "quota", "stages", "customers")
	plan := UsagePlan{
		Name: v.Required(m, "name").Checked(checkLabel), ID: m["id"].Word(idPattern, "the id of a usage plan: letters and digits"),
		Throttle: readThrottle(m["throttle"]), Quota: readQuota(m["quota"]),
	}
	for _, item := range m["stages"].List() {
		ref, ok := readStage(item)
		if !ok {
			continue
		}
		if !known[ref] {
			item.Problemf(nearStage(ref, l), "local.apis has no stage %s", ref)
			continue
		}
		plan.Stages = appendOnce(plan.Stages, ref, item)
	}
	for _, item := range m["customers"].List() {
		c := readCustomer(item)
		keys.add(item, len(l.UsagePlans), c, plan.Stages)
		plan.Customers = append(plan.Customers, c)
	}
	return plan
}

// nearStage returns the hint for a reference to a stage that does not exist.
func nearStage(ref record.StageRef, l *Local) string {
	var names []string
	for _, s := range l.Stages() {
		names = append(names, s.String())
	}
	if len(names) == 0 || len(names) > 20 {
		return "add it to local.apis"
	}
	return yamlfile.DidYouMean(ref.String(), names)
}

func readThrottle(v yamlfile.Value) Throttle {
	m := v.Mapping("rate", "burst")
	var t Throttle
	c := v.Required(m, "rate")
	if text, ok := c.Literal(); ok {
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate > 0) || rate > 1e6 {
			c.Problemf("", "expected requests per second, above 0 and up to 1000000, found %s", c.Shown())
		} else {
			t = Throttle{Rate: rate, Burst: int(math.Ceil(rate))}
		}
	}
	t.Burst = cmp.Or(int(m["burst"].Whole(1, 1_000_000)), t.Burst)
	return t
}

func readQuota(v yamlfile.Value) Quota {
	m := v.Mapping("limit", "period", "offset")
	q := Quota{Limit: int(v.Required(m, "limit").Whole(1, math.MaxInt32)), Period: v.Required(m, "period").OneOf("DAY", "WEEK", "MONTH")}
	q.Offset = int(m["offset"].Whole(0, map[string]int64{"": 27, "DAY": 0, "WEEK": 6, "MONTH": 27}[q.Period]))
	return q
}

// API Gateway's limits for the value of an API key.
const (
	minKeyLength = 20
	maxKeyLength = 128
)

func readCustomer(v yamlfile.Value) Customer {
	m := v.Mapping("name", "key", "id")
	c := Customer{Name: v.Required(m, "name").Checked(checkLabel), ID: m["id"].Word(idPattern, "the id of an API key: letters and digits")}
	if key, ok := v.Required(m, "key").Text(); ok {
		// Messages must not show the key.
		if len(key) < minKeyLength || len(key) > maxKeyLength {
			m["key"].Problemf("", "expected an API key of %d to %d characters, found %d characters", minKeyLength, maxKeyLength, len(key))
		} else if i := slices.IndexFunc([]rune(key), func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
			m["key"].Problemf("", "expected printable ASCII without spaces, found another character at position %d", i+1)
		} else {
			c.Key = Secret(key)
		}
	}
	return c
}

func readFaults(v yamlfile.Value) *Faults {
	m := v.Mapping("page_size", "throttle_every", "delay", "new_key_after")
	return &Faults{
		PageSize: int(m["page_size"].Whole(1, 500)), ThrottleEvery: int(m["throttle_every"].Whole(2, math.MaxInt32)),
		Delay: m["delay"].Duration(0, time.Minute), NewKeyAfter: m["new_key_after"].Duration(0, time.Hour),
	}
}

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

package apigateway

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stagelog/stagelog/internal/localaws/wire"
)

const (
	maxPlans      = 2000 // AWS: 300, raised on request
	maxPlanStages = 500
	// maxMethodThrottles is AWS's quota of method throttles per stage in a plan.
	maxMethodThrottles = 20
	maxProductCode     = 1024
)

func (s *Service) planOperations() []operation {
	return []operation{
		{"POST /usageplans", http.StatusCreated, s.writing(s.createUsagePlan)},
		{"GET /usageplans", http.StatusOK, s.reading(s.getUsagePlans)},
		{"GET /usageplans/{plan}", http.StatusOK, s.reading(get(s.planOf, (*plan).fullWire))},
		{"PATCH /usageplans/{plan}", http.StatusOK, s.writing(patch(s.planOf, update[plan]{
			"updateUsagePlanInput", clonePlan, s.patchPlan, s.checkPlan, s.putPlan}, (*plan).fullWire))},
		{"DELETE /usageplans/{plan}", http.StatusAccepted, s.writing(remove(s.planOf, s.deleteUsagePlan))},

		{"POST /usageplans/{plan}/keys", http.StatusCreated, s.writing(s.createUsagePlanKey)},
		{"GET /usageplans/{plan}/keys", http.StatusOK, s.reading(s.getUsagePlanKeys)},
		{"GET /usageplans/{plan}/keys/{key}", http.StatusOK, s.reading(get(s.planKey, (*apiKey).planWire))},
		{"DELETE /usageplans/{plan}/keys/{key}", http.StatusAccepted, s.writing(s.deleteUsagePlanKey)},
		{"GET /usageplans/{plan}/usage", http.StatusOK, s.reading(s.getUsage)},
	}
}

// planWire is AWS's UsagePlan.
type planWire struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Description string             `json:"description,omitempty"`
	APIStages   []planStage        `json:"apiStages"`
	Throttle    *Throttle          `json:"throttle,omitempty"`
	Quota       *Quota             `json:"quota,omitempty"`
	ProductCode string             `json:"productCode,omitempty"`
	Tags        *map[string]string `json:"tags,omitempty"`
}

func (p *plan) wire(tags *map[string]string) planWire {
	stages := p.Stages
	if stages == nil {
		stages = []planStage{}
	}
	return planWire{
		ID: p.ID, Name: p.Name, Description: p.Description, APIStages: stages, Throttle: p.Throttle, Quota: p.Quota,
		ProductCode: p.ProductCode, Tags: tags,
	}
}

func (p *plan) listWire() planWire { return p.wire(tagsIfAny(p.Tags)) }
func (p *plan) fullWire() planWire { return p.wire(tagsOf(p.Tags)) }

type planInput struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	APIStages   []planStage       `json:"apiStages"`
	Throttle    *Throttle         `json:"throttle"`
	Quota       *Quota            `json:"quota"`
	Tags        map[string]string `json:"tags"`
}

func (s *Service) createUsagePlan(c *call) (any, error) {
	var in planInput
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	p, err := s.newPlan(in, "")
	if err != nil {
		return nil, err
	}
	return answer(p, s.putPlan(c.Context(), p), (*plan).listWire)
}

// newPlan checks the input and returns a plan that is not stored yet; id "" generates one.
// The caller holds mu.
func (s *Service) newPlan(in planInput, id string) (*plan, error) {
	now := s.now()
	p := &plan{ID: cmp.Or(id, newID()), Name: in.Name, Description: in.Description, Created: now, Throttle: in.Throttle, Quota: in.Quota, QuotaSince: now, Tags: in.Tags}
	if len(s.plans) >= maxPlans {
		return nil, limitExceeded("Maximum number of Usage Plans for this account has been reached")
	}
	for _, st := range in.APIStages {
		if err := s.addPlanStage(p, st); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, checkTags(in.Tags)
}

// hasControl reports whether a name contains a control character or is not UTF-8. Names become the text of records, invoices
// and terminals.
func hasControl(name string) bool {
	return strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name)
}

func (p *plan) check() error {
	switch {
	case p.Name == "":
		return badRequest("Usage Plan name cannot be empty")
	case hasControl(p.Name):
		return badRequest("Invalid Usage Plan name: it contains a control character or is not UTF-8.")
	case len(p.Name) > maxName:
		return badRequest("Usage Plan name can be at most %d characters", maxName)
	case len(p.Description) > maxDescription:
		return badRequest("Usage Plan description can be at most %d characters", maxDescription)
	case len(p.ProductCode) > maxProductCode:
		return badRequest("Usage Plan product code can be at most %d characters", maxProductCode)
	}
	if p.Throttle != nil {
		if err := p.Throttle.check(); err != nil {
			return err
		}
	}
	for _, st := range p.Stages {
		if len(st.Throttle) > maxMethodThrottles {
			return limitExceeded("Maximum number of method level throttles for this stage has been reached")
		}
		for name, t := range st.Throttle {
			if methodPath(name) == "" {
				return badRequest("Invalid method throttle %s: it must be a resource path and a method, /path/GET", clip(name))
			}
			if err := t.check(); err != nil {
				return err
			}
		}
	}
	if p.Quota != nil {
		return p.Quota.check()
	}
	return nil
}

func validRate(rate float64) bool { return rate >= 0 && !math.IsInf(rate, 0) && !math.IsNaN(rate) }

func (t Throttle) check() error {
	if !validRate(t.Rate) {
		return badRequest("Usage Plan throttle rate limit must not be negative")
	}
	if t.Burst < 0 {
		return badRequest("Usage Plan throttle burst limit must not be negative")
	}
	return nil
}

// check enforces AWS's ranges per period.
func (q Quota) check() error {
	maxOffset := 0
	switch q.Period {
	case Day:
	case Week:
		maxOffset = 6
	case Month:
		maxOffset = 27
	default:
		return invalid(clip(string(q.Period)), "quota.period", "Member must satisfy enum value set: [DAY, WEEK, MONTH]")
	}
	if q.Limit < 0 {
		return badRequest("Usage Plan quota limit must not be negative")
	}
	if q.Offset < 0 || q.Offset > maxOffset {
		return badRequest("Usage Plan quota offset must be between 0 and %d inclusive in the %s period", maxOffset, q.Period)
	}
	return nil
}

// methodPath normalises the name of a method throttle to "/path/METHOD". It returns "" for an
// invalid name.
func methodPath(name string) string {
	name = "/" + strings.TrimLeft(name, "/")
	slash := strings.LastIndexByte(name, '/')
	if !validMethod(name[slash+1:]) || len(name) > maxURI {
		return ""
	}
	if slash == 0 { // the root resource: its path is "/"
		return "/" + name
	}
	return name
}

func (p *plan) stageIndex(apiID, stage string) int {
	return slices.IndexFunc(p.Stages, func(st planStage) bool { return st.API == apiID && st.Stage == stage })
}

func (p *plan) unknownStage(apiID, stage string) *wire.Error {
	return notFound("Invalid API Stage {api: %s, stage: %s} specified for usageplan %s", clip(apiID), clip(stage), p.ID)
}

// addPlanStage adds a stage to p, which is a copy. It refuses a stage on which a key of the plan has
// another plan.
func (s *Service) addPlanStage(p *plan, st planStage) error {
	if s.stages[st.API][st.Stage] == nil {
		return p.unknownStage(st.API, st.Stage)
	}
	if p.stageIndex(st.API, st.Stage) >= 0 {
		return conflict("API Stage %s:%s is already associated with Usage Plan %s", st.API, st.Stage, p.ID)
	}
	if len(p.Stages) >= maxPlanStages {
		return limitExceeded("Maximum number of API Stages for this Usage Plan has been reached")
	}
	throttles := map[string]Throttle{}
	for name, t := range st.Throttle {
		if normal := methodPath(name); normal != "" {
			name = normal
		}
		throttles[name] = t
	}
	if st.Throttle = nil; len(throttles) > 0 {
		st.Throttle = throttles
	}
	for keyID := range s.members[p.ID] {
		if err := s.checkOnePlan(p.ID, keyID, []planStage{st}); err != nil {
			return err
		}
	}
	p.Stages = append(p.Stages, st)
	return nil
}

// checkOnePlan refuses to add a key to stages that another plan of the key covers.
func (s *Service) checkOnePlan(planID, keyID string, stages []planStage) error {
	ids, _ := s.rt.plansOf.get(keyID)
	for _, other := range ids {
		if other == planID {
			continue
		}
		for _, st := range stages {
			if s.plans[other].stageIndex(st.API, st.Stage) >= 0 {
				return conflict("Usage Plan %s cannot be added because API Key %s cannot reference multiple Usage Plans with the same API stage: %s:%s",
					planID, keyID, st.API, st.Stage)
			}
		}
	}
	return nil
}

// putPlan stores a plan and makes it visible. The caller holds mu.
func (s *Service) putPlan(ctx context.Context, p *plan) error {
	if err := s.save(ctx, docKey(kindPlan, p.ID), p); err != nil {
		return err
	}
	s.plans[p.ID] = p
	s.showPlan(p)
	return nil
}

// plan finds a plan. The caller holds mu.
func (s *Service) plan(id string) (*plan, error) {
	if p := s.plans[id]; p != nil {
		return p, nil
	}
	return nil, notFound("Invalid Usage Plan ID specified")
}

func (s *Service) planOf(c *call) (*plan, error) { return s.plan(c.PathValue("plan")) }

func (s *Service) getUsagePlans(c *call) (any, error) {
	keyID := c.query("keyId")
	var all []*plan
	for id, p := range s.plans {
		if keyID == "" || s.members[id][keyID] != nil {
			all = append(all, p)
		}
	}
	return pageOf(c, all, (*plan).order, (*plan).listWire)
}

// checkPlan checks a changed plan, and dates a changed quota.
func (s *Service) checkPlan(old, p *plan) error {
	if p.Quota != nil && (old.Quota == nil || *old.Quota != *p.Quota) {
		p.QuotaSince = s.now()
	}
	return p.check()
}

func (s *Service) deleteUsagePlan(ctx context.Context, p *plan) error {
	if len(p.Stages) > 0 {
		return badRequest("Cannot delete Usage Plan %s because there are API Stages associated with it, including %s:%s",
			p.ID, p.Stages[0].API, p.Stages[0].Stage)
	}
	return s.dropPlan(ctx, p)
}

// dropPlan deletes a plan with its members and its usage. The caller holds mu.
func (s *Service) dropPlan(ctx context.Context, p *plan) error {
	for keyID := range s.members[p.ID] {
		if err := s.dropMember(ctx, p.ID, keyID); err != nil {
			return err
		}
	}
	if err := s.erase(ctx, docKey(kindPlan, p.ID)); err != nil {
		return err
	}
	delete(s.plans, p.ID)
	delete(s.members, p.ID)
	s.rt.plans.remove(p.ID)
	return s.usage.Forget(context.WithoutCancel(ctx), p.ID)
}

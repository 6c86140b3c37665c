package apigateway

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
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
		{"GET /usageplans", http.StatusOK, s.getUsagePlans},
		{"GET /usageplans/{plan}", http.StatusOK, s.reading(s.getUsagePlan)},
		{"PATCH /usageplans/{plan}", http.StatusOK, s.writing(s.updateUsagePlan)},
		{"DELETE /usageplans/{plan}", http.StatusAccepted, s.writing(s.deleteUsagePlan)},

		{"POST /usageplans/{plan}/keys", http.StatusCreated, s.writing(s.createUsagePlanKey)},
		{"GET /usageplans/{plan}/keys", http.StatusOK, s.getUsagePlanKeys},
		{"GET /usageplans/{plan}/keys/{key}", http.StatusOK, s.reading(s.getUsagePlanKey)},
		{"DELETE /usageplans/{plan}/keys/{key}", http.StatusAccepted, s.writing(s.deleteUsagePlanKey)},
		{"GET /usageplans/{plan}/usage", http.StatusOK, s.getUsage},
	}
}

// planWire is UsagePlan.
type planWire struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Description string             `json:"description,omitempty"`
	APIStages   []planStage        `json:"apiStages"`
	Throttle    *throttle          `json:"throttle,omitempty"`
	Quota       *quota             `json:"quota,omitempty"`
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
	Throttle    *throttle         `json:"throttle"`
	Quota       *quota            `json:"quota"`
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

// newPlan checks the input and makes a plan, which is not yet stored; id "" makes one up.
// Called under mu.
func (s *Service) newPlan(in planInput, id string) (*plan, error) {
	if id == "" {
		id = newID()
	}
	now := s.now()
	p := &plan{ID: id, Name: in.Name, Description: in.Description, Created: now, Throttle: in.Throttle, Quota: in.Quota, QuotaSince: now, Tags: in.Tags}
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

func (p *plan) check() error {
	switch {
	case p.Name == "":
		return badRequest("Usage Plan name cannot be empty")
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

func (t throttle) check() error {
	if !validRate(t.RateLimit) {
		return badRequest("Usage Plan throttle rate limit must not be negative")
	}
	if t.BurstLimit < 0 {
		return badRequest("Usage Plan throttle burst limit must not be negative")
	}
	return nil
}

// check follows the ranges that AWS enforces per period.
func (q quota) check() error {
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

// methodPath normalises the name of a method throttle to "/path/METHOD", "" when it is none.
func methodPath(name string) string {
	name = "/" + strings.TrimLeft(name, "/")
	cut := strings.LastIndexByte(name, '/')
	if !validMethod(name[cut+1:]) || len(name) > maxURI {
		return ""
	}
	if cut == 0 { // the root resource: its path is "/"
		return "/" + name
	}
	return name
}

func (p *plan) stageIndex(apiID, stage string) int {
	return slices.IndexFunc(p.Stages, func(st planStage) bool { return st.API == apiID && st.Stage == stage })
}

// addPlanStage adds a stage to p, which is a copy. No key of the plan may have another plan
// on that stage.
func (s *Service) addPlanStage(p *plan, st planStage) error {
	if s.stages[st.API][st.Stage] == nil {
		return notFound("Invalid API Stage {api: %s, stage: %s} specified for usageplan %s", clip(st.API), clip(st.Stage), p.ID)
	}
	if p.stageIndex(st.API, st.Stage) >= 0 {
		return conflict("API Stage %s:%s is already associated with Usage Plan %s", st.API, st.Stage, p.ID)
	}
	if len(p.Stages) >= maxPlanStages {
		return limitExceeded("Maximum number of API Stages for this Usage Plan has been reached")
	}
	throttles := map[string]throttle{}
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

// checkOnePlan refuses a key on stages that it has by another plan already.
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

// putPlan makes a plan durable and served. Called under mu.
func (s *Service) putPlan(ctx context.Context, p *plan) error {
	if err := s.save(ctx, docKey(kindPlan, p.ID), p); err != nil {
		return err
	}
	s.plans[p.ID] = p
	s.showPlan(p)
	return nil
}

// plan finds a plan. Called under mu.
func (s *Service) plan(id string) (*plan, error) {
	if p := s.plans[id]; p != nil {
		return p, nil
	}
	return nil, notFound("Invalid Usage Plan ID specified")
}

func (s *Service) getUsagePlans(c *call) (any, error) {
	keyID := c.query("keyId")
	s.mu.RLock()
	var all []*plan
	for id, p := range s.plans {
		if keyID == "" || s.members[id][keyID] != nil {
			all = append(all, p)
		}
	}
	s.mu.RUnlock()
	return pageOf(c, all, func(p *plan) string { return orderOf(p.Created, p.ID) }, (*plan).listWire)
}

func (s *Service) getUsagePlan(c *call) (any, error) {
	p, err := s.plan(c.PathValue("plan"))
	return answer(p, err, (*plan).fullWire)
}

func (s *Service) updateUsagePlan(c *call) (any, error) {
	old, err := s.plan(c.PathValue("plan"))
	p, err := patched(c, old, err, update[plan]{"updateUsagePlanInput", clonePlan, s.patchPlan})
	if err != nil {
		return nil, err
	}
	if p.Quota != nil && (old.Quota == nil || *old.Quota != *p.Quota) {
		p.QuotaSince = s.now()
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return answer(p, s.putPlan(c.Context(), p), (*plan).fullWire)
}

func (s *Service) deleteUsagePlan(c *call) (any, error) {
	p, err := s.plan(c.PathValue("plan"))
	if err != nil {
		return nil, err
	}
	if len(p.Stages) > 0 {
		return nil, badRequest("Cannot delete Usage Plan %s because there are API Stages associated with it, including %s:%s",
			p.ID, p.Stages[0].API, p.Stages[0].Stage)
	}
	return nil, s.dropPlan(c.Context(), p)
}

// dropPlan deletes a plan with its members and its usage. Called under mu.
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

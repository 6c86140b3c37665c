package apigateway

import (
	"strconv"
	"strings"
)

// planPaths returns the paths that an update of a usage plan accepts. The list for remove is AWS's as
// users report it, misspelled as there; the others follow the documentation.
func planPaths() allowed {
	set := []string{"/name", "/description", "/productCode", "/throttle/burstLimit", "/throttle/rateLimit",
		"/quota/limit", "/quota/offset", "/quota/period",
		"/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/rateLimit",
		"/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/burstLimit"}
	return allowed{
		"add":     append([]string{"/apiStages"}, set...),
		"replace": set,
		"remove": {"/apiStages", "/quota", "/throttle", "/productCode",
			"/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>", "/apiStages/<apidId:stageName>/throttle"},
	}
}

// patchPlan applies one operation to p, which is a copy. Called under mu.
func (s *Service) patchPlan(p *plan, op patchOp) error {
	v := op.value()
	if rest, ok := strings.CutPrefix(op.Path, "/apiStages/"); ok {
		return p.patchMethod(op, rest)
	}
	if op.Path == "/apiStages" && op.Op != "replace" {
		apiID, name, ok := strings.Cut(v, ":")
		if !ok || apiID == "" || name == "" {
			return badRequest("Invalid API Stage specified")
		}
		if op.Op == "add" {
			return s.addPlanStage(p, planStage{API: apiID, Stage: name})
		}
		i := p.stageIndex(apiID, name)
		if i < 0 {
			return p.unknownStage(apiID, name)
		}
		p.Stages = append(p.Stages[:i:i], p.Stages[i+1:]...)
		return nil
	}
	if op.Op == "remove" {
		return p.unset(op)
	}
	switch op.Path {
	case "/name":
		p.Name = v
	case "/description":
		p.Description = v
	case "/productCode":
		p.ProductCode = v
	case "/throttle/rateLimit", "/throttle/burstLimit":
		if p.Throttle == nil {
			p.Throttle = &Throttle{}
		}
		return p.Throttle.set(strings.TrimPrefix(op.Path, "/throttle/"), v)
	case "/quota/limit", "/quota/offset", "/quota/period":
		return p.setQuota(strings.TrimPrefix(op.Path, "/quota/"), v)
	default:
		return planPaths().refuse(op)
	}
	return nil
}

func (p *plan) unset(op patchOp) error {
	switch op.Path {
	case "/throttle":
		p.Throttle = nil
	case "/quota":
		p.Quota = nil
	case "/productCode":
		p.ProductCode = ""
	case "/description":
		p.Description = ""
	default:
		return planPaths().refuse(op)
	}
	return nil
}

func (t *Throttle) set(member, v string) error {
	switch member {
	case "rateLimit":
		rate, err := strconv.ParseFloat(v, 64)
		if err != nil || !validRate(rate) {
			return badRequest("Invalid throttle rate limit specified")
		}
		t.Rate = rate
	case "burstLimit":
		burst, err := strconv.Atoi(v)
		if err != nil || burst < 0 {
			return badRequest("Invalid throttle burst limit specified")
		}
		t.Burst = burst
	}
	return nil
}

// setQuota sets one member of the quota. A new quota has a monthly period until an operation sets
// another: the members are set one by one.
func (p *plan) setQuota(member, v string) error {
	if p.Quota == nil {
		p.Quota = &Quota{Period: Month}
	}
	if member == "period" {
		p.Quota.Period = Period(v)
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return badRequest("Invalid quota %s specified", member)
	}
	if member == "limit" {
		p.Quota.Limit = n
	} else {
		p.Quota.Offset = int(n)
	}
	return nil
}

// patchMethod changes a method's throttle: rest is "api:stage/throttle/path/METHOD/rateLimit".
// The console escapes the slashes of the path as ~1; Terraform does not.
func (p *plan) patchMethod(op patchOp, rest string) error {
	stageRef, method, ok := strings.Cut(rest, "/throttle")
	apiID, name, isStage := strings.Cut(stageRef, ":")
	if !ok || !isStage || method != "" && method[0] != '/' {
		return planPaths().refuse(op)
	}
	i := p.stageIndex(apiID, name)
	if i < 0 {
		return p.unknownStage(apiID, name)
	}
	st := &p.Stages[i]
	if op.Op == "remove" {
		if method == "" {
			st.Throttle = nil
			return nil
		}
		delete(st.Throttle, methodPath(unescapePointer(method)))
		return nil
	}
	slash := strings.LastIndexByte(method, '/')
	if slash < 0 || method[slash+1:] != "rateLimit" && method[slash+1:] != "burstLimit" {
		return planPaths().refuse(op)
	}
	path := methodPath(unescapePointer(method[:slash]))
	if path == "" {
		return planPaths().refuse(op)
	}
	t := st.Throttle[path]
	if err := t.set(method[slash+1:], op.value()); err != nil {
		return err
	}
	put(&st.Throttle, path, t)
	return nil
}

package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

// checkFunctionRole examines the function's execution role: who may assume it, and whether it
// may read the usage plans and keys of the chain's stages.
func (r *run) checkFunctionRole(ctx context.Context, s *stream, roleARN string, env map[string]string) {
	ro := r.readRole(ctx, roleARN)
	if !r.checkTrust(s, linkFunction, lambdaService, ro, nil) && ro.missing {
		return
	}
	plans, err := r.plansOf(ctx, s)
	if err != nil {
		plans = nil // reported by the check of the stage; usagePlanCalls then uses a placeholder
	}
	r.checkPermissions(s, actor{link: linkFunction, who: "the function", role: ro}, r.usagePlanCalls(s, plans, env))
	r.checkScope(s, ro)
}

// usagePlanCalls returns the calls that a function makes to look up usage plans and customers, and to log.
func (r *run) usagePlanCalls(s *stream, plans []plan, env map[string]string) []call {
	const unattributed = "the usage plan and the customer of its requests remain unknown (-), or the whole batch fails"
	calls := []call{{"apigateway:GET", r.apiARN("/usageplans"), nil, true, unattributed}}
	if len(plans) == 0 {
		plans = []plan{{id: "stagelogdoctor"}}
	}
	for _, p := range plans {
		calls = append(calls, call{"apigateway:GET", r.apiARN("/usageplans/" + p.id + "/keys"), nil, true, unattributed})
	}
	if s.ownFunction {
		calls = append(calls, call{"apigateway:GET", r.apiARN("/apikeys/stagelogdoctor"), nil, false, "a new key remains unknown until all keys are read again"})
	}
	if bucket, key, ok := strings.Cut(strings.TrimPrefix(env["STAGELOG_SNAPSHOT"], "s3://"), "/"); ok && s.ownFunction {
		object := "arn:" + r.t.Partition + ":s3:::" + bucket + "/" + key
		const cold = "every new container of the function reads all usage plans again, which uses up API Gateway's limit of ten calls per second"
		calls = append(calls, call{"s3:GetObject", object, s.s3Context(), false, cold}, call{"s3:PutObject", object, s.s3Context(), false, cold})
	}
	group := s.logARN("/aws/lambda/"+strings.Split(functionName(s.function), ":")[0]) + ":log-stream:stagelog"
	const silent = "it writes no log, so the cause of a failure is unknown"
	return append(calls, call{"logs:CreateLogStream", group, nil, false, silent}, call{"logs:PutLogEvents", group, nil, false, silent})
}

// checkScope checks that the role cannot read the usage plans of other Regions, which include
// key values and which the function never needs.
func (r *run) checkScope(s *stream, ro *role) {
	if ro.err != nil || ro.missing {
		return
	}
	elsewhere := "xx-elsewhere-1"
	req := policy.Request{Principal: ro.arn, Action: "apigateway:GET", Resource: "arn:" + r.t.Partition + ":apigateway:" + elsewhere + "::/usageplans/a/keys"}
	decision, by := policy.Evaluate(ro.policies, req)
	if decision != policy.Allow {
		r.out.ok(linkFunction, "role scope", "it can only read keys in this Region")
		return
	}
	r.out.problem(Warning, linkFunction, "role scope", finding{
		found:       fmt.Sprintf("the role %s can read API keys in every Region (%s)", ro.name, listed(by.Resources)),
		cause:       "the Region in the statement's resource is *",
		consequence: "the function can read the key values of all APIs in the account, not only of this chain",
		fix: r.repair(s, addToRole(ro.name, []statement{{Effect: "Allow", Action: []string{"apigateway:GET"},
			Resource: []string{r.apiARN("/usageplans"), r.apiARN("/usageplans/*/keys")}}})+"\nthen remove the other statement"),
	})
}

// planGrant widens a resource for one plan's keys to all plans, so that new plans need no new statement.
func planGrant(resource string) (string, bool) {
	before, id, ok := strings.Cut(resource, "/usageplans/")
	if !ok || !slices.Contains(strings.Split(id, "/"), "keys") {
		return "", false
	}
	return before + "/usageplans/*/keys", true
}

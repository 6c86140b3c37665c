package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

// checkFunctionRole examines the function's execution role: who may be it, and whether it may
// read the usage plans and keys of the chain's stages.
func (r *run) checkFunctionRole(ctx context.Context, s *stream, roleARN string, env map[string]string) {
	ro := r.readRole(ctx, roleARN)
	if !r.checkTrust(s, linkFunction, lambdaService, ro, nil) && ro.missing {
		return
	}
	plans, err := r.plansOf(ctx, s)
	if err != nil {
		plans = nil // the stage's check has said it; a plan of any id stands in for them
	}
	r.checkPermissions(s, actor{link: linkFunction, who: "the function", role: ro}, r.directoryCalls(s, plans, env))
	r.checkScope(s, ro)
}

// directoryCalls are what a function needs to know usage plans and customers.
func (r *run) directoryCalls(s *stream, plans []plan, env map[string]string) []call {
	const unattributed = "the usage plan and the customer of its requests stay unknown (-), or the whole batch fails"
	calls := []call{{"apigateway:GET", r.apiARN("/usageplans"), nil, true, unattributed}}
	if len(plans) == 0 {
		plans = []plan{{id: "stagelogdoctor"}}
	}
	for _, p := range plans {
		calls = append(calls, call{"apigateway:GET", r.apiARN("/usageplans/" + p.id + "/keys"), nil, true, unattributed})
	}
	if s.ownFunction {
		calls = append(calls, call{"apigateway:GET", r.apiARN("/apikeys/stagelogdoctor"), nil, false, "a key made a minute ago stays unknown until all are read again"})
	}
	if bucket, key, ok := strings.Cut(strings.TrimPrefix(env["STAGELOG_SNAPSHOT"], "s3://"), "/"); ok && s.ownFunction {
		object := "arn:" + r.t.Partition + ":s3:::" + bucket + "/" + key
		const cold = "every new container of the function reads all usage plans anew, which uses up API Gateway's ten calls a second"
		calls = append(calls, call{"s3:GetObject", object, s.s3Context(), false, cold}, call{"s3:PutObject", object, s.s3Context(), false, cold})
	}
	group := s.logARN("/aws/lambda/"+strings.Split(functionName(s.function), ":")[0]) + ":log-stream:stagelog"
	const silent = "it writes no log, so nothing says why it fails"
	return append(calls, call{"logs:CreateLogStream", group, nil, false, silent}, call{"logs:PutLogEvents", group, nil, false, silent})
}

// checkScope names what the role may and the function never needs: the plans of other Regions,
// which hold key values too.
func (r *run) checkScope(s *stream, ro *role) {
	if ro.err != nil || ro.missing {
		return
	}
	elsewhere := "xx-elsewhere-1"
	req := policy.Request{Principal: ro.arn, Action: "apigateway:GET", Resource: "arn:" + r.t.Partition + ":apigateway:" + elsewhere + "::/usageplans/a/keys"}
	decision, by := policy.Evaluate(ro.policies, req)
	if decision != policy.Allow {
		r.out.ok(linkFunction, "role scope", "it reads keys of this Region alone")
		return
	}
	r.out.problem(Warning, linkFunction, "role scope", finding{
		found:       fmt.Sprintf("the role %s may read API keys in every Region (%s)", ro.name, listed(by.Resources)),
		cause:       "the Region in the statement's resource is *",
		consequence: "the keys' values of all the account's APIs are within the function's reach, not those of this chain alone",
		fix: r.mend(s, addToRole(ro.name, []statement{{Effect: "Allow", Action: []string{"apigateway:GET"},
			Resource: []string{r.apiARN("/usageplans"), r.apiARN("/usageplans/*/keys")}}})+"\nand take the other statement out"),
	})
}

// grants for usage plans name all of them: a plan that is made tomorrow needs no new statement.
func planGrant(resource string) (string, bool) {
	before, id, ok := strings.Cut(resource, "/usageplans/")
	if !ok || !slices.Contains(strings.Split(id, "/"), "keys") {
		return "", false
	}
	return before + "/usageplans/*/keys", true
}

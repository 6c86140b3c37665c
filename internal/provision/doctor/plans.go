package doctor

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
)

// plan is a usage plan that contains a stage of the chain.
type plan struct{ id, name string }

// plansOf returns the usage plans of a stream's stages.
func (r *run) plansOf(ctx context.Context, s *stream) (all []plan, err error) {
	pages := apigateway.NewGetUsagePlansPaginator(r.c.APIGateway, &apigateway.GetUsagePlansInput{Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Items {
			for _, in := range p.ApiStages {
				if s.hasStage(aws.ToString(in.ApiId), aws.ToString(in.Stage)) {
					all = append(all, plan{aws.ToString(p.Id), aws.ToString(p.Name)})
					break
				}
			}
		}
	}
	return all, nil
}

func (s *stream) hasStage(api, name string) bool {
	for _, st := range s.stages {
		if st.ref.API == api && st.ref.Stage == name {
			return true
		}
	}
	return false
}

// checkKeys checks that some method requires an API key; otherwise no request has a key id.
func (r *run) checkKeys(ctx context.Context, st *stage, s *stream) {
	const name = "API keys"
	if s.function == "" && len(customerFields(st.format)) > 1 {
		return // customers are identified by an authorizer
	}
	pages := apigateway.NewGetResourcesPaginator(r.c.APIGateway, &apigateway.GetResourcesInput{RestApiId: &st.ref.API, Embed: []string{"methods"}, Limit: aws.Int32(500)})
	methods, with := 0, 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			r.unknown(linkStage, name, "which methods of "+st.ref.API+" require API keys", need{"apigateway:GET", r.apiARN("/restapis/" + st.ref.API + "/resources")}, err)
			return
		}
		for _, resource := range page.Items {
			for _, m := range resource.ResourceMethods {
				if methods++; aws.ToBool(m.ApiKeyRequired) {
					with++
				}
			}
		}
	}
	if methods == 0 || with > 0 {
		r.out.ok(linkStage, name, "%d of %d methods require an API key", with, methods)
		return
	}
	r.out.problem(Warning, linkStage, name, finding{
		found: fmt.Sprintf("none of the %d methods of %s requires an API key", methods, st.ref.API), cause: "apiKeyRequired is false for all of them, and API Gateway then ignores keys",
		consequence: "no request has a key id, so usage plan and customer cannot be looked up: they are - in every record",
		fix: command("apigateway", "update-method", "--region", r.t.Region, "--rest-api-id", st.ref.API, "--resource-id", "RESOURCE_ID", "--http-method", "METHOD", "--patch-operations", "op=replace,path=/apiKeyRequired,value=true") +
			"\nfor each method, then " + command("apigateway", "create-deployment", "--region", r.t.Region, "--rest-api-id", st.ref.API, "--stage-name", st.ref.Stage),
	})
}

// checkPlans checks that a stage is in a usage plan; otherwise its requests have no customer.
func (r *run) checkPlans(ctx context.Context, st *stage, s *stream) {
	const name = "usage plans"
	only := &stream{stages: []*stage{st}}
	plans, err := r.plansOf(ctx, only)
	switch {
	case err != nil:
		r.unknown(linkStage, name, "the usage plans of "+st.ref.String(), need{"apigateway:GET", r.apiARN("/usageplans")}, err)
	case len(plans) > 0:
		var names []string
		for _, p := range plans {
			names = append(names, p.name)
		}
		r.out.ok(linkStage, name, "%s is in %s", st.ref, listed(names))
	case s.function == "" && len(customerFields(st.format)) > 1:
		r.out.ok(linkStage, name, "%s is in none, and needs none: plan and subscription come from an authorizer", st.ref)
	default:
		r.out.problem(Warning, linkStage, name, finding{
			found: fmt.Sprintf("%s is in no usage plan", st.ref), cause: "API Gateway accepts API keys only for stages in a usage plan",
			consequence: "no request has a customer: usage plan and customer are - in every record",
			fix:         command("apigateway", "update-usage-plan", "--region", r.t.Region, "--usage-plan-id", "PLAN_ID", "--patch-operations", "op=add,path=/apiStages,value="+st.ref.API+":"+st.ref.Stage),
		})
	}
}

package doctor

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
)

// gateway reads from API Gateway, once for each run, what many stages share: API Gateway allows few calls per second.
type gateway struct {
	c     *apigateway.Client
	apis  map[string]*api
	plans *usagePlans
}

// api holds what was read of an API; nil means not yet.
type api struct {
	stages  *apigateway.GetStagesOutput
	methods *methods
}

// methods counts an API's methods and those that require an API key.
type methods struct {
	all, withKey int
	err          error
}

type usagePlans struct {
	all []types.UsagePlan
	err error
}

func (g *gateway) api(id string) *api {
	if g.apis[id] == nil {
		g.apis[id] = &api{}
	}
	return g.apis[id]
}

// stage returns the access log settings of a stage, nil for none. The stages of an API are read with one call, unless there is
// only one to examine or the call is denied.
func (g *gateway) stage(ctx context.Context, ref record.StageRef, others bool) (*types.AccessLogSettings, error) {
	a := g.api(ref.API)
	if a.stages == nil && others {
		out, err := g.c.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &ref.API})
		if err != nil {
			out = &apigateway.GetStagesOutput{} // GetStage then fails too, or is allowed for single stages
		}
		a.stages = out
	}
	if a.stages != nil {
		if i := slices.IndexFunc(a.stages.Item, func(s types.Stage) bool { return aws.ToString(s.StageName) == ref.Stage }); i >= 0 {
			return a.stages.Item[i].AccessLogSettings, nil
		}
	}
	out, err := g.c.GetStage(ctx, &apigateway.GetStageInput{RestApiId: &ref.API, StageName: &ref.Stage})
	if err != nil {
		return nil, err
	}
	return out.AccessLogSettings, nil
}

// methods counts the methods of an API.
func (g *gateway) methods(ctx context.Context, id string) *methods {
	a := g.api(id)
	if a.methods != nil {
		return a.methods
	}
	a.methods = &methods{}
	in := &apigateway.GetResourcesInput{RestApiId: &id, Embed: []string{"methods"}, Limit: aws.Int32(500)}
	for page, err := range provision.Pages(ctx, apigateway.NewGetResourcesPaginator(g.c, in)) {
		if a.methods.err = err; err != nil {
			break
		}
		for _, resource := range page.Items {
			for _, m := range resource.ResourceMethods {
				if a.methods.all++; aws.ToBool(m.ApiKeyRequired) {
					a.methods.withKey++
				}
			}
		}
	}
	return a.methods
}

// usagePlans returns all usage plans.
func (g *gateway) usagePlans(ctx context.Context) ([]types.UsagePlan, error) {
	if g.plans != nil {
		return g.plans.all, g.plans.err
	}
	g.plans = &usagePlans{}
	for page, err := range provision.Pages(ctx, apigateway.NewGetUsagePlansPaginator(g.c, &apigateway.GetUsagePlansInput{Limit: aws.Int32(500)})) {
		if g.plans.err = err; err != nil {
			break
		}
		g.plans.all = append(g.plans.all, page.Items...)
	}
	return g.plans.all, g.plans.err
}

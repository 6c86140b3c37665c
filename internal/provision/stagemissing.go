package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2 "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

// WhyMissing returns why a stage cannot be found, and which name may have been meant.
func WhyMissing(ctx context.Context, s *desired.Spec, c *Clients, ref record.StageRef) string {
	return (&Stage{s: s, c: c, ref: ref}).missing(ctx, errors.New("AWS knows no such API or stage")).Error()
}

// missing says why there is no such stage: no such API, an API of another kind, no such
// stage, never deployed. cause is what AWS answered.
func (r *Stage) missing(ctx context.Context, cause error) error {
	stages, err := r.c.APIGateway.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &r.ref.API})
	switch {
	case awserr.NotFound(err):
		return r.missingAPI(ctx)
	case err != nil:
		return errors.Join(cause, err)
	case len(stages.Item) == 0:
		return &refusal{ErrNoParent, fmt.Sprintf("the API %s was never deployed, so it has no stages: deploy it first, with `aws apigateway create-deployment --rest-api-id %s --stage-name %s --region %s`",
			r.ref.API, r.ref.API, r.ref.Stage, r.s.Region)}
	}
	var names []string
	for _, st := range stages.Item {
		names = append(names, aws.ToString(st.StageName))
	}
	return &refusal{ErrNoParent, fmt.Sprintf("the API %s has no stage %s: %s", r.ref.API, r.ref.Stage, offer(r.ref.Stage, names, "it has "))}
}

func (r *Stage) missingAPI(ctx context.Context) error {
	// Only a clear yes counts: the local endpoint has no such APIs, and not everybody may ask.
	if out, err := r.c.APIGatewayV2.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: &r.ref.API}); err == nil {
		return &refusal{ErrNoParent, otherAPIText(r.ref.API, aws.ToString(out.Name), out.ProtocolType)}
	}
	text := fmt.Sprintf("there is no API %s in %s of account %s", r.ref.API, r.s.Region, r.s.Account)
	apis, err := r.listAPIs(ctx)
	if err != nil {
		return &refusal{ErrNoParent, text} // who may not list has at least the fact
	}
	return &refusal{ErrNoParent, text + ": " + nearestAPI(r.ref.API, apis)}
}

type apiName struct{ id, name string }

func (a apiName) String() string { return fmt.Sprintf("%s (%s)", a.id, a.name) }

func (r *Stage) listAPIs(ctx context.Context) ([]apiName, error) {
	var apis []apiName
	pages := apigateway.NewGetRestApisPaginator(r.c.APIGateway, &apigateway.GetRestApisInput{Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range page.Items {
			apis = append(apis, apiName{aws.ToString(a.Id), aws.ToString(a.Name)})
		}
	}
	return apis, nil
}

// nearestAPI is the API that was probably meant, by its id or its name.
func nearestAPI(got string, apis []apiName) string {
	var ids, names, all []string
	for _, a := range apis {
		ids, names, all = append(ids, a.id), append(names, a.name), append(all, a.String())
	}
	for _, list := range [][]string{ids, names} {
		name, ok := nearest.Name(got, list)
		for i := range list {
			if ok && list[i] == name {
				return "did you mean " + all[i] + "? stages: takes an API's id"
			}
		}
	}
	if len(all) == 0 {
		return "it has no REST APIs at all; is this the right Region and account?"
	}
	return "its REST APIs are " + listed(all) + "; is this the right Region and account?"
}

func offer(got string, names []string, have string) string {
	if name, ok := nearest.Name(got, names); ok {
		return fmt.Sprintf("did you mean %s?", name)
	}
	return have + listed(names)
}

// maxListed keeps an error on a screen.
const maxListed = 8

func listed(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// otherAPIText is what AWS does not allow, and what to use instead.
func otherAPIText(id, name string, protocol v2.ProtocolType) string {
	kind, lacks := "an HTTP API", " HTTP APIs also have no API keys and no usage plans, so there would be no customer to name."
	if protocol == v2.ProtocolTypeWebsocket {
		kind, lacks = "a WebSocket API", ""
	}
	return fmt.Sprintf("%s (%s) is %s, and AWS lets HTTP and WebSocket APIs log to CloudWatch Logs alone, never to a Firehose delivery stream.%s "+
		"Use a REST API instead, which can stand in front of the same backend with an HTTP proxy integration; or keep this one out of stagelog, and log it with `aws apigatewayv2 update-stage --api-id %s --access-log-settings` to a log group",
		id, name, kind, lacks, id)
}

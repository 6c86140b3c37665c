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

// WhyMissing explains why a stage cannot be found, and suggests a similar name.
func WhyMissing(ctx context.Context, s *desired.Spec, c *Clients, ref record.StageRef) string {
	return (&Stage{s: s, c: c, ref: ref}).missing(ctx, errors.New("API or stage not found")).Error()
}

// missing returns an error that explains why the stage is missing: no such API, another kind of
// API, no such stage, or never deployed. cause is AWS's error.
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
	return &refusal{ErrNoParent, fmt.Sprintf("API %s has no stage %s: %s", r.ref.API, r.ref.Stage, offer(r.ref.Stage, names, "its stages are "))}
}

func (r *Stage) missingAPI(ctx context.Context) error {
	// Errors are ignored: the local endpoint has no such APIs, and the call may be denied.
	if out, err := r.c.APIGatewayV2.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: &r.ref.API}); err == nil {
		return &refusal{ErrNoParent, otherAPIText(r.ref.API, aws.ToString(out.Name), out.ProtocolType)}
	}
	text := fmt.Sprintf("API %s not found in %s of account %s", r.ref.API, r.s.Region, r.s.Account)
	apis, err := r.listAPIs(ctx)
	if err != nil {
		return &refusal{ErrNoParent, text} // listing may be denied
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

// nearestAPI suggests the API that was probably meant, by ID or name.
func nearestAPI(got string, apis []apiName) string {
	var ids, names, all []string
	for _, a := range apis {
		ids, names, all = append(ids, a.id), append(names, a.name), append(all, a.String())
	}
	for _, list := range [][]string{ids, names} {
		name, ok := nearest.Name(got, list)
		for i := range list {
			if ok && list[i] == name {
				return "did you mean " + all[i] + "? stages: needs the API's ID"
			}
		}
	}
	if len(all) == 0 {
		return "it has no REST APIs; check the Region and account"
	}
	return "its REST APIs are " + listed(all) + "; check the Region and account"
}

func offer(got string, names []string, have string) string {
	if name, ok := nearest.Name(got, names); ok {
		return fmt.Sprintf("did you mean %s?", name)
	}
	return have + listed(names)
}

// maxListed limits the names in an error.
const maxListed = 8

func listed(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// otherAPIText explains that AWS does not support such an API here, and what to use instead.
func otherAPIText(id, name string, protocol v2.ProtocolType) string {
	kind, lacks := "an HTTP API", " HTTP APIs also have no API keys or usage plans to identify customers by."
	if protocol == v2.ProtocolTypeWebsocket {
		kind, lacks = "a WebSocket API", ""
	}
	return fmt.Sprintf("%s (%s) is %s, which can log only to CloudWatch Logs, not to a Firehose delivery stream.%s "+
		"Use a REST API in front of the same backend (HTTP proxy integration), or log this API without stagelog, with `aws apigatewayv2 update-stage --api-id %s --access-log-settings` to a log group",
		id, name, kind, lacks, id)
}

package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/record"
)

// pageSize is the largest page of API Gateway's lists.
const pageSize = 500

func (l *finder) restAPIs(ctx context.Context) ([]API, error) {
	var all []API
	pages := apigateway.NewGetRestApisPaginator(l.c.APIGateway, &apigateway.GetRestApisInput{Limit: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		if err := l.pace.Wait(ctx); err != nil {
			return nil, err
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range page.Items {
			all = append(all, API{aws.ToString(a.Id), aws.ToString(a.Name), "REST"})
		}
	}
	slices.SortFunc(all, func(a, b API) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID, b.ID))
	})
	if len(all) > maxAPIs {
		l.found.Notes = append(l.found.Notes, fmt.Sprintf("of %d REST APIs only the first %d by name were read", len(all), maxAPIs))
		all = all[:maxAPIs]
	}
	l.found.APIs = len(all)
	return all, nil
}

// stages reads the stages of each API. APIs that cannot be read are listed in one note.
func (l *finder) stages(ctx context.Context, apis []API) {
	stages, errs := make([][]Stage, len(apis)), make([]error, len(apis))
	inGroup(len(apis), func(i int) { stages[i], errs[i] = l.stagesOf(ctx, apis[i]) })
	var refused []string
	var first error
	for i, api := range apis {
		switch {
		case errs[i] != nil:
			refused = append(refused, api.String())
			if first == nil {
				first = errs[i]
			}
		case len(stages[i]) == 0:
			l.found.Undeployed = append(l.found.Undeployed, api)
		}
		l.found.Stages = append(l.found.Stages, stages[i]...)
	}
	l.note("stages of "+listed(refused), first)
}

// inGroup calls do for 0 to n-1, a few at a time, and waits.
func inGroup(n int, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(inParallel)
	for i := range n {
		group.Go(func() error { do(i); return nil })
	}
	_ = group.Wait() // do never fails
}

func (l *finder) stagesOf(ctx context.Context, api API) ([]Stage, error) {
	if err := l.pace.Wait(ctx); err != nil {
		return nil, err
	}
	out, err := l.c.APIGateway.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &api.ID})
	if err != nil {
		return nil, err
	}
	var all []Stage
	for _, st := range out.Item {
		s := Stage{API: api, Name: aws.ToString(st.StageName)}
		if a := st.AccessLogSettings; a != nil {
			s.Destination, s.Format = aws.ToString(a.DestinationArn), aws.ToString(a.Format)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Stage) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// plans finds the usage plans that contain each stage.
func (l *finder) plans(ctx context.Context) error {
	of := map[record.StageRef][]string{}
	pages := apigateway.NewGetUsagePlansPaginator(l.c.APIGateway, &apigateway.GetUsagePlansInput{Limit: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		if err := l.pace.Wait(ctx); err != nil {
			return err
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, p := range page.Items {
			for _, st := range p.ApiStages {
				ref := record.StageRef{API: aws.ToString(st.ApiId), Stage: aws.ToString(st.Stage)}
				of[ref] = append(of[ref], aws.ToString(p.Name))
			}
		}
	}
	for i := range l.found.Stages {
		s := &l.found.Stages[i]
		s.Plans = of[s.Ref()]
		slices.Sort(s.Plans)
	}
	l.found.PlansKnown = true
	return nil
}

func (l *finder) otherAPIs(ctx context.Context) error {
	in := &apigatewayv2.GetApisInput{MaxResults: aws.String(fmt.Sprint(pageSize))}
	for len(l.found.Other) < maxAPIs {
		if err := l.pace.Wait(ctx); err != nil {
			return err
		}
		out, err := l.c.APIGatewayV2.GetApis(ctx, in)
		if awserr.Unsupported(err) {
			return nil // an endpoint other than AWS may not have such APIs
		}
		if err != nil {
			return err
		}
		for _, a := range out.Items {
			l.found.Other = append(l.found.Other, API{aws.ToString(a.ApiId), aws.ToString(a.Name), string(a.ProtocolType)})
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
	}
	return nil
}

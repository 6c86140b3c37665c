// Package discover finds the API stages of an AWS account and what they log, and derives a pipeline from them for
// `stagelog init`: a new one, or one that describes a delivery stream that already receives the logs. It only reads.
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

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
)

const (
	inParallel = 4

	// maxAPIs limits the duration of Find: each API takes one call.
	maxAPIs = 500
)

// Found lists the APIs, stages and delivery streams of an account in one Region.
type Found struct {
	APIs       int     // number of REST APIs
	Stages     []Stage // of the REST APIs, in the order of the APIs' names
	Undeployed []API   // REST APIs without a stage
	Other      []API   // HTTP and WebSocket APIs, which cannot log to a delivery stream
	PlansKnown bool    // whether the usage plans could be read
	Notes      []string
}

// API identifies an API.
type API struct {
	ID, Name string
	Protocol string // REST, HTTP or WEBSOCKET
}

// String returns "id (name)".
func (a API) String() string { return fmt.Sprintf("%s (%s)", a.ID, a.Name) }

// Stage represents a stage of a REST API.
type Stage struct {
	API         API
	Name        string
	Destination string   // ARN that receives its access logs; "" if it logs nothing
	Format      string   // of its access logs
	Plans       []string // names of its usage plans
	Stream      *Stream  // the destination; nil if it is not a delivery stream to S3, or cannot be read
}

// Ref returns the stage's name in stagelog.yaml.
func (s Stage) Ref() record.StageRef { return record.StageRef{API: s.API.ID, Stage: s.Name} }

// Stream represents a delivery stream to a bucket.
type Stream struct {
	Name     string
	Bucket   string
	Deliver  config.Deliver // ErrorPrefix is "" if the stream has none
	ORC      bool           // records are converted to ORC, which pipelines do not support
	Function string         // ARN of the function that transforms the records; "" if there is none
	Readers  []string       // other accounts that the bucket policy allows to get objects, without a condition
	Fields   []string       // of a record that it delivered, from Sample; Find leaves them empty
}

// Find reads the account. Anything it is not allowed to read becomes a note. It fails only if the REST APIs cannot be
// listed, or ctx ends.
func Find(ctx context.Context, c *provision.Clients) (Found, error) {
	l := finder{c: c}
	apis, err := l.restAPIs(ctx)
	if err != nil {
		return Found{}, provision.Explain(fmt.Errorf("list the REST APIs: %w", err))
	}
	l.stages(ctx, apis)
	l.note("usage plans", l.plans(ctx))
	l.note("HTTP and WebSocket APIs", l.otherAPIs(ctx))
	l.streams(ctx)
	if ctx.Err() != nil {
		return Found{}, ctx.Err()
	}
	return l.found, nil
}

// finder holds the state of one Find.
type finder struct {
	c     *provision.Clients
	found Found // owned by the goroutine that called Find
}

// note adds a note that what could not be read because of err, unless err is nil.
func (l *finder) note(what string, err error) {
	if err != nil {
		l.found.Notes = append(l.found.Notes, fmt.Sprintf("cannot read the %s: %v", what, provision.Explain(err)))
	}
}

// pageSize is the largest page of API Gateway's lists.
const pageSize = 500

func (l *finder) restAPIs(ctx context.Context) ([]API, error) {
	var all []API
	pages := apigateway.NewGetRestApisPaginator(l.c.APIGateway, &apigateway.GetRestApisInput{Limit: aws.Int32(pageSize)})
	for pages.HasMorePages() {
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
	l.note("stages of "+provision.Listed(refused), first)
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

// Package discover looks at an AWS account as `stagelog init` needs it: which stages there are,
// what they log already, and whether there is a chain that could be taken over.
package discover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"golang.org/x/sync/errgroup"

	"github.com/stagelog/stagelog/internal/pipeline"
	"github.com/stagelog/stagelog/internal/provision"
)

const (
	// inParallel and maxAPIs bound what is asked of API Gateway, which takes 10 calls a
	// second for everything in an account.
	inParallel = 4
	maxAPIs    = 500
)

// Found is what an account has in one Region.
type Found struct {
	Stages []Stage  // of REST APIs, in the order of their APIs' names
	Bare   []API    // REST APIs without a stage: never deployed
	Other  []API    // HTTP and WebSocket APIs, which cannot log to a delivery stream
	Notes  []string // what could not be looked at, and why
}

// API is an API by its id and its name.
type API struct{ ID, Name string }

// Stage is a stage of a REST API.
type Stage struct {
	API         API
	Name        string
	Destination string // ARN of what it logs to; "" for nothing
	Format      string // of its access logs
	Plans       int    // usage plans that hold it
	Chain       *Chain // what is behind the destination, where that is a delivery stream
}

// Ref is the stage as stagelog.yaml names it.
func (s Stage) Ref() pipeline.StageRef { return pipeline.StageRef{API: s.API.ID, Stage: s.Name} }

// Chain is a delivery stream to a bucket.
type Chain struct {
	Stream   string
	Bucket   string
	Deliver  pipeline.Deliver // ErrorPrefix "" where none is set
	Function string           // ARN; "" where records go as they came
}

// Find looks. Where something may not be looked at it says so in Notes and goes on; only without
// the REST APIs themselves there is nothing to find.
func Find(ctx context.Context, c *provision.Clients) (Found, error) {
	var f Found
	apis, err := restAPIs(ctx, c, &f)
	if err != nil {
		return Found{}, err
	}
	stages := make([][]Stage, len(apis))
	var group errgroup.Group
	group.SetLimit(inParallel)
	for i, api := range apis {
		group.Go(func() (err error) {
			stages[i], err = stagesOf(ctx, c, api)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Found{}, err
	}
	for i, all := range stages {
		if len(all) == 0 {
			f.Bare = append(f.Bare, apis[i])
		}
		f.Stages = append(f.Stages, all...)
	}
	for _, more := range []struct {
		what string
		look func(context.Context, *provision.Clients, *Found) error
	}{{"usage plans", plans}, {"HTTP and WebSocket APIs", otherAPIs}, {"delivery streams", chains}} {
		if err := more.look(ctx, c, &f); err != nil {
			if ctx.Err() != nil {
				return Found{}, ctx.Err()
			}
			f.Notes = append(f.Notes, fmt.Sprintf("the %s could not be looked at: %v", more.what, provision.Explain(err)))
		}
	}
	return f, nil
}

func restAPIs(ctx context.Context, c *provision.Clients, f *Found) ([]API, error) {
	var all []API
	pages := apigateway.NewGetRestApisPaginator(c.APIGateway, &apigateway.GetRestApisInput{Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the REST APIs: %w", err)
		}
		for _, a := range page.Items {
			all = append(all, API{aws.ToString(a.Id), aws.ToString(a.Name)})
		}
	}
	slices.SortFunc(all, func(a, b API) int { return strings.Compare(a.Name+"/"+a.ID, b.Name+"/"+b.ID) })
	if len(all) > maxAPIs {
		f.Notes = append(f.Notes, fmt.Sprintf("of %d REST APIs the first %d were looked at", len(all), maxAPIs))
		all = all[:maxAPIs]
	}
	return all, nil
}

func stagesOf(ctx context.Context, c *provision.Clients, api API) ([]Stage, error) {
	out, err := c.APIGateway.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &api.ID})
	if err != nil {
		return nil, fmt.Errorf("list the stages of %s (%s): %w", api.ID, api.Name, err)
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

// plans counts the usage plans of each stage.
func plans(ctx context.Context, c *provision.Clients, f *Found) error {
	count := map[pipeline.StageRef]int{}
	pages := apigateway.NewGetUsagePlansPaginator(c.APIGateway, &apigateway.GetUsagePlansInput{Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, p := range page.Items {
			for _, st := range p.ApiStages {
				count[pipeline.StageRef{API: aws.ToString(st.ApiId), Stage: aws.ToString(st.Stage)}]++
			}
		}
	}
	for i := range f.Stages {
		f.Stages[i].Plans = count[f.Stages[i].Ref()]
	}
	return nil
}

func otherAPIs(ctx context.Context, c *provision.Clients, f *Found) error {
	in := &apigatewayv2.GetApisInput{}
	for range maxAPIs {
		out, err := c.APIGatewayV2.GetApis(ctx, in)
		if err != nil {
			return err
		}
		for _, a := range out.Items {
			f.Other = append(f.Other, API{aws.ToString(a.ApiId), aws.ToString(a.Name)})
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	return nil
}

// chains looks behind the destinations that are delivery streams, each once.
func chains(ctx context.Context, c *provision.Clients, f *Found) error {
	known := map[string]*Chain{}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(inParallel)
	for _, st := range f.Stages {
		_, stream, ok := strings.Cut(st.Destination, ":deliverystream/")
		if _, asked := known[st.Destination]; !ok || asked {
			continue
		}
		known[st.Destination] = nil
		group.Go(func() error {
			found, err := chain(ctx, c, stream)
			mu.Lock()
			defer mu.Unlock()
			known[st.Destination] = found
			return err
		})
	}
	err := group.Wait()
	for i := range f.Stages {
		f.Stages[i].Chain = known[f.Stages[i].Destination]
	}
	return err
}

// chain is what is behind a delivery stream; nil where it is gone or does not deliver to S3.
func chain(ctx context.Context, c *provision.Clients, stream string) (*Chain, error) {
	out, err := c.Firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &stream})
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := out.DeliveryStreamDescription
	if len(d.Destinations) == 0 || d.Destinations[0].ExtendedS3DestinationDescription == nil {
		return nil, nil
	}
	to := d.Destinations[0].ExtendedS3DestinationDescription
	_, bucket, _ := strings.Cut(aws.ToString(to.BucketARN), ":::")
	found := &Chain{Stream: stream, Bucket: bucket, Deliver: pipeline.Deliver{
		Prefix: aws.ToString(to.Prefix), ErrorPrefix: aws.ToString(to.ErrorOutputPrefix), Compression: string(to.CompressionFormat),
		Interval: 300 * time.Second, Size: 5 << 20, // Firehose's own
	}}
	if h := to.BufferingHints; h != nil && h.IntervalInSeconds != nil && h.SizeInMBs != nil {
		found.Deliver.Interval, found.Deliver.Size = time.Duration(*h.IntervalInSeconds)*time.Second, int64(*h.SizeInMBs)<<20
	}
	if p := to.ProcessingConfiguration; p != nil && aws.ToBool(p.Enabled) {
		for _, processor := range p.Processors {
			for _, param := range processor.Parameters {
				if param.ParameterName == types.ProcessorParameterNameLambdaArn {
					found.Function = aws.ToString(param.ParameterValue)
				}
			}
		}
	}
	return found, nil
}

package provision

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lakeformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Parts groups a pipeline's resources, each group in order of creation.
type Parts struct {
	Bucket   []Resource // the bucket, then its policy
	Function []Resource
	Stream   []Resource
	Stages   []Resource
	// Monitoring has the alarms and the dashboard, which `up` does not create.
	Monitoring []Resource
}

// PartsOf returns the resources of a pipeline. They do not include a function built into the endpoint's process.
func PartsOf(d *desired.Resources, c *Clients) Parts {
	function, stream := newFunction(d, c), newStream(d, c)
	functionRole, firehoseRole := roleResource(d, d.FunctionRole, lambdaService, c), roleResource(d, d.FirehoseRole, firehoseService, c)
	function.role, _ = functionRole.(*role) // nil for an existing role
	stream.role, _ = firehoseRole.(*role)
	p := Parts{
		Bucket:   []Resource{newBucket(d, c)},
		Function: []Resource{newLogGroup(d.Spec, d.FunctionLog, c), functionRole},
		Stream:   []Resource{newLogGroup(d.Spec, d.StreamLog, c)},
	}
	if !d.Bucket.Others { // only the owner can read and change the policy
		p.Bucket = append(p.Bucket, newBucketPolicy(d, c))
	}
	if !d.Function.Builtin {
		p.Function = append(p.Function, function)
	}
	if d.Table != nil {
		p.Stream = append(p.Stream, newDatabase(d, c), newTable(d, c))
	}
	p.Stream = append(p.Stream, firehoseRole, stream)
	for _, st := range newStages(d, c, d.Spec.Pipeline.Stages) {
		p.Stages = append(p.Stages, st)
	}
	p.Monitoring = monitoring(d, c)
	return p
}

// Resources returns a pipeline's resources in order of creation. They are destroyed in reverse order.
func Resources(d *desired.Resources, c *Clients) []Resource {
	p := PartsOf(d, c)
	return slices.Concat(p.Bucket, p.Function, p.Stream, p.Monitoring, p.Stages)
}

// Ensure reads resources concurrently, then creates or changes those that differ, in order. It fails without a change to a
// resource that requires a flag that was not given.
func Ensure(ctx context.Context, resources []Resource, given ...Flag) error {
	found, err := readAll(ctx, resources, func(int, error) bool { return false })
	if err == nil {
		err = refused(resources, found)
	}
	if err != nil {
		return err
	}
	for i, r := range resources {
		s := makeStep(r, found[i], given)
		switch s.Action {
		case NoOp:
			continue
		case Blocked:
			return fmt.Errorf("%s %s: %s", s.Kind, s.Name, s.Reason)
		}
		if err := r.Apply(ctx, found[i], func(string) {}); err != nil {
			return fmt.Errorf("%s %s: %w", s.Kind, s.Name, Explain(err))
		}
	}
	return nil
}

// Clients holds the clients of the AWS services that a pipeline uses, for one account and Region.
type Clients struct {
	S3           *s3.Client
	IAM          *iam.Client
	Logs         *cloudwatchlogs.Client
	Lambda       *lambda.Client
	Firehose     *firehose.Client
	APIGateway   *apigateway.Client
	APIGatewayV2 *apigatewayv2.Client
	STS          *sts.Client
	CloudWatch   *cloudwatch.Client // metrics
	Glue         *glue.Client       // the Data Catalog
	KMS          *kms.Client        // keys of buckets
	S3Control    *s3control.Client  // tags of buckets that use them for access control

	LakeFormation *lakeformation.Client // permissions on the Data Catalog

	pace *pace // of APIGateway and APIGatewayV2
}

// NewClients creates the clients from one configuration. With a custom endpoint (BaseEndpoint)
// buckets are addressed by path, as host names below it may not resolve.
func NewClients(cfg aws.Config) *Clients {
	pace := newPace()
	return &Clients{
		pace: pace,
		S3: s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.UsePathStyle = cfg.BaseEndpoint != nil
			o.DisableLogOutputChecksumValidationSkipped = true // other S3 servers send no checksums
		}),
		IAM:      iam.NewFromConfig(cfg),
		Logs:     cloudwatchlogs.NewFromConfig(cfg),
		Lambda:   lambda.NewFromConfig(cfg),
		Firehose: firehose.NewFromConfig(cfg),
		APIGateway: apigateway.NewFromConfig(cfg, func(o *apigateway.Options) {
			o.HTTPClient, o.Retryer = &pacedClient{o.HTTPClient, pace}, retryerFor(cfg, o.Retryer)
		}),
		APIGatewayV2: apigatewayv2.NewFromConfig(cfg, func(o *apigatewayv2.Options) {
			o.HTTPClient, o.Retryer = &pacedClient{o.HTTPClient, pace}, retryerFor(cfg, o.Retryer)
		}),
		STS:       sts.NewFromConfig(cfg),
		Glue:      glue.NewFromConfig(cfg),
		KMS:       kms.NewFromConfig(cfg),
		S3Control: s3control.NewFromConfig(cfg),

		LakeFormation: lakeformation.NewFromConfig(cfg),
		CloudWatch: cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) {
			// Of the three protocols that AWS accepts, other endpoints understand this one.
			o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801)
		}),
	}
}

// Pages returns the pages of a list. An error ends it and comes as the last element.
func Pages[P, O any](ctx context.Context, list interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(O)) (P, error)
}) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		for list.HasMorePages() {
			page, err := list.NextPage(ctx)
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

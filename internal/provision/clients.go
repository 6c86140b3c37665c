package provision

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

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
}

// NewClients creates the clients from one configuration. With a custom endpoint (BaseEndpoint)
// buckets are addressed by path, as host names below it may not resolve.
func NewClients(cfg aws.Config) *Clients {
	return &Clients{
		S3: s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.UsePathStyle = cfg.BaseEndpoint != nil
			o.DisableLogOutputChecksumValidationSkipped = true // other S3 servers send no checksums
		}),
		IAM:          iam.NewFromConfig(cfg),
		Logs:         cloudwatchlogs.NewFromConfig(cfg),
		Lambda:       lambda.NewFromConfig(cfg),
		Firehose:     firehose.NewFromConfig(cfg),
		APIGateway:   apigateway.NewFromConfig(cfg),
		APIGatewayV2: apigatewayv2.NewFromConfig(cfg),
		STS:          sts.NewFromConfig(cfg),
		Glue:         glue.NewFromConfig(cfg),
		CloudWatch: cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) {
			// Of the three protocols that AWS accepts, other endpoints understand this one.
			o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801)
		}),
	}
}

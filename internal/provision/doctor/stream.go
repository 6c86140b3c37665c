package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// stream holds the state of a delivery stream and its dependencies. It is filled in as the chain
// is examined.
type stream struct {
	arn, name, region, account string

	stages  []*stage
	err     error // reading the stream failed
	missing bool
	owned   bool // has the pipeline's owner tag

	d              *types.DeliveryStreamDescription
	to             *types.ExtendedS3DestinationDescription // nil if it does not deliver to S3
	destinationID  string
	bucket         string                  // name
	role           *provision.RolePolicies // of the destination
	function       string                  // ARN in the processor; "" without one
	functionRole   string                  // ARN of the role that calls the function
	functionHints  provision.FunctionHints // buffering hints of the function
	delimiter      bool                    // a processor adds newlines
	functionExists bool
	ownFunction    bool // the function is stagelog's own
	policy         *bucketPolicy
	key            *provision.KMSKey // encrypts the objects; nil without one
	bucketKey      bool
	blocked        string // why no record can be delivered; "" if one might
}

// readStream describes a stream and its destination.
func (r *run) readStream(ctx context.Context, streamARN string) *stream {
	s := &stream{arn: streamARN}
	if at, err := arn.Parse(streamARN); err == nil {
		s.region, s.account, s.name = at.Region, at.AccountID, strings.TrimPrefix(at.Resource, streamResource)
	}
	if s.region != r.t.Region || s.account != r.t.Account {
		s.err = errElsewhere
		return s
	}
	out, err := r.c.Firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &s.name})
	if awserr.NotFound(err) {
		s.missing = true
	}
	if err != nil {
		s.err = err
		return s
	}
	s.d = out.DeliveryStreamDescription
	s.readDestination()
	s.owned = r.carriesTag(ctx, s.name)
	return s
}

// errElsewhere means that the stream cannot be read with these credentials.
var errElsewhere = errors.New("the stream is in another account or Region")

// carriesTag reports whether the stream has the pipeline's owner tag. If the tags cannot be read,
// it reports false.
func (r *run) carriesTag(ctx context.Context, name string) bool {
	if r.t.Spec == nil {
		return false
	}
	out, err := r.c.Firehose.ListTagsForDeliveryStream(ctx, &firehose.ListTagsForDeliveryStreamInput{DeliveryStreamName: &name})
	if err != nil {
		return false
	}
	return slices.ContainsFunc(out.Tags, func(t types.Tag) bool {
		return aws.ToString(t.Key) == desired.OwnerTag && aws.ToString(t.Value) == r.t.Spec.Owner()
	})
}

// readDestination sets the fields for the stream's S3 destination.
func (s *stream) readDestination() {
	if len(s.d.Destinations) == 0 {
		return
	}
	to := s.d.Destinations[0]
	s.destinationID = aws.ToString(to.DestinationId)
	if s.to = provision.S3Destination(to); s.to == nil {
		return
	}
	_, s.bucket, _ = strings.Cut(aws.ToString(s.to.BucketARN), ":::")
	s.functionRole = aws.ToString(s.to.RoleARN)
	if p := s.to.ProcessingConfiguration; p != nil && aws.ToBool(p.Enabled) {
		for _, processor := range p.Processors {
			s.readProcessor(processor)
		}
	}
}

func (s *stream) readProcessor(p types.Processor) {
	if p.Type == types.ProcessorTypeAppendDelimiterToRecord {
		s.delimiter = true
	}
	if p.Type != types.ProcessorTypeLambda {
		return
	}
	s.functionHints = provision.FunctionHintsOf(p.Parameters)
	for _, param := range p.Parameters {
		value := aws.ToString(param.ParameterValue)
		switch param.ParameterName {
		case types.ProcessorParameterNameLambdaArn:
			s.function = value
		case types.ProcessorParameterNameRoleArn:
			s.functionRole = value
		}
	}
}

// wait returns how long the stream may buffer a record before delivery.
func (s *stream) wait() time.Duration { return provision.HintsOf(s.to).Interval }

func (s *stream) prefix() string      { return aws.ToString(s.to.Prefix) }
func (s *stream) errorPrefix() string { return aws.ToString(s.to.ErrorOutputPrefix) }

// bucketARN returns the ARN of the destination bucket.
func (s *stream) bucketARN() string { return aws.ToString(s.to.BucketARN) }

// checkStream examines the stream, its role, its processing and its delivery.
func (r *run) checkStream(ctx context.Context, s *stream) {
	switch {
	case errors.Is(s.err, errElsewhere):
		r.out.problem(Skipped, linkStream, "state", finding{
			found: "not checked: the stream " + s.name, cause: "these credentials are for account " + r.t.Account + " in " + r.t.Region,
			fix: "run doctor with credentials of account " + s.account + " and --region " + s.region,
		})
		return
	case s.missing:
		if len(s.stages) == 0 { // else reported by checkDestination
			r.out.problem(Failed, linkStream, "state", finding{found: "the delivery stream " + s.name + " does not exist", cause: "it was deleted or never created", consequence: "nothing can be logged", fix: r.repair(s, command("firehose", "create-delivery-stream", "help"))})
		}
		return
	case s.err != nil:
		r.unknown(linkStream, "state", "the delivery stream "+s.name, need{"firehose:DescribeDeliveryStream", s.arn}, s.err)
		return
	}
	r.checkState(s)
	r.checkType(s)
	if s.to == nil {
		return
	}
	s.role = r.readRole(ctx, aws.ToString(s.to.RoleARN))
	s.policy = r.readBucketPolicy(ctx, s)
	r.checkFirehoseRole(ctx, s)
	r.checkProcessing(s)
	r.checkDelivery(ctx, s)
	r.checkErrorLog(ctx, s)
}

func (r *run) checkState(s *stream) {
	state := s.d.DeliveryStreamStatus
	remove := command("firehose", "delete-delivery-stream", "--region", s.region, "--delivery-stream-name", s.name)
	f := finding{found: fmt.Sprintf("%s is %s", s.name, state)}
	if why := s.d.FailureDescription; why != nil {
		f.cause = fmt.Sprintf("%s: %s", why.Type, aws.ToString(why.Details))
	}
	switch state {
	case types.DeliveryStreamStatusActive:
		r.out.ok(linkStream, "state", "%s is ACTIVE", s.name)
	case types.DeliveryStreamStatusCreating:
		f.cause, f.consequence = "Firehose is still creating it", "it accepts no records until it is ACTIVE"
		f.fix = command("firehose", "describe-delivery-stream", "--region", s.region, "--delivery-stream-name", s.name, "--query", "DeliveryStreamDescription.DeliveryStreamStatus") + "\nthen run doctor again when it is ACTIVE"
		r.out.problem(Warning, linkStream, "state", f)
	default:
		f.consequence = "it does not accept or deliver records: API Gateway drops them silently"
		if f.cause == "" {
			f.cause = "a stream can leave this state only by being deleted"
		}
		f.fix = r.repair(s, remove+"\nthen create it again")
		r.out.problem(Failed, linkStream, "state", f)
	}
	if e := s.d.DeliveryStreamEncryptionConfiguration; e != nil && (e.Status == types.DeliveryStreamEncryptionStatusEnablingFailed || e.Status == types.DeliveryStreamEncryptionStatusDisablingFailed) {
		p := finding{found: fmt.Sprintf("server-side encryption is %s", e.Status), cause: "Firehose cannot use the key", consequence: "it may reject records",
			fix: command("firehose", "stop-delivery-stream-encryption", "--region", s.region, "--delivery-stream-name", s.name)}
		if why := e.FailureDescription; why != nil {
			p.cause = fmt.Sprintf("%s: %s", why.Type, aws.ToString(why.Details))
		}
		r.out.problem(Failed, linkStream, "server-side encryption", p)
	}
}

func (r *run) checkType(s *stream) {
	f := finding{fix: r.repair(nil, "create a stream with --delivery-stream-type DirectPut and an S3 destination, and set it as the stage's destination")}
	switch {
	case s.d.DeliveryStreamType != "" && s.d.DeliveryStreamType != types.DeliveryStreamTypeDirectPut:
		f.found = fmt.Sprintf("the source of %s is %s", s.name, s.d.DeliveryStreamType)
		f.cause = "API Gateway writes with PutRecord, which only Direct PUT streams accept"
		f.consequence = "API Gateway drops the records silently"
	case s.to == nil:
		f.found = s.name + " does not deliver to S3"
		f.cause = "it has another type of destination"
		f.consequence = "no object is written to a bucket; the rest of the chain is not examined"
	default:
		r.out.ok(linkStream, "type", "Direct PUT to s3://%s/%s", s.bucket, s.prefix())
		return
	}
	r.out.problem(Failed, linkStream, "type", f)
}

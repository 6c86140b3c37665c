package discover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

// streams reads each destination that is a delivery stream, once.
func (l *finder) streams(ctx context.Context) {
	var arns []string
	for _, st := range l.found.Stages {
		if strings.Contains(st.Destination, ":deliverystream/") && !slices.Contains(arns, st.Destination) {
			arns = append(arns, st.Destination)
		}
	}
	streams, errs := make([]*Stream, len(arns)), make([]error, len(arns))
	inGroup(len(arns), func(i int) {
		_, name, _ := strings.Cut(arns[i], ":deliverystream/")
		streams[i], errs[i] = l.stream(ctx, name)
	})
	for i, arn := range arns {
		_, name, _ := strings.Cut(arn, ":deliverystream/")
		if errors.Is(errs[i], errNoStream) {
			l.found.Notes = append(l.found.Notes, fmt.Sprintf("%s log to the delivery stream %s, which does not exist: their access logs are lost", l.loggingTo(arn), name))
			continue
		}
		l.note("delivery stream "+name, errs[i])
		if streams[i] != nil {
			l.note("policy of the bucket "+streams[i].Bucket, l.readers(ctx, arn, streams[i]))
		}
		for j := range l.found.Stages {
			if l.found.Stages[j].Destination == arn {
				l.found.Stages[j].Stream = streams[i]
			}
		}
	}
}

func (l *finder) loggingTo(arn string) string {
	var refs []string
	for _, st := range l.found.Stages {
		if st.Destination == arn {
			refs = append(refs, st.Ref().String())
		}
	}
	return provision.Listed(refs)
}

var errNoStream = errors.New("no such delivery stream")

// stream reads a delivery stream. It returns nil if the stream does not deliver to S3.
func (l *finder) stream(ctx context.Context, name string) (*Stream, error) {
	out, err := l.c.Firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &name})
	if awserr.NotFound(err) {
		return nil, errNoStream
	}
	if err != nil {
		return nil, err
	}
	to := out.DeliveryStreamDescription.Destinations
	if len(to) == 0 || to[0].ExtendedS3DestinationDescription == nil {
		return nil, nil
	}
	return newStream(name, to[0].ExtendedS3DestinationDescription), nil
}

// formatOf returns the format that a stream converts its records to, or nil.
func formatOf(c *types.DataFormatConversionConfiguration) *types.Serializer {
	if !provision.Converts(c) || c.OutputFormatConfiguration == nil {
		return nil
	}
	return c.OutputFormatConfiguration.Serializer
}

func newStream(name string, to *types.ExtendedS3DestinationDescription) *Stream {
	_, bucket, _ := strings.Cut(aws.ToString(to.BucketARN), ":::")
	hints := provision.HintsOf(to)
	s := &Stream{Name: name, Bucket: bucket, Deliver: config.Deliver{
		Prefix: aws.ToString(to.Prefix), ErrorPrefix: aws.ToString(to.ErrorOutputPrefix), Compression: string(to.CompressionFormat),
		Interval: hints.Interval, Size: int64(hints.SizeMiB) << 20,
	}}
	if s.Deliver.Compression == "" {
		s.Deliver.Compression = config.Uncompressed
	}
	if format := formatOf(to.DataFormatConversionConfiguration); format != nil {
		s.ORC = format.OrcSerDe != nil
		if format.ParquetSerDe != nil {
			s.Deliver.Parquet, s.Deliver.Compression = true, pagesOf(format.ParquetSerDe)
		}
	}
	if p := to.ProcessingConfiguration; p != nil && aws.ToBool(p.Enabled) {
		for _, processor := range p.Processors {
			for _, param := range processor.Parameters {
				if param.ParameterName == types.ProcessorParameterNameLambdaArn {
					s.Function = aws.ToString(param.ParameterValue)
				}
			}
		}
	}
	return s
}

// pagesOf returns the page compression of Parquet files. Firehose's default is Snappy.
func pagesOf(p *types.ParquetSerDe) string {
	switch p.Compression {
	case types.ParquetCompressionGzip:
		return config.GZIP
	case types.ParquetCompressionUncompressed:
		return config.Uncompressed
	}
	return config.Snappy
}

// readers sets the stream's readers. arn is the stream's.
func (l *finder) readers(ctx context.Context, arn string, st *Stream) error {
	out, err := l.c.S3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &st.Bucket})
	if awserr.Is(err, "NoSuchBucketPolicy", "NoSuchBucket") {
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := policy.Parse(aws.ToString(out.Policy))
	if err != nil {
		return err
	}
	owner, bucket := "", ""
	if parts := strings.Split(arn, ":"); len(parts) > 4 {
		owner, bucket = parts[4], "arn:"+parts[1]+":s3:::"+st.Bucket
	}
	for _, s := range doc.Statements {
		if s.Effect != "Allow" || len(s.Conditions) > 0 || !slices.ContainsFunc(s.Actions, gets) || !reaches(s, bucket, st.Deliver.Prefix) {
			continue
		}
		for _, principal := range s.Principal.AWS {
			if id := accountOf(principal); id != "" && id != owner && !slices.Contains(st.Readers, id) {
				st.Readers = append(st.Readers, id)
			}
		}
	}
	return nil
}

// reaches reports whether a statement covers the objects below the prefix, or the bucket itself: statements meant for
// objects often name only the bucket, a mistake that doctor reports.
func reaches(s policy.Statement, bucket, prefix string) bool {
	if slices.Contains(s.Resources, bucket) {
		return true
	}
	prefix, _, _ = strings.Cut(prefix, "!{")
	s.Principal = policy.Principal{}
	decision, _ := policy.Evaluate([]policy.Document{{Version: policy.Version, Statements: []policy.Statement{s}}},
		policy.Request{Action: "s3:GetObject", Resource: bucket + "/" + prefix + "2026/01/31/12/object"})
	return decision == policy.Allow
}

// gets reports whether an action of a policy includes s3:GetObject.
func gets(action string) bool {
	begin, _, open := strings.Cut(strings.ToLower(action), "*")
	return begin == "s3:getobject" || open && strings.HasPrefix("s3:getobject", begin)
}

// accountOf returns the account id of a principal that represents a whole account, or "" for a user or a role.
func accountOf(principal string) string {
	if parts := strings.Split(principal, ":"); len(parts) == 6 && parts[2] == "iam" && parts[5] == "root" {
		principal = parts[4]
	}
	if len(principal) != 12 || strings.Trim(principal, "0123456789") != "" {
		return ""
	}
	return principal
}

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

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
)

// chains looks behind the destinations that are delivery streams, at each once.
func (l *look) chains(ctx context.Context) {
	var arns []string
	for _, st := range l.found.Stages {
		if strings.Contains(st.Destination, ":deliverystream/") && !slices.Contains(arns, st.Destination) {
			arns = append(arns, st.Destination)
		}
	}
	chains, errs := make([]*Chain, len(arns)), make([]error, len(arns))
	inGroup(len(arns), func(i int) {
		_, stream, _ := strings.Cut(arns[i], ":deliverystream/")
		chains[i], errs[i] = l.chain(ctx, stream)
	})
	for i, arn := range arns {
		_, stream, _ := strings.Cut(arn, ":deliverystream/")
		if errors.Is(errs[i], errGone) {
			l.found.Notes = append(l.found.Notes, fmt.Sprintf("%s log to the delivery stream %s, which does not exist: their access logs are lost", l.loggingTo(arn), stream))
			continue
		}
		l.note("delivery stream "+stream, errs[i])
		if chains[i] != nil {
			l.note("policy of the bucket "+chains[i].Bucket, l.readers(ctx, arn, chains[i]))
		}
		for j := range l.found.Stages {
			if l.found.Stages[j].Destination == arn {
				l.found.Stages[j].Chain = chains[i]
			}
		}
	}
}

func (l *look) loggingTo(arn string) string {
	var refs []string
	for _, st := range l.found.Stages {
		if st.Destination == arn {
			refs = append(refs, st.Ref().String())
		}
	}
	return listed(refs)
}

var errGone = errors.New("no such delivery stream")

// chain is what is behind a delivery stream; nil where it does not deliver to S3.
func (l *look) chain(ctx context.Context, stream string) (*Chain, error) {
	out, err := l.c.Firehose.DescribeDeliveryStream(ctx, &firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &stream})
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	to := out.DeliveryStreamDescription.Destinations
	if len(to) == 0 || to[0].ExtendedS3DestinationDescription == nil {
		return nil, nil
	}
	return newChain(stream, to[0].ExtendedS3DestinationDescription), nil
}

// formatOf is what a stream converts its records to; nil where they stay as they are.
func formatOf(c *types.DataFormatConversionConfiguration) *types.Serializer {
	if !provision.Converts(c) || c.OutputFormatConfiguration == nil {
		return nil
	}
	return c.OutputFormatConfiguration.Serializer
}

func newChain(stream string, to *types.ExtendedS3DestinationDescription) *Chain {
	_, bucket, _ := strings.Cut(aws.ToString(to.BucketARN), ":::")
	hints := provision.HintsOf(to)
	c := &Chain{Stream: stream, Bucket: bucket, Deliver: config.Deliver{
		Prefix: aws.ToString(to.Prefix), ErrorPrefix: aws.ToString(to.ErrorOutputPrefix), Compression: string(to.CompressionFormat),
		Interval: hints.Interval, Size: int64(hints.SizeMiB) << 20,
	}}
	if c.Deliver.Compression == "" {
		c.Deliver.Compression = config.Uncompressed
	}
	if format := formatOf(to.DataFormatConversionConfiguration); format != nil {
		c.ORC = format.OrcSerDe != nil
		if format.ParquetSerDe != nil {
			c.Deliver.Parquet, c.Deliver.Compression = true, pagesOf(format.ParquetSerDe)
		}
	}
	if p := to.ProcessingConfiguration; p != nil && aws.ToBool(p.Enabled) {
		for _, processor := range p.Processors {
			for _, param := range processor.Parameters {
				if param.ParameterName == types.ProcessorParameterNameLambdaArn {
					c.Function = aws.ToString(param.ParameterValue)
				}
			}
		}
	}
	return c
}

// pagesOf is how the pages of a Parquet file are compressed: with Snappy, where the stream says nothing.
func pagesOf(p *types.ParquetSerDe) string {
	switch p.Compression {
	case types.ParquetCompressionGzip:
		return config.GZIP
	case types.ParquetCompressionUncompressed:
		return config.Uncompressed
	}
	return config.Snappy
}

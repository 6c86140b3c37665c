package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	apigatewaysdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	apigatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	firehosesdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/awserr"
	"github.com/stagelog/stagelog/internal/localaws/s3server"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
)

// Step is one of the four steps that make a pipeline, named as AWS users know them.
type Step struct {
	Number       int // 1 to 4
	Name, Detail string
}

// mib is the unit of Firehose's SizeInMBs.
const mib = 1 << 20

// apply makes the chain what the pipeline says, with the same clients and calls that
// anybody would use. Repeating it changes nothing.
func (c *Chain) apply(ctx context.Context) error {
	if c.server != nil {
		if err := c.server.Ready(ctx); err != nil {
			return fmt.Errorf("start the embedded S3: %w", err)
		}
	}
	p := c.cfg.Pipeline
	if p.Name == "" {
		return nil
	}
	if c.cfg.APIsOnly {
		return c.applyAPIs(ctx)
	}
	steps := []struct {
		name string
		do   func(context.Context) (detail string, err error)
	}{
		{"S3 bucket for access logs", c.applyBucket},
		{"Lambda function for log enrichment", c.applyFunction},
		{"Kinesis Firehose delivery stream", c.applyStream},
		{"Access logging on the API stage", c.applyStages},
	}
	for i, s := range steps {
		detail, err := s.do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if c.cfg.Progress != nil {
			c.cfg.Progress(Step{Number: i + 1, Name: s.name, Detail: detail})
		}
	}
	return nil
}

func (c *Chain) applyBucket(ctx context.Context) (string, error) {
	p := c.cfg.Pipeline
	if err := c.objects.EnsureBucket(ctx, p.Bucket); err != nil {
		return "", err
	}
	if len(p.Readers) == 0 {
		// The readers of an earlier run must not stay.
		return p.Bucket, s3server.DropReaderPolicy(ctx, c.objects, p.Bucket)
	}
	if err := c.objects.PutPolicy(ctx, p.Bucket, s3server.ReaderPolicy(p.Bucket, p.Deliver.Prefix, p.Readers)); err != nil {
		return "", fmt.Errorf("let the readers in: %w", err)
	}
	return fmt.Sprintf("%s, readable by %s", p.Bucket, strings.Join(p.Readers, ", ")), nil
}

// applyFunction has nothing to make: the function is of this process.
func (c *Chain) applyFunction(context.Context) (string, error) {
	names := c.cfg.Pipeline.Names
	added := slices.DeleteFunc([]string{names.UsagePlan, names.Customer, names.UsagePlanID}, func(s string) bool { return s == "" })
	return fmt.Sprintf("%s adds %s", c.functionName(), strings.Join(added, ", ")), nil
}

func (c *Chain) applyStream(ctx context.Context) (string, error) {
	p := c.cfg.Pipeline
	if p.Deliver.Parquet {
		if err := c.applyTable(ctx); err != nil {
			return "", fmt.Errorf("table for Parquet: %w", err)
		}
	}
	name, want := p.Stream(), c.destination()
	detail := fmt.Sprintf("%s, every %v or %d MiB", name, p.Deliver.Interval, p.Deliver.Size/mib)
	if p.Deliver.Parquet {
		detail += ", as Parquet"
	}
	client := c.clients().Firehose
	found, err := client.DescribeDeliveryStream(ctx, &firehosesdk.DescribeDeliveryStreamInput{DeliveryStreamName: &name})
	if awserr.NotFound(err) {
		_, err = client.CreateDeliveryStream(ctx, &firehosesdk.CreateDeliveryStreamInput{DeliveryStreamName: &name, ExtendedS3DestinationConfiguration: want})
		return detail, err
	}
	if err != nil {
		return "", err
	}
	d := found.DeliveryStreamDescription
	if sameDestination(d.Destinations[0].ExtendedS3DestinationDescription, want) {
		return detail, nil
	}
	conversion := want.DataFormatConversionConfiguration
	if conversion == nil {
		conversion = &types.DataFormatConversionConfiguration{Enabled: aws.Bool(false)}
	}
	_, err = client.UpdateDestination(ctx, &firehosesdk.UpdateDestinationInput{
		DeliveryStreamName: &name, CurrentDeliveryStreamVersionId: d.VersionId, DestinationId: d.Destinations[0].DestinationId,
		ExtendedS3DestinationUpdate: &types.ExtendedS3DestinationUpdate{
			RoleARN: want.RoleARN, BucketARN: want.BucketARN, Prefix: want.Prefix, ErrorOutputPrefix: want.ErrorOutputPrefix,
			BufferingHints: want.BufferingHints, CompressionFormat: want.CompressionFormat, ProcessingConfiguration: want.ProcessingConfiguration,
			DataFormatConversionConfiguration: conversion,
		},
	})
	return detail, err
}

// destination is the stream's destination as the pipeline wants it.
func (c *Chain) destination() *types.ExtendedS3DestinationConfiguration {
	p := c.cfg.Pipeline
	return &types.ExtendedS3DestinationConfiguration{
		RoleARN:                           aws.String("arn:aws:iam::" + p.Account + ":role/stagelog-" + p.Name + "-firehose"),
		BucketARN:                         aws.String("arn:aws:s3:::" + p.Bucket),
		Prefix:                            aws.String(p.Deliver.Prefix),
		ErrorOutputPrefix:                 aws.String(p.Deliver.ErrorPrefix),
		BufferingHints:                    &types.BufferingHints{SizeInMBs: aws.Int32(int32(p.Deliver.Size / mib)), IntervalInSeconds: aws.Int32(int32(p.Deliver.Interval / time.Second))},
		CompressionFormat:                 types.CompressionFormat(p.Deliver.CompressionFormat()),
		DataFormatConversionConfiguration: c.wantedConversion(),
		ProcessingConfiguration: &types.ProcessingConfiguration{Enabled: aws.Bool(true), Processors: []types.Processor{{
			Type: types.ProcessorTypeLambda,
			Parameters: []types.ProcessorParameter{{
				ParameterName:  types.ProcessorParameterNameLambdaArn,
				ParameterValue: aws.String("arn:aws:lambda:" + p.Region + ":" + p.Account + ":function:" + c.functionName()),
			}},
		}}},
	}
}

func sameDestination(have *types.ExtendedS3DestinationDescription, want *types.ExtendedS3DestinationConfiguration) bool {
	return have != nil &&
		aws.ToString(have.BucketARN) == aws.ToString(want.BucketARN) &&
		aws.ToString(have.Prefix) == aws.ToString(want.Prefix) &&
		aws.ToString(have.ErrorOutputPrefix) == aws.ToString(want.ErrorOutputPrefix) &&
		have.CompressionFormat == want.CompressionFormat &&
		aws.ToInt32(have.BufferingHints.SizeInMBs) == aws.ToInt32(want.BufferingHints.SizeInMBs) &&
		aws.ToInt32(have.BufferingHints.IntervalInSeconds) == aws.ToInt32(want.BufferingHints.IntervalInSeconds) &&
		lambdaARN(have.ProcessingConfiguration) == lambdaARN(want.ProcessingConfiguration) &&
		sameConversion(have.DataFormatConversionConfiguration, want.DataFormatConversionConfiguration)
}

func lambdaARN(p *types.ProcessingConfiguration) string {
	if p == nil || !aws.ToBool(p.Enabled) {
		return ""
	}
	for _, proc := range p.Processors {
		for _, param := range proc.Parameters {
			if param.ParameterName == types.ProcessorParameterNameLambdaArn {
				return aws.ToString(param.ParameterValue)
			}
		}
	}
	return ""
}

// applyAPIs makes the APIs, stages, usage plans and keys of the local section, and nothing else.
func (c *Chain) applyAPIs(ctx context.Context) error {
	if c.cfg.Pipeline.Local == nil {
		return nil
	}
	_, err := c.control.ApplyLocal(ctx, localConfig(c.cfg.Pipeline.Local, c.heldBack()))
	return err
}

func (c *Chain) applyStages(ctx context.Context) (string, error) {
	p := c.cfg.Pipeline
	if p.Local == nil {
		return "no APIs here; point a stage or a log shipper at the stream", nil
	}
	if err := c.applyAPIs(ctx); err != nil {
		return "", err
	}
	stages := p.Local.Stages()
	client := c.clients().APIGateway
	arn := "arn:aws:firehose:" + p.Region + ":" + p.Account + ":deliverystream/" + p.Stream()
	var names []string
	for _, st := range stages {
		if len(p.Stages) > 0 && !slices.Contains(p.Stages, st) {
			continue
		}
		if err := setAccessLog(ctx, client, st, arn, p.Format); err != nil {
			return "", fmt.Errorf("stage %s: %w", st, err)
		}
		names = append(names, st.String())
	}
	return fmt.Sprintf("%s, format %s", strings.Join(names, ", "), p.FormatName), nil
}

// setAccessLog turns a stage's access logging on, unless it is on just so.
func setAccessLog(ctx context.Context, client *apigatewaysdk.Client, st record.StageRef, arn, format string) error {
	have, err := client.GetStage(ctx, &apigatewaysdk.GetStageInput{RestApiId: &st.API, StageName: &st.Stage})
	if err != nil {
		return err
	}
	if s := have.AccessLogSettings; s != nil && aws.ToString(s.DestinationArn) == arn && aws.ToString(s.Format) == format {
		return nil
	}
	_, err = client.UpdateStage(ctx, &apigatewaysdk.UpdateStageInput{RestApiId: &st.API, StageName: &st.Stage, PatchOperations: []apigatewaytypes.PatchOperation{
		{Op: apigatewaytypes.OpReplace, Path: aws.String("/accessLogSettings/destinationArn"), Value: &arn},
		{Op: apigatewaytypes.OpReplace, Path: aws.String("/accessLogSettings/format"), Value: &format},
	}})
	return err
}

// clients returns the administrator's clients of this machine's AWS endpoint. They take no proxy and no CA bundle from the
// environment.
func (c *Chain) clients() *provision.Clients {
	a := c.accounts.Admin
	return provision.NewClients(aws.Config{
		Region: c.Region(), BaseEndpoint: aws.String(c.Endpoints().AWS),
		Credentials: credentials.NewStaticCredentialsProvider(a.AccessKeyID, a.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
	})
}

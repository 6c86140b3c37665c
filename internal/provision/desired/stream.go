package desired

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/record"
)

// destination returns the delivery stream's destination, including the values that Firehose would default.
func (s *Spec) destination() *types.ExtendedS3DestinationConfiguration {
	deliver := s.Pipeline.Deliver
	return &types.ExtendedS3DestinationConfiguration{
		RoleARN:           aws.String(s.FirehoseRoleARN()),
		BucketARN:         aws.String(s.BucketARN()),
		Prefix:            aws.String(deliver.Prefix),
		ErrorOutputPrefix: aws.String(deliver.ErrorPrefix),
		BufferingHints: &types.BufferingHints{
			IntervalInSeconds: aws.Int32(int32(deliver.Interval / time.Second)), SizeInMBs: aws.Int32(int32(deliver.Size >> 20)),
		},
		CompressionFormat: types.CompressionFormat(deliver.CompressionFormat()),
		CloudWatchLoggingOptions: &types.CloudWatchLoggingOptions{
			Enabled: aws.Bool(true), LogGroupName: aws.String(s.StreamLogGroup()), LogStreamName: aws.String(DeliveryLogStream),
		},
		ProcessingConfiguration:           s.processing(),
		DataFormatConversionConfiguration: s.conversion(),
		S3BackupMode:                      types.S3BackupModeDisabled,
		EncryptionConfiguration:           s.encryption(),
	}
}

// encryption returns the encryption that Firehose requests for each object: a key given in stagelog.yaml, as some bucket policies
// require the header and another account's bucket may have another default; nil for the bucket's default.
func (s *Spec) encryption() *types.EncryptionConfiguration {
	if key := s.Pipeline.AWS.KMSKey; key != "" {
		return &types.EncryptionConfiguration{KMSEncryptionConfig: &types.KMSEncryptionConfig{AWSKMSKeyARN: aws.String(key)}}
	}
	return nil
}

// processing returns the processor that calls the enrichment function.
func (s *Spec) processing() *types.ProcessingConfiguration {
	param := func(name types.ProcessorParameterName, value string) types.ProcessorParameter {
		return types.ProcessorParameter{ParameterName: name, ParameterValue: aws.String(value)}
	}
	return &types.ProcessingConfiguration{
		Enabled: aws.Bool(true), // the default is false
		Processors: []types.Processor{{Type: types.ProcessorTypeLambda, Parameters: []types.ProcessorParameter{
			param(types.ProcessorParameterNameLambdaArn, s.FunctionARN()+LatestQualifier),
			param(types.ProcessorParameterNameLambdaNumberOfRetries, strconv.Itoa(record.DefaultFunctionRetries)),
			param(types.ProcessorParameterNameRoleArn, s.FirehoseRoleARN()),
			param(types.ProcessorParameterNameBufferSizeInMb, strconv.Itoa(record.DefaultFunctionSizeMiB)),
			param(types.ProcessorParameterNameBufferIntervalInSeconds, strconv.Itoa(int(s.FunctionInterval().Seconds()))),
		}}},
	}
}

// LatestQualifier is the default qualifier of a function's ARN.
const LatestQualifier = ":$LATEST"

// conversion returns the conversion from JSON to Parquet with the columns of the pipeline's table, or nil.
func (s *Spec) conversion() *types.DataFormatConversionConfiguration {
	p := s.Pipeline
	if !p.Deliver.Parquet {
		return nil
	}
	return &types.DataFormatConversionConfiguration{
		Enabled: aws.Bool(true),
		SchemaConfiguration: &types.SchemaConfiguration{
			RoleARN: aws.String(s.FirehoseRoleARN()), DatabaseName: aws.String(p.Database()), TableName: aws.String(config.LinesTable),
			Region: aws.String(s.Region), VersionId: aws.String(NewestVersion),
		},
		InputFormatConfiguration: &types.InputFormatConfiguration{Deserializer: &types.Deserializer{OpenXJsonSerDe: &types.OpenXJsonSerDe{}}},
		OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: &types.Serializer{
			ParquetSerDe: &types.ParquetSerDe{Compression: types.ParquetCompression(p.Deliver.ParquetCompression())},
		}},
	}
}

// NewestVersion is the table version that Firehose reads by default.
const NewestVersion = "LATEST"

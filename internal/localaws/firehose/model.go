package firehose

import (
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/stagelog/stagelog/internal/record"
)

// The requests of the API, with the constraints of the service's model (botocore 1.43.11,
// firehose 2015-08-04). Unsupported members are included, so that they are refused as such and not as
// unknown. Enums have the order in which the service prints them where it is known (compression), else
// the model's.
//
// The shapes are never modified.
var (
	streamName = &shape{min: 1, max: 64, pattern: "[a-zA-Z0-9_.-]+", matches: whole(`[a-zA-Z0-9_.-]+`)}
	roleARN    = &shape{min: 1, max: 512, pattern: `arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+`, matches: whole(`arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+`)}
	bucketARN  = &shape{min: 1, max: 2048, pattern: `arn:.*:s3:::[\w\.\-]{1,255}`, matches: whole(`arn:.*:s3:::[\w\.\-]{1,255}`)}
	prefix     = &shape{max: 1024, pattern: ".*", matches: whole(".*")}
	flag       = &shape{kind: boolean}
	anything   = &shape{kind: opaque}

	compression = &shape{enum: []string{"ZIP", "HADOOP_SNAPPY", "Snappy", "GZIP", "UNCOMPRESSED"}}
	streamType  = &shape{enum: []string{"DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"}}
	backupMode  = &shape{enum: []string{"Disabled", "Enabled"}}

	buffering = &shape{kind: structure, members: []member{
		{name: "SizeInMBs", shape: &shape{kind: integer, min: 1, max: record.MaxSizeMiB}},
		{name: "IntervalInSeconds", shape: &shape{kind: integer, min: 0, max: int(record.MaxInterval / time.Second)}},
	}}
	encryption = &shape{kind: structure, members: []member{
		{name: "NoEncryptionConfig", shape: &shape{enum: []string{"NoEncryption"}}},
		{name: "KMSEncryptionConfig", shape: anything, refused: "KMSEncryptionConfig (encrypt the bucket instead)"},
	}}
	cloudWatch = &shape{kind: structure, members: []member{
		{name: "Enabled", shape: flag},
		{name: "LogGroupName", shape: &shape{max: 512, pattern: `[\.\-_/#A-Za-z0-9]*`, matches: whole(`[\.\-_/#A-Za-z0-9]*`)}},
		{name: "LogStreamName", shape: &shape{max: 512, pattern: `[^:*]*`, matches: whole(`[^:*]*`)}},
	}}
	processing = &shape{kind: structure, members: []member{
		{name: "Enabled", shape: flag},
		{name: "Processors", shape: &shape{kind: list, element: &shape{kind: structure, members: []member{
			{name: "Type", required: true, shape: &shape{enum: []string{
				"RecordDeAggregation", "Decompression", "CloudWatchLogProcessing", "Lambda", "MetadataExtraction", "AppendDelimiterToRecord"}}},
			{name: "Parameters", shape: &shape{kind: list, element: &shape{kind: structure, members: []member{
				{name: "ParameterName", required: true, shape: &shape{enum: []string{
					"LambdaArn", "NumberOfRetries", "MetadataExtractionQuery", "JsonParsingEngine", "RoleArn", "BufferSizeInMBs",
					"BufferIntervalInSeconds", "SubRecordType", "Delimiter", "CompressionFormat", "DataMessageExtraction"}}},
				{name: "ParameterValue", required: true, shape: &shape{min: 1, max: 5120, pattern: `^(?!\s*$).+`, matches: notBlank}},
			}}}},
		}}}},
	}}
	word       = &shape{min: 1, max: 1024, pattern: `^\S+$`, matches: whole(`\S+`)}
	conversion = &shape{kind: structure, members: []member{
		{name: "Enabled", shape: flag},
		{name: "SchemaConfiguration", shape: &shape{kind: structure, members: []member{
			{name: "RoleARN", shape: word}, {name: "CatalogId", shape: word}, {name: "DatabaseName", shape: word},
			{name: "TableName", shape: word}, {name: "Region", shape: word}, {name: "VersionId", shape: word},
		}}},
		{name: "InputFormatConfiguration", shape: &shape{kind: structure, members: []member{
			{name: "Deserializer", shape: &shape{kind: structure, members: []member{
				{name: "OpenXJsonSerDe", shape: &shape{kind: structure, members: []member{
					{name: "ConvertDotsInJsonKeysToUnderscores", shape: flag}, {name: "CaseInsensitive", shape: flag},
					{name: "ColumnToJsonKeyMappings", shape: anything},
				}}},
				{name: "HiveJsonSerDe", shape: anything, refused: "HiveJsonSerDe (use OpenXJsonSerDe)"},
			}}},
		}}},
		{name: "OutputFormatConfiguration", shape: &shape{kind: structure, members: []member{
			{name: "Serializer", shape: &shape{kind: structure, members: []member{
				{name: "ParquetSerDe", shape: &shape{kind: structure, members: []member{
					{name: "BlockSizeBytes", shape: &shape{kind: integer, min: 64 << 20}}, {name: "PageSizeBytes", shape: &shape{kind: integer, min: 64 << 10}},
					{name: "Compression", shape: &shape{enum: []string{"UNCOMPRESSED", "GZIP", "SNAPPY"}}}, {name: "EnableDictionaryCompression", shape: flag},
					{name: "MaxPaddingBytes", shape: &shape{kind: integer, min: 0}}, {name: "WriterVersion", shape: &shape{enum: []string{"V1", "V2"}}},
				}}},
				{name: "OrcSerDe", shape: anything, refused: "OrcSerDe (use ParquetSerDe)"},
			}}},
		}}},
	}}
	partitioning = &shape{kind: structure, members: []member{
		{name: "Enabled", shape: flag},
		{name: "RetryOptions", shape: &shape{kind: structure, members: []member{
			{name: "DurationInSeconds", shape: &shape{kind: integer, min: 0, max: 7200}}}}},
	}}

	s3Configuration       = &shape{kind: structure, members: s3Members(true)}
	s3Update              = &shape{kind: structure, members: s3Members(false)}
	extendedConfiguration = &shape{kind: structure, members: append(s3Members(true), extendedMembers("S3BackupConfiguration", s3Configuration)...)}
	extendedUpdate        = &shape{kind: structure, members: append(s3Members(false), extendedMembers("S3BackupUpdate", s3Update)...)}

	tagKey = &shape{min: 1, max: 128, pattern: `^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`, matches: isTagKey}
	tag    = &shape{kind: structure, members: []member{
		{name: "Key", required: true, shape: tagKey},
		{name: "Value", shape: &shape{max: 256, pattern: `^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`, matches: isTagText}},
	}}
	tags = &shape{kind: list, min: 1, max: maxTags, element: tag}

	recordShape = &shape{kind: structure, lax: true, members: []member{
		{name: "Data", required: true, shape: &shape{kind: blob, max: maxRecordBytes}}}}
)

// requests holds the shape of each operation's request.
var requests = map[string]*shape{
	"CreateDeliveryStream": input(append([]member{
		{name: "DeliveryStreamType", shape: streamType},
		{name: "DirectPutSourceConfiguration", shape: &shape{kind: structure, members: []member{
			{name: "ThroughputHintInMBs", required: true, shape: &shape{kind: integer, min: 1, max: 100}}}}},
		{name: "DeliveryStreamEncryptionConfigurationInput", shape: anything, refused: noSSE},
		{name: "S3DestinationConfiguration", shape: s3Configuration},
		{name: "ExtendedS3DestinationConfiguration", shape: extendedConfiguration},
		{name: "Tags", shape: tags},
	}, others("Configuration", "KinesisStreamSourceConfiguration", "MSKSourceConfiguration", "DatabaseSourceConfiguration")...)...),
	"DescribeDeliveryStream": input(
		member{name: "Limit", shape: &shape{kind: integer, min: 1, max: 10000}},
		member{name: "ExclusiveStartDestinationId", shape: &shape{min: 1, max: 100, pattern: "[a-zA-Z0-9-]+", matches: whole("[a-zA-Z0-9-]+")}}),
	"ListDeliveryStreams": {kind: structure, members: []member{
		{name: "Limit", shape: &shape{kind: integer, min: 1, max: 10000}},
		{name: "DeliveryStreamType", shape: streamType},
		{name: "ExclusiveStartDeliveryStreamName", shape: streamName}}},
	"UpdateDestination": input(append([]member{
		{name: "CurrentDeliveryStreamVersionId", required: true, shape: &shape{min: 1, max: 50, pattern: "[0-9]+", matches: whole("[0-9]+")}},
		{name: "DestinationId", required: true, shape: &shape{min: 1, max: 100, pattern: "[a-zA-Z0-9-]+", matches: whole("[a-zA-Z0-9-]+")}},
		{name: "S3DestinationUpdate", shape: s3Update},
		{name: "ExtendedS3DestinationUpdate", shape: extendedUpdate},
	}, others("Update")...)...),
	"DeleteDeliveryStream": input(member{name: "AllowForceDelete", shape: flag}),
	"TagDeliveryStream":    input(member{name: "Tags", required: true, shape: tags}),
	"UntagDeliveryStream":  input(member{name: "TagKeys", required: true, shape: &shape{kind: list, min: 1, max: maxTags, element: tagKey}}),
	"ListTagsForDeliveryStream": input(
		member{name: "ExclusiveStartTagKey", shape: tagKey},
		member{name: "Limit", shape: &shape{kind: integer, min: 1, max: maxTags}}),
	"StartDeliveryStreamEncryption": input(member{name: "DeliveryStreamEncryptionConfigurationInput", shape: &shape{kind: structure, members: []member{
		{name: "KeyARN", shape: anything},
		{name: "KeyType", required: true, shape: &shape{enum: []string{"AWS_OWNED_CMK", "CUSTOMER_MANAGED_CMK"}}}}}}),
	"StopDeliveryStreamEncryption": input(),
}

// putRequests holds the shapes of the requests with records. As in the service, unknown members are
// ignored, so that a log shipper with a newer SDK keeps working.
var putRequests = map[string]*shape{
	"PutRecord": {kind: structure, lax: true, members: []member{
		{name: "DeliveryStreamName", required: true, shape: streamName},
		{name: "Record", required: true, shape: recordShape}}},
	"PutRecordBatch": {kind: structure, lax: true, members: []member{
		{name: "DeliveryStreamName", required: true, shape: streamName},
		{name: "Records", required: true, shape: &shape{kind: list, min: 1, max: maxBatchRecords, element: recordShape}}}},
}

const noSSE = "server-side encryption of records in the stream (DeliveryStreamEncryptionConfigurationInput): keep its data directory on an encrypted disk"

// input returns the shape of a request about one stream.
func input(more ...member) *shape {
	return &shape{kind: structure, members: append([]member{{name: "DeliveryStreamName", required: true, shape: streamName}}, more...)}
}

func s3Members(required bool) []member {
	return []member{
		{name: "RoleARN", required: required, shape: roleARN},
		{name: "BucketARN", required: required, shape: bucketARN},
		{name: "Prefix", shape: prefix},
		{name: "ErrorOutputPrefix", shape: prefix},
		{name: "BufferingHints", shape: buffering},
		{name: "CompressionFormat", shape: compression},
		{name: "EncryptionConfiguration", shape: encryption},
		{name: "CloudWatchLoggingOptions", shape: cloudWatch},
	}
}

func extendedMembers(backup string, backupShape *shape) []member {
	return []member{
		{name: "ProcessingConfiguration", shape: processing},
		{name: "S3BackupMode", shape: backupMode},
		{name: backup, shape: backupShape},
		{name: "DataFormatConversionConfiguration", shape: conversion},
		{name: "DynamicPartitioningConfiguration", shape: partitioning},
		{name: "FileExtension", shape: &shape{max: 128, pattern: `^(|\.[0-9a-z!\-_.*'()]+)$`, matches: whole(`(|\.[0-9a-z!\-_.*'()]+)`)}},
		{name: "CustomTimeZone", shape: &shape{max: 50, pattern: `^$|[a-zA-Z/_]+`, matches: whole(`[a-zA-Z/_]*`)}},
	}
}

// others returns the refused destinations and sources, by their names in the model.
func others(suffix string, sources ...string) []member {
	var all []member
	for _, kind := range []string{"Redshift", "Elasticsearch", "Amazonopensearchservice", "AmazonOpenSearchServerless", "Splunk", "HttpEndpoint", "Snowflake", "Iceberg"} {
		sources = append(sources, kind+"Destination"+suffix)
	}
	for _, name := range sources {
		all = append(all, member{name: name, shape: anything, refused: name})
	}
	return all
}

func whole(expr string) func(string) bool {
	return regexp.MustCompile(`^(?:` + expr + `)$`).MatchString
}

func notBlank(s string) bool {
	return strings.TrimSpace(s) != ""
}

func isTagKey(s string) bool { return !strings.HasPrefix(s, "aws:") && isTagText(s) }

func isTagText(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.Is(unicode.Z, r) && !unicode.IsNumber(r) && !strings.ContainsRune(`_.:/=+-@%`, r) {
			return false
		}
	}
	return true
}

package firehose_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/firehose"
)

// wireCase is a request and the expected error. want is the code, ": " and the complete message.
type wireCase struct {
	name, op, body string
	status         int // 0 is 400
	want           string
	sign           func(*signer)
}

const (
	null    = "failed to satisfy constraint: Member must not be null"
	one     = "ValidationException: 1 validation error detected: Value at "
	two     = "ValidationException: 2 validation errors detected: Value at "
	invalid = "InvalidArgumentException: "
	support = "InvalidArgumentException: stagelog does not support %s. Its delivery streams are Direct PUT streams with an S3 destination and optionally a Lambda function."
	sse     = "server-side encryption of records in the stream (DeliveryStreamEncryptionConfigurationInput): keep its data directory on an encrypted disk"
	gone    = "ResourceNotFoundException: Firehose unknown under account 000000000000 not found."
	badSig  = "InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	pattern = "[a-zA-Z0-9_.-]+"
)

// create returns a CreateDeliveryStream request for the stream new, with these additional members of the
// extended destination.
func create(members string) string {
	return `{"DeliveryStreamName":"new","ExtendedS3DestinationConfiguration":{"RoleARN":"` + roleARN + `","BucketARN":"` + bucketARN + `"` + members + `}}`
}

func update(version, id, members string) string {
	return `{"DeliveryStreamName":"s","CurrentDeliveryStreamVersionId":"` + version + `","DestinationId":"` + id + `","ExtendedS3DestinationUpdate":{` + members + `}}`
}

func processors(list string) string {
	return create(`,"ProcessingConfiguration":{"Enabled":true,"Processors":[` + list + `]}`)
}

// lambda returns a Lambda processor with these parameters, alternating names and values.
func lambda(parameters ...string) string {
	var all []string
	for i := 0; i < len(parameters); i += 2 {
		all = append(all, `{"ParameterName":"`+parameters[i]+`","ParameterValue":"`+parameters[i+1]+`"}`)
	}
	return `{"Type":"Lambda","Parameters":[` + strings.Join(all, ",") + `]}`
}

func data(n int) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", n)))
}

func batch(n, size int) string {
	return `{"DeliveryStreamName":"s","Records":[` + strings.TrimSuffix(strings.Repeat(`{"Data":"`+data(size)+`"},`, n), ",") + `]}`
}

func manyTags(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"Key":"k%d"}`, i))
	}
	return strings.Join(all, ",")
}

func signatureCases() []wireCase {
	const list = "ListDeliveryStreams"
	return []wireCase{
		{"wrong secret", list, `{}`, 0, badSig, func(s *signer) { s.secret = "another" }},
		{"unknown key", list, `{}`, 0, "UnrecognizedClientException: The security token included in the request is invalid.", func(s *signer) { s.key = "AKIAUNKNOWN000000000" }},
		{"clock late", list, `{}`, 0, "InvalidSignatureException: Signature expired: 20261123T115430Z is now earlier than 20261123T115530Z (20261123T120030Z - 5 min.)",
			func(s *signer) { s.at = clock().Add(-6 * time.Minute) }},
		{"clock early", list, `{}`, 0, "InvalidSignatureException: Signature not yet current: 20261123T120630Z is still later than 20261123T120530Z (20261123T120030Z + 5 min.)",
			func(s *signer) { s.at = clock().Add(6 * time.Minute) }},
		{"other region", list, `{}`, 0, "InvalidSignatureException: Credential should be scoped to a valid region, not 'eu-west-1'. This endpoint is us-east-1.",
			func(s *signer) { s.region = "eu-west-1" }},
		{"other service", list, `{}`, 0, "UnknownOperationException: stagelog does not serve the AWS service 'kinesis' that this request was signed for. It serves: firehose, sts.",
			func(s *signer) { s.service = "kinesis" }},
	}
}

func nameCases() []wireCase {
	const d = "DescribeDeliveryStream"
	long := strings.Repeat("n", 65)
	cases := []wireCase{
		{"unknown operation", "MakeCoffee", `{}`, 0, "UnknownOperationException: The X-Amz-Target header must be Firehose_20150804. followed by an operation of the API, in a POST request.", nil},
		{"unknown target", "", `{}`, 0, "UnknownOperationException: The X-Amz-Target header must be Firehose_20150804. followed by an operation of the API, in a POST request.",
			func(s *signer) { s.header.Set("X-Amz-Target", "Kinesis_20131202.PutRecord") }},
		{"no JSON", d, `{`, 0, "SerializationException: The request's body is not valid JSON.", nil},
		{"two values", d, `{}{}`, 0, "SerializationException: The request's body has more than one JSON value.", nil},
		{"a list", d, `[]`, 0, "SerializationException: Start of list found where not expected", nil},
		{"no body", d, ``, 0, one + "'deliveryStreamName' " + null, nil},
		{"no name", d, `{}`, 0, one + "'deliveryStreamName' " + null, nil},
		{"null name", d, `{"DeliveryStreamName":null}`, 0, one + "'deliveryStreamName' " + null, nil},
		{"name in another case", d, `{"deliverystreamname":"s"}`, 0, one + "'deliveryStreamName' " + null, nil},
		{"name of another type", d, `{"DeliveryStreamName":5}`, 0, "SerializationException: NUMBER_VALUE can not be converted to a String", nil},
		{"name is a list", d, `{"DeliveryStreamName":["s"]}`, 0, "SerializationException: Start of list found where not expected", nil},
		{"empty name", d, `{"DeliveryStreamName":""}`, 0, two + "'deliveryStreamName' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
			"Value at 'deliveryStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: " + pattern, nil},
		{"long name", d, `{"DeliveryStreamName":"` + long + `"}`, 0, one + "'deliveryStreamName' failed to satisfy constraint: Member must have length less than or equal to 64", nil},
		{"bad name", d, `{"DeliveryStreamName":"a b"}`, 0, one + "'deliveryStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: " + pattern, nil},
		{"limit of zero", d, `{"DeliveryStreamName":"s","Limit":0}`, 0, one + "'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", nil},
		{"unknown member", d, `{"DeliveryStreamName":"s","Verbose":true}`, 0, fmt.Sprintf(support, "the member verbose"), nil},
		{"list limit", "ListDeliveryStreams", `{"Limit":10001}`, 0, one + "'limit' failed to satisfy constraint: Member must have value less than or equal to 10000", nil},
		{"list type", "ListDeliveryStreams", `{"DeliveryStreamType":"x"}`, 0, one + "'deliveryStreamType' failed to satisfy constraint: Member must satisfy enum value set: [DirectPut, KinesisStreamAsSource, MSKAsSource, DatabaseAsSource]", nil},
		{"list limit of another type", "ListDeliveryStreams", `{"Limit":"10"}`, 0, "SerializationException: STRING_VALUE can not be converted to an Integer", nil},
	}
	unknown := `{"DeliveryStreamName":"unknown"`
	for op, rest := range map[string]string{
		"DescribeDeliveryStream": "}", "DeleteDeliveryStream": "}", "ListTagsForDeliveryStream": "}",
		"StartDeliveryStreamEncryption": "}", "StopDeliveryStreamEncryption": "}",
		"TagDeliveryStream": `,"Tags":[{"Key":"a"}]}`, "UntagDeliveryStream": `,"TagKeys":["a"]}`,
		"PutRecord": `,"Record":{"Data":"YQ=="}}`, "PutRecordBatch": `,"Records":[{"Data":"YQ=="}]}`,
		"UpdateDestination": `,"CurrentDeliveryStreamVersionId":"1","DestinationId":"destinationId-000000000001","S3DestinationUpdate":{}}`,
	} {
		cases = append(cases, wireCase{"unknown stream in " + op, op, unknown + rest, 0, gone, nil})
	}
	return cases
}

func putCases() []wireCase {
	const p, b = "PutRecord", "PutRecordBatch"
	return []wireCase{
		{"no members", p, `{}`, 0, two + "'deliveryStreamName' " + null + "; Value at 'record' " + null, nil},
		{"no record", p, `{"DeliveryStreamName":"s"}`, 0, one + "'record' " + null, nil},
		{"no data", p, `{"DeliveryStreamName":"s","Record":{}}`, 0, one + "'record.data' " + null, nil},
		{"record over the limit", p, `{"DeliveryStreamName":"s","Record":{"Data":"` + data(1_024_001) + `"}}`, 0,
			one + "'record.data' failed to satisfy constraint: Member must have length less than or equal to 1024000", nil},
		{"bad base64", p, `{"DeliveryStreamName":"s","Record":{"Data":"a"}}`, 0, "SerializationException: A Blob is not valid base64", nil},
		{"base64 with bits left over", p, `{"DeliveryStreamName":"s","Record":{"Data":"YR=="}}`, 0, "SerializationException: A Blob is not valid base64", nil},
		{"base64 with a line break", p, `{"DeliveryStreamName":"s","Record":{"Data":"YWJj\nZGVm"}}`, 0, "SerializationException: A Blob is not valid base64", nil},
		{"base64 for URLs", p, `{"DeliveryStreamName":"s","Record":{"Data":"_-8="}}`, 0, "SerializationException: A Blob is not valid base64", nil},
		{"data of another type", p, `{"DeliveryStreamName":"s","Record":{"Data":1}}`, 0, "SerializationException: NUMBER_VALUE can not be converted to a Blob", nil},
		{"record of another type", p, `{"DeliveryStreamName":"s","Record":"YQ=="}`, 0, "SerializationException: STRING_VALUE can not be converted to a structure", nil},
		{"truncated", p, `{"DeliveryStreamName":"s","Record":{"Data":"YQ=="}`, 0, "SerializationException: The request's body is not valid JSON.", nil},
		{"bad name", p, `{"DeliveryStreamName":"s/t","Record":{"Data":"YQ=="}}`, 0, one + "'deliveryStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: " + pattern, nil},
		{"no records", b, `{"DeliveryStreamName":"s"}`, 0, one + "'records' " + null, nil},
		{"empty batch", b, batch(0, 0), 0, one + "'records' failed to satisfy constraint: Member must have length greater than or equal to 1", nil},
		{"501 records", b, batch(501, 1), 0, one + "'records' failed to satisfy constraint: Member must have length less than or equal to 500", nil},
		{"record of a batch over the limit", b, `{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{"Data":"` + data(1_024_001) + `"}]}`, 0,
			one + "'records.2.member.data' failed to satisfy constraint: Member must have length less than or equal to 1024000", nil},
		{"records without data", b, `{"DeliveryStreamName":"s","Records":[{},{"Data":"YQ=="},null]}`, 0, two + "'records.1.member.data' " + null + "; Value at 'records.3.member' " + null, nil},
		{"4 MiB and a byte", b, strings.TrimSuffix(batch(4, 1<<20-24576), "]}") + `,{"Data":"` + data(4*24576+1) + `"}]}`, 0, invalid + "Records size exceeds 4 MB limit", nil},
		{"bad base64 in a batch", b, `{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{"Data":"*"}]}`, 0, "SerializationException: A Blob is not valid base64", nil},
		{"body over the limit", b, `{"DeliveryStreamName":"` + strings.Repeat("x", 8<<20) + `"}`, http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException: The request's body is larger than 8388608 bytes.", nil},
	}
}

func createCases() []wireCase {
	const c = "CreateDeliveryStream"
	const dest = "extendedS3DestinationConfiguration."
	s3 := `"S3DestinationConfiguration":{"RoleARN":"` + roleARN + `","BucketARN":"` + bucketARN + `"}`
	return []wireCase{
		{"duplicate", c, createBody, 0, "ResourceInUseException: Firehose s under accountId 000000000000 already exists", nil},
		{"no destination", c, `{"DeliveryStreamName":"new"}`, 0, invalid + "Exactly one destination configuration is supported for a Firehose", nil},
		{"two destinations", c, strings.TrimSuffix(create(""), "}") + "," + s3 + "}", 0, invalid + "Exactly one destination configuration is supported for a Firehose", nil},
		{"no role and bucket", c, `{"DeliveryStreamName":"new","ExtendedS3DestinationConfiguration":{}}`, 0, two + "'" + dest + "roleARN' " + null + "; Value at '" + dest + "bucketARN' " + null, nil},
		{"bad bucket", c, `{"DeliveryStreamName":"new","S3DestinationConfiguration":{"RoleARN":"` + roleARN + `","BucketARN":"logs"}}`, 0,
			one + `'s3DestinationConfiguration.bucketARN' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:.*:s3:::[\w\.\-]{1,255}`, nil},
		{"bad role", c, `{"DeliveryStreamName":"new","S3DestinationConfiguration":{"RoleARN":"me","BucketARN":"` + bucketARN + `"}}`, 0,
			one + `'s3DestinationConfiguration.roleARN' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+`, nil},
		{"compression", c, create(`,"CompressionFormat":"gzip"`), 0, one + "'" + dest + "compressionFormat' failed to satisfy constraint: Member must satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED]", nil},
		{"file extension", c, create(`,"FileExtension":"log"`), 0, one + "'" + dest + `fileExtension' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(|\.[0-9a-z!\-_.*'()]+)$`, nil},
		{"long file extension", c, create(`,"FileExtension":".` + strings.Repeat("x", 128) + `"`), 0, one + "'" + dest + "fileExtension' failed to satisfy constraint: Member must have length less than or equal to 128", nil},
		{"time zone", c, create(`,"CustomTimeZone":"Etc/GMT+1"`), 0, one + "'" + dest + "customTimeZone' failed to satisfy constraint: Member must satisfy regular expression pattern: ^$|[a-zA-Z/_]+", nil},
		{"unknown time zone", c, create(`,"CustomTimeZone":"Mars/Olympus"`), 0, invalid + "CustomTimeZone 'Mars/Olympus' is not a time zone of the IANA database.", nil},
		{"size", c, create(`,"BufferingHints":{"SizeInMBs":129,"IntervalInSeconds":901}`), 0, two + "'" + dest + "bufferingHints.sizeInMBs' failed to satisfy constraint: Member must have value less than or equal to 128; " +
			"Value at '" + dest + "bufferingHints.intervalInSeconds' failed to satisfy constraint: Member must have value less than or equal to 900", nil},
		{"negative interval", c, create(`,"BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":-1}`), 0, one + "'" + dest + "bufferingHints.intervalInSeconds' failed to satisfy constraint: Member must have value greater than or equal to 0", nil},
		{"half of the hints", c, create(`,"BufferingHints":{"SizeInMBs":5}`), 0, invalid + "BufferingHints must have both SizeInMBs and IntervalInSeconds, or neither.", nil},
		{"size with a fraction", c, create(`,"BufferingHints":{"SizeInMBs":1.5,"IntervalInSeconds":60}`), 0, "SerializationException: NUMBER_VALUE can not be converted to an Integer", nil},
		{"flag of another type", c, create(`,"CloudWatchLoggingOptions":{"Enabled":"true"}`), 0, "SerializationException: STRING_VALUE can not be converted to a Boolean", nil},
		{"error type in the prefix", c, create(`,"Prefix":"a/!{firehose:error-output-type}/","ErrorOutputPrefix":"e/!{firehose:error-output-type}/"`), 0,
			invalid + "Prefix must not contain any occurrence of !{firehose:error-output-type}", nil},
		{"no error prefix", c, create(`,"Prefix":"a/!{timestamp:yyyy}/"`), 0, invalid + "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions", nil},
		{"letter of a timestamp", c, create(`,"Prefix":"a/!{timestamp:bb}/","ErrorOutputPrefix":"e/!{firehose:error-output-type}/"`), 0,
			invalid + "Invalid conversion character used in the value of the expression in Prefix", nil},
		{"long prefix", c, create(`,"Prefix":"` + strings.Repeat("p", 1025) + `"`), 0, one + "'" + dest + "prefix' failed to satisfy constraint: Member must have length less than or equal to 1024", nil},
		{"long evaluated prefix", c, create(`,"Prefix":"` + strings.Repeat("p", 600) + `"`), 0, invalid + "Length of evaluated prefix cannot be greater than 512", nil},
		{"partitioning without keys", c, create(`,"DynamicPartitioningConfiguration":{"Enabled":true},"Prefix":"a/","ErrorOutputPrefix":"e/"`), 0,
			invalid + "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled", nil},
		{"partitioning of small objects", c, create(`,"DynamicPartitioningConfiguration":{"Enabled":true},"Prefix":"a/!{partitionKeyFromLambda:c}/","ErrorOutputPrefix":"e/","BufferingHints":{"SizeInMBs":5,"IntervalInSeconds":60}`), 0,
			invalid + "BufferingHints must have a SizeInMBs of at least 64 and an IntervalInSeconds of at least 60 when Dynamic Partitioning is enabled.", nil},
		{"partitioning without a function", c, create(`,"DynamicPartitioningConfiguration":{"Enabled":true},"Prefix":"a/!{partitionKeyFromQuery:c}/","ErrorOutputPrefix":"e/"`), 0,
			fmt.Sprintf(support, "Dynamic Partitioning other than by keys that a Lambda processor returns"), nil},
		{"retry of partitioning", c, create(`,"DynamicPartitioningConfiguration":{"RetryOptions":{"DurationInSeconds":7201}}`), 0, one + "'" + dest + "dynamicPartitioningConfiguration.retryOptions.durationInSeconds' failed to satisfy constraint: Member must have value less than or equal to 7200", nil},
		{"backup without a bucket", c, create(`,"S3BackupMode":"Enabled"`), 0, invalid + "S3BackupConfiguration is required when S3BackupMode is Enabled.", nil},
		{"backup mode", c, create(`,"S3BackupMode":"On"`), 0, one + "'" + dest + "s3BackupMode' failed to satisfy constraint: Member must satisfy enum value set: [Disabled, Enabled]", nil},
		{"backup's bucket", c, create(`,"S3BackupMode":"Enabled","S3BackupConfiguration":{"RoleARN":"` + roleARN + `"}`), 0, one + "'" + dest + "s3BackupConfiguration.bucketARN' " + null, nil},
		{"backup at once", c, create(`,"S3BackupMode":"Enabled","S3BackupConfiguration":{"RoleARN":"` + roleARN + `","BucketARN":"` + bucketARN + `","BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":0}}`), 0,
			invalid + "Zero buffering (IntervalInSeconds 0) is not available for the S3 backup.", nil},
		{"KMS", c, create(`,"EncryptionConfiguration":{"KMSEncryptionConfig":{"AWSKMSKeyARN":"arn:aws:kms:us-east-1:000000000000:key/k"}}`), 0, fmt.Sprintf(support, "KMSEncryptionConfig (encrypt the bucket instead)"), nil},
		{"conversion without a schema", c, create(`,"DataFormatConversionConfiguration":{}`), 0, invalid + "SchemaConfiguration must have DatabaseName, TableName and RoleARN when data format conversion is enabled.", nil},
		{"conversion without a deserializer", c, create(conversion("", parquetOut)), 0, invalid + "InputFormatConfiguration must have a deserializer when data format conversion is enabled.", nil},
		{"conversion without a serializer", c, create(conversion(openX, "")), 0, invalid + "OutputFormatConfiguration must have a serializer when data format conversion is enabled.", nil},
		{"conversion and compression", c, create(`,"CompressionFormat":"GZIP"` + conversion(openX, parquetOut)), 0, invalid + "The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion is enabled", nil},
		{"conversion of small objects", c, create(`,"BufferingHints":{"SizeInMBs":5,"IntervalInSeconds":60}` + conversion(openX, parquetOut)), 0, invalid + "BufferingHints must have a SizeInMBs of at least 64 when data format conversion is enabled.", nil},
		{"conversion by Hive's SerDe", c, create(conversion(`"HiveJsonSerDe":{}`, parquetOut)), 0, fmt.Sprintf(support, "HiveJsonSerDe (use OpenXJsonSerDe)"), nil},
		{"conversion to ORC", c, create(conversion(openX, `"OrcSerDe":{}`)), 0, fmt.Sprintf(support, "OrcSerDe (use ParquetSerDe)"), nil},
		{"conversion by mapped keys", c, create(conversion(`"OpenXJsonSerDe":{"ColumnToJsonKeyMappings":{"ts":"timestamp"}}`, parquetOut)), 0, fmt.Sprintf(support, "an OpenXJsonSerDe with ColumnToJsonKeyMappings"), nil},
		{"conversion with an unknown table", c, create(strings.Replace(conversion(openX, parquetOut), `"lines"`, `"nothing"`, 1)), 0, invalid + "there is no table nothing", nil},
		{"compression of Parquet", c, create(conversion(openX, `"ParquetSerDe":{"Compression":"ZSTD"}`)), 0, one + "'" + dest + "dataFormatConversionConfiguration.outputFormatConfiguration.serializer.parquetSerDe.compression' failed to satisfy constraint: Member must satisfy enum value set: [UNCOMPRESSED, GZIP, SNAPPY]", nil},
		{"other source", c, strings.Replace(create(""), "{", `{"DeliveryStreamType":"KinesisStreamAsSource",`, 1), 0, fmt.Sprintf(support, "the DeliveryStreamType KinesisStreamAsSource"), nil},
		{"source type", c, strings.Replace(create(""), "{", `{"DeliveryStreamType":"Pigeon",`, 1), 0, one + "'deliveryStreamType' failed to satisfy constraint: Member must satisfy enum value set: [DirectPut, KinesisStreamAsSource, MSKAsSource, DatabaseAsSource]", nil},
		{"throughput hint", c, strings.Replace(create(""), "{", `{"DirectPutSourceConfiguration":{"ThroughputHintInMBs":101},`, 1), 0, one + "'directPutSourceConfiguration.throughputHintInMBs' failed to satisfy constraint: Member must have value less than or equal to 100", nil},
		{"other destination", c, `{"DeliveryStreamName":"new","RedshiftDestinationConfiguration":{}}`, 0, fmt.Sprintf(support, "RedshiftDestinationConfiguration"), nil},
		{"encryption of the stream", c, strings.Replace(create(""), "{", `{"DeliveryStreamEncryptionConfigurationInput":{"KeyType":"AWS_OWNED_CMK"},`, 1), 0, fmt.Sprintf(support, sse), nil},
		{"unknown member", c, create(`,"Teleport":true`), 0, fmt.Sprintf(support, "the member extendedS3DestinationConfiguration.teleport"), nil},
		{"duplicate tags", c, strings.Replace(create(""), "{", `{"Tags":[{"Key":"a"},{"Key":"a"}],`, 1), 0, invalid + "Duplicate tag key 'a'. Each key may be given once.", nil},
	}
}

func processorCases() []wireCase {
	const c, path = "CreateDeliveryStream", "'extendedS3DestinationConfiguration.processingConfiguration.processors.1.member."
	count := invalid + "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled."
	return []wireCase{
		{"no processor", c, processors(""), 0, count, nil},
		{"six processors", c, processors(strings.TrimSuffix(strings.Repeat(`{"Type":"AppendDelimiterToRecord"},`, 6), ",")), 0, count, nil},
		{"no type", c, processors(`{}`), 0, one + path + "type' " + null, nil},
		{"unknown type", c, processors(`{"Type":"Python"}`), 0, one + path + "type' failed to satisfy constraint: Member must satisfy enum value set: [RecordDeAggregation, Decompression, CloudWatchLogProcessing, Lambda, MetadataExtraction, AppendDelimiterToRecord]", nil},
		{"no function", c, processors(`{"Type":"Lambda"}`), 0, invalid + "LambdaArn is required when Lambda processor is used.", nil},
		{"no ARN", c, processors(lambda("LambdaArn", "enrich")), 0, invalid + "Invalid lambda ARN.", nil},
		{"two functions", c, processors(lambda("LambdaArn", lambdaARN) + "," + lambda("LambdaArn", lambdaARN)), 0, invalid + "Cannot have more than 1 Lambda processor.", nil},
		{"duplicate parameter", c, processors(lambda("NumberOfRetries", "1", "NumberOfRetries", "1")), 0, invalid + "Duplicate ProcessorParameter passed to ProcessingConfiguration.", nil},
		{"half of the function's buffer", c, processors(lambda("LambdaArn", lambdaARN, "BufferSizeInMBs", "1")), 0, invalid + "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for lambda processor.", nil},
		{"function's buffer", c, processors(lambda("LambdaArn", lambdaARN, "BufferSizeInMBs", "NaN", "BufferIntervalInSeconds", "60")), 0, invalid + "BufferSizeInMBs of a Lambda processor must be a number from 0.2 to 3.", nil},
		{"function's interval", c, processors(lambda("LambdaArn", lambdaARN, "BufferSizeInMBs", "1", "BufferIntervalInSeconds", "901")), 0, invalid + "BufferIntervalInSeconds of a Lambda processor must be a whole number from 0 to 900.", nil},
		{"function's retries", c, processors(lambda("LambdaArn", lambdaARN, "NumberOfRetries", "many")), 0, invalid + "NumberOfRetries of a Lambda processor must be a whole number.", nil},
		{"blank value", c, processors(lambda("LambdaArn", " ")), 0, one + path + `parameters.1.member.parameterValue' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?!\\s*$).+`, nil},
		{"other parameter", c, processors(lambda("LambdaArn", lambdaARN, "Delimiter", "x")), 0, invalid + "A Lambda processor has no parameter Delimiter.", nil},
		{"other delimiter", c, processors(`{"Type":"AppendDelimiterToRecord","Parameters":[{"ParameterName":"Delimiter","ParameterValue":";"}]}`), 0, fmt.Sprintf(support, `a Delimiter of AppendDelimiterToRecord that is not a newline (\n)`), nil},
		{"JQ", c, processors(`{"Type":"MetadataExtraction"}`), 0, fmt.Sprintf(support, "the processor MetadataExtraction"), nil},
		{"CloudWatch logs", c, processors(`{"Type":"CloudWatchLogProcessing"}`), 0, invalid + "CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor", nil},
		{"decompression", c, processors(`{"Type":"Decompression"}`), 0, fmt.Sprintf(support, "the processor Decompression"), nil},
	}
}

func changeCases() []wireCase {
	const u, id = "UpdateDestination", "destinationId-000000000001"
	return []wireCase{
		{"version conflict", u, update("2", id, ""), 0, "ConcurrentModificationException: Cannot update firehose: s since the current version id: 1 and specified version id: 2 do not match", nil},
		{"version is no number", u, update("v1", id, ""), 0, one + "'currentDeliveryStreamVersionId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9]+", nil},
		{"unknown destination", u, update("1", "destinationId-000000000002", ""), 0, invalid + "Destination Id destinationId-000000000002 not found", nil},
		{"no members", u, `{}`, 0, "ValidationException: 3 validation errors detected: Value at 'deliveryStreamName' " + null + "; Value at 'currentDeliveryStreamVersionId' " + null + "; Value at 'destinationId' " + null, nil},
		{"nothing to update", u, `{"DeliveryStreamName":"s","CurrentDeliveryStreamVersionId":"1","DestinationId":"` + id + `"}`, 0, invalid + "Exactly one destination configuration is supported for a Firehose", nil},
		{"compression of an update", u, update("1", id, `"CompressionFormat":"lz4"`), 0, one + "'extendedS3DestinationUpdate.compressionFormat' failed to satisfy constraint: Member must satisfy enum value set: [ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED]", nil},
		{"prefix that the other one does not fit", u, update("1", id, `"Prefix":"!{timestamp:yyyy}/"`), 0, invalid + "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions", nil},
		{"partitioning later", u, update("1", id, `"DynamicPartitioningConfiguration":{"Enabled":true}`), 0, invalid + "Dynamic Partitioning can only be enabled or disabled for a new delivery stream.", nil},
		{"other destination", u, `{"DeliveryStreamName":"s","CurrentDeliveryStreamVersionId":"1","DestinationId":"` + id + `","SplunkDestinationUpdate":{}}`, 0, fmt.Sprintf(support, "SplunkDestinationUpdate"), nil},
		{"backup without a bucket", u, update("1", id, `"S3BackupMode":"Enabled","S3BackupUpdate":{"Prefix":"b/"}`), 0, invalid + "S3BackupUpdate must have RoleARN and BucketARN: there is no backup yet.", nil},
		{"no tags", "TagDeliveryStream", `{"DeliveryStreamName":"s"}`, 0, one + "'tags' " + null, nil},
		{"empty tags", "TagDeliveryStream", `{"DeliveryStreamName":"s","Tags":[]}`, 0, one + "'tags' failed to satisfy constraint: Member must have length greater than or equal to 1", nil},
		{"51 tags", "TagDeliveryStream", `{"DeliveryStreamName":"s","Tags":[` + manyTags(51) + `]}`, 0, one + "'tags' failed to satisfy constraint: Member must have length less than or equal to 50", nil},
		{"tags beyond the limit", "TagDeliveryStream", `{"DeliveryStreamName":"tagged","Tags":[{"Key":"x"}]}`, 0, "LimitExceededException: A delivery stream can have up to 50 tags; this would make 51.", nil},
		{"reserved tag", "TagDeliveryStream", `{"DeliveryStreamName":"s","Tags":[{"Key":"aws:x"}]}`, 0, one + `'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`, nil},
		{"tag's value", "TagDeliveryStream", `{"DeliveryStreamName":"s","Tags":[{"Key":"k","Value":"` + strings.Repeat("v", 257) + `"}]}`, 0, one + "'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256", nil},
		{"tag's characters", "TagDeliveryStream", `{"DeliveryStreamName":"s","Tags":[{"Key":"k","Value":"a#b"}]}`, 0, one + `'tags.1.member.value' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$`, nil},
		{"no tag keys", "UntagDeliveryStream", `{"DeliveryStreamName":"s"}`, 0, one + "'tagKeys' " + null, nil},
		{"limit of tags", "ListTagsForDeliveryStream", `{"DeliveryStreamName":"s","Limit":51}`, 0, one + "'limit' failed to satisfy constraint: Member must have value less than or equal to 50", nil},
		{"key with an owned key", "StartDeliveryStreamEncryption", `{"DeliveryStreamName":"s","DeliveryStreamEncryptionConfigurationInput":{"KeyType":"AWS_OWNED_CMK","KeyARN":"arn"}}`, 0, invalid + "KeyARN cannot be specified when KeyType is AWS_OWNED_CMK", nil},
		{"key type", "StartDeliveryStreamEncryption", `{"DeliveryStreamName":"s","DeliveryStreamEncryptionConfigurationInput":{"KeyType":"X"}}`, 0, one + "'deliveryStreamEncryptionConfigurationInput.keyType' failed to satisfy constraint: Member must satisfy enum value set: [AWS_OWNED_CMK, CUSTOMER_MANAGED_CMK]", nil},
		{"encryption", "StartDeliveryStreamEncryption", `{"DeliveryStreamName":"s"}`, 0, fmt.Sprintf(support, sse), nil},
	}
}

func TestErrorsOnTheWire(t *testing.T) {
	s, logs := withStream(t, firehose.Config{})
	h := handler(s, clock)
	var r reply
	call(h, signed(t, "CreateDeliveryStream", strings.Replace(strings.Replace(createBody, `"s"`, `"tagged"`, 1), "{", `{"Tags":[`+manyTags(50)+`],`, 1), nil), &r)
	if r.Status != 200 {
		t.Fatalf("create with 50 tags: %d %s", r.Status, r.Body)
	}
	groups := map[string][]wireCase{
		"signature": signatureCases(), "name": nameCases(), "put": putCases(), "create": createCases(),
		"processor": processorCases(), "change": changeCases(),
	}
	n := 0
	for group, cases := range groups {
		n += len(cases)
		for _, tt := range cases {
			t.Run(group+"/"+tt.name, func(t *testing.T) {
				var got reply
				call(h, signed(t, tt.op, tt.body, tt.sign), &got)
				status := tt.status
				if status == 0 {
					status = http.StatusBadRequest
				}
				want := strings.ReplaceAll(tt.want, `\\s`, `\s`)
				if got.Status != status || got.Type+": "+got.Message != want {
					t.Errorf("\n got %d %s: %s\nwant %d %s", got.Status, got.Type, got.Message, status, want)
				}
				if got.Header.Get("X-Amzn-Requestid") == "" || got.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
					t.Errorf("headers: %v", got.Header)
				}
			})
		}
	}
	t.Logf("%d cases", n)
	if len(logs.Of("s", 0).Records(t, 0)) != 0 {
		t.Error("a refused request stored records")
	}
	if got := len(s.Streams()); got != 2 {
		t.Errorf("%d streams after refused requests, want 2", got)
	}
}

func TestLimitsAreInclusive(t *testing.T) {
	s, logs := withStream(t, firehose.Config{})
	h := handler(s, clock)
	for name, tt := range map[string]struct {
		op, body string
		records  int
	}{
		"empty record":   {"PutRecord", `{"DeliveryStreamName":"s","Record":{"Data":""}}`, 1},
		"largest record": {"PutRecord", `{"DeliveryStreamName":"s","Record":{"Data":"` + data(1_024_000) + `"}}`, 1},
		"500 records":    {"PutRecordBatch", batch(500, 1), 500},
		"4 MiB":          {"PutRecordBatch", batch(128, 32<<10), 128},
		"unknown member": {"PutRecordBatch", `{"DeliveryStreamName":"s","New":1,"Records":[{"Data":"YQ==","New":{}}]}`, 1},
	} {
		before := len(logs.Of("s", 0).Records(t, 0))
		var r reply
		if call(h, signed(t, tt.op, tt.body, nil), &r); r.Status != 200 {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
		if got := len(logs.Of("s", 0).Records(t, 0)) - before; got != tt.records {
			t.Errorf("%s: %d records stored, want %d", name, got, tt.records)
		}
	}
}

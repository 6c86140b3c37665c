package provision

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/record"
)

// lambdaSeconds is how long the stream gathers records for one call of the function: not
// longer than for an object, or the object would wait for the function's buffer.
func lambdaSeconds(s *Spec) int {
	return int(min(s.Pipeline.Deliver.Interval, record.DefaultFunctionInterval).Seconds())
}

// destinationField is one property of the destination: its normal form in a description, the
// wanted one, and how to ask for it.
type destinationField struct {
	name string
	have func(*types.ExtendedS3DestinationDescription) string
	want string
	set  func(*types.ExtendedS3DestinationUpdate)
}

func (r *Stream) fields() []destinationField {
	s, deliver := r.s, r.s.Pipeline.Deliver
	role, bucket := s.RoleARN(s.FirehoseRole()), s.BucketARN()
	seconds, mb := int32(deliver.Interval/time.Second), int32(deliver.Size>>20)
	logging := &types.CloudWatchLoggingOptions{Enabled: aws.Bool(true), LogGroupName: aws.String(s.StreamLogGroup()), LogStreamName: aws.String(DeliveryLogStream)}
	processing, conversion := r.processing(), s.conversion()
	return []destinationField{
		{"role", func(d *types.ExtendedS3DestinationDescription) string { return aws.ToString(d.RoleARN) },
			role, func(u *types.ExtendedS3DestinationUpdate) { u.RoleARN = &role }},
		{"bucket", func(d *types.ExtendedS3DestinationDescription) string { return aws.ToString(d.BucketARN) },
			bucket, func(u *types.ExtendedS3DestinationUpdate) { u.BucketARN = &bucket }},
		{"prefix", func(d *types.ExtendedS3DestinationDescription) string { return aws.ToString(d.Prefix) },
			deliver.Prefix, func(u *types.ExtendedS3DestinationUpdate) { u.Prefix = &deliver.Prefix }},
		{"error prefix", func(d *types.ExtendedS3DestinationDescription) string { return aws.ToString(d.ErrorOutputPrefix) },
			deliver.ErrorPrefix, func(u *types.ExtendedS3DestinationUpdate) { u.ErrorOutputPrefix = &deliver.ErrorPrefix }},
		{"buffering", func(d *types.ExtendedS3DestinationDescription) string { return hintsText(HintsOf(d)) },
			hintsText(record.Hints{Interval: deliver.Interval, SizeMiB: int(mb)}),
			func(u *types.ExtendedS3DestinationUpdate) {
				u.BufferingHints = &types.BufferingHints{IntervalInSeconds: &seconds, SizeInMBs: &mb}
			}},
		{"compression", func(d *types.ExtendedS3DestinationDescription) string { return compressionText(d.CompressionFormat) },
			deliver.CompressionFormat(), func(u *types.ExtendedS3DestinationUpdate) {
				u.CompressionFormat = types.CompressionFormat(deliver.CompressionFormat())
			}},
		{"error log", func(d *types.ExtendedS3DestinationDescription) string { return loggingText(d.CloudWatchLoggingOptions) },
			loggingText(logging), func(u *types.ExtendedS3DestinationUpdate) { u.CloudWatchLoggingOptions = logging }},
		{"processing", func(d *types.ExtendedS3DestinationDescription) string {
			return processingText(d.ProcessingConfiguration, aws.ToString(d.RoleARN))
		}, processingText(processing, role), func(u *types.ExtendedS3DestinationUpdate) { u.ProcessingConfiguration = processing }},

		// What a stream that is taken over may have, and the chain cannot do with.
		{"encryption", func(d *types.ExtendedS3DestinationDescription) string {
			return encryptionText(d.EncryptionConfiguration)
		},
			"", func(u *types.ExtendedS3DestinationUpdate) {
				u.EncryptionConfiguration = &types.EncryptionConfiguration{NoEncryptionConfig: types.NoEncryptionConfigNoEncryption}
			}},
		{"file extension", func(d *types.ExtendedS3DestinationDescription) string { return aws.ToString(d.FileExtension) },
			"", func(u *types.ExtendedS3DestinationUpdate) { u.FileExtension = aws.String("") }},
		{"time zone", func(d *types.ExtendedS3DestinationDescription) string {
			return strings.TrimPrefix(aws.ToString(d.CustomTimeZone), "UTC")
		}, "", func(u *types.ExtendedS3DestinationUpdate) { u.CustomTimeZone = aws.String("UTC") }},
		{"format conversion", func(d *types.ExtendedS3DestinationDescription) string {
			return conversionText(d.DataFormatConversionConfiguration, s.Region, aws.ToString(d.RoleARN))
		}, conversionText(conversion, s.Region, role), func(u *types.ExtendedS3DestinationUpdate) {
			u.DataFormatConversionConfiguration = conversion
		}},
	}
}

// conversion is of JSON to Parquet with the columns of the pipeline's table, or none.
func (s *Spec) conversion() *types.DataFormatConversionConfiguration {
	p := s.Pipeline
	if !p.Deliver.Parquet {
		return &types.DataFormatConversionConfiguration{Enabled: aws.Bool(false)}
	}
	return &types.DataFormatConversionConfiguration{
		Enabled: aws.Bool(true),
		SchemaConfiguration: &types.SchemaConfiguration{
			RoleARN: aws.String(s.RoleARN(s.FirehoseRole())), DatabaseName: aws.String(p.Database()), TableName: aws.String(config.LinesTable),
			Region: aws.String(s.Region), VersionId: aws.String(newestVersion),
		},
		InputFormatConfiguration: &types.InputFormatConfiguration{Deserializer: &types.Deserializer{OpenXJsonSerDe: &types.OpenXJsonSerDe{}}},
		OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: &types.Serializer{
			ParquetSerDe: &types.ParquetSerDe{Compression: types.ParquetCompression(p.Deliver.ParquetCompression())},
		}},
	}
}

// newestVersion of a table is what Firehose takes where nothing is said.
const newestVersion = "LATEST"

// processing is the enrichment function, with all that Firehose would fill in.
func (r *Stream) processing() *types.ProcessingConfiguration {
	param := func(name types.ProcessorParameterName, value string) types.ProcessorParameter {
		return types.ProcessorParameter{ParameterName: name, ParameterValue: aws.String(value)}
	}
	return &types.ProcessingConfiguration{
		Enabled: aws.Bool(true), // omitted it means disabled
		Processors: []types.Processor{{Type: types.ProcessorTypeLambda, Parameters: []types.ProcessorParameter{
			param(types.ProcessorParameterNameLambdaArn, r.s.FunctionARN()+latest),
			param(types.ProcessorParameterNameLambdaNumberOfRetries, strconv.Itoa(record.DefaultFunctionRetries)),
			param(types.ProcessorParameterNameRoleArn, r.s.RoleARN(r.s.FirehoseRole())),
			param(types.ProcessorParameterNameBufferSizeInMb, strconv.Itoa(record.DefaultFunctionSizeMiB)),
			param(types.ProcessorParameterNameBufferIntervalInSeconds, strconv.Itoa(lambdaSeconds(r.s))),
		}}},
	}
}

// latest is the qualifier that a function's ARN means without one.
const latest = ":$LATEST"

// compare is every field; d nil is a stream that does not exist.
func (r *Stream) compare(d *types.DeliveryStreamDescription) []Field {
	source := Field{Name: "source", Want: string(types.DeliveryStreamTypeDirectPut)}
	if d != nil {
		source.Have = source.Want // any other is an ErrOtherKind
	}
	fields := []Field{source}
	for _, f := range r.fields() {
		field := Field{Name: f.name, Want: f.want}
		if d != nil {
			field.Have = f.have(destinationOf(d))
		}
		if field.Have != "" || field.Want != "" {
			fields = append(fields, field)
		}
	}
	return append(fields, statusField(d))
}

// update asks for what differs, and is nil when nothing does. Firehose merges it with what
// is there, but for the processing, which it replaces whole. A stream of the old kind of S3
// destination becomes one of the extended kind, so all is said.
func (r *Stream) update(d *types.DeliveryStreamDescription) *types.ExtendedS3DestinationUpdate {
	if len(d.Destinations) == 0 {
		return nil
	}
	var update types.ExtendedS3DestinationUpdate
	have, changes := destinationOf(d), false
	for _, f := range r.fields() {
		if f.have(have) != f.want {
			f.set(&update)
			changes = true
		}
	}
	if !changes {
		return nil
	}
	if d.Destinations[0].ExtendedS3DestinationDescription == nil {
		r.setWanted(&update)
	}
	return &update
}

func (r *Stream) setWanted(u *types.ExtendedS3DestinationUpdate) {
	for _, f := range r.fields() {
		if f.want != "" {
			f.set(u)
		}
	}
}

// wanted is the destination of a new stream.
func (r *Stream) wanted() *types.ExtendedS3DestinationConfiguration {
	var u types.ExtendedS3DestinationUpdate
	r.setWanted(&u)
	return &types.ExtendedS3DestinationConfiguration{
		RoleARN: u.RoleARN, BucketARN: u.BucketARN, Prefix: u.Prefix, ErrorOutputPrefix: u.ErrorOutputPrefix,
		BufferingHints: u.BufferingHints, CompressionFormat: u.CompressionFormat,
		CloudWatchLoggingOptions: u.CloudWatchLoggingOptions, ProcessingConfiguration: u.ProcessingConfiguration,
		DataFormatConversionConfiguration: u.DataFormatConversionConfiguration,
		S3BackupMode:                      types.S3BackupModeDisabled,
	}
}

// changeable refuses a stream that can never be the pipeline's.
func (r *Stream) changeable(d *types.DeliveryStreamDescription) error {
	why := ""
	destination := destinationOf(d)
	switch {
	case d.DeliveryStreamType != "" && d.DeliveryStreamType != types.DeliveryStreamTypeDirectPut:
		why = fmt.Sprintf("its source is %s, and API Gateway writes to a stream with Direct PUT alone", d.DeliveryStreamType)
	case destination == nil:
		why = "its destination is not S3"
	case destination.DynamicPartitioningConfiguration != nil && aws.ToBool(destination.DynamicPartitioningConfiguration.Enabled):
		why = "it has dynamic partitioning, which cannot be switched off"
	default:
		return nil
	}
	return &refusal{ErrOtherKind, fmt.Sprintf("there is a stream of that name, but %s; Firehose changes no stream into another kind: choose another name: in stagelog.yaml, or delete the stream with `aws firehose delete-delivery-stream --delivery-stream-name %s --region %s`",
		why, r.Name(), r.s.Region)}
}

// destinationOf is a stream's S3 destination, whichever way it is described; nil for a
// destination that is not S3. A stream that failed early may have none: that is an empty one.
func destinationOf(d *types.DeliveryStreamDescription) *types.ExtendedS3DestinationDescription {
	if len(d.Destinations) == 0 {
		return &types.ExtendedS3DestinationDescription{}
	}
	to := d.Destinations[0]
	if to.ExtendedS3DestinationDescription != nil {
		return to.ExtendedS3DestinationDescription
	}
	if old := to.S3DestinationDescription; old != nil {
		return &types.ExtendedS3DestinationDescription{
			RoleARN: old.RoleARN, BucketARN: old.BucketARN, Prefix: old.Prefix, ErrorOutputPrefix: old.ErrorOutputPrefix,
			BufferingHints: old.BufferingHints, CompressionFormat: old.CompressionFormat,
			CloudWatchLoggingOptions: old.CloudWatchLoggingOptions, EncryptionConfiguration: old.EncryptionConfiguration,
		}
	}
	return nil
}

func (r *Stream) notes(d *types.DeliveryStreamDescription) []string {
	var notes []string
	if old := bucketOf(destinationOf(d)); old != "" && old != r.s.Bucket() {
		notes = append(notes, fmt.Sprintf("its bucket so far, %s, stays as it is, with its objects and its policy, and is nobody's then: destroy does not touch it", old))
	}
	if to, p := destinationOf(d), r.s.Pipeline; p.Deliver.Parquet && conversionText(to.DataFormatConversionConfiguration, "", "") == "" && aws.ToString(to.Prefix) == p.Deliver.Prefix {
		notes = append(notes, fmt.Sprintf("what is below %s already stays JSON, which Athena cannot read by a table of Parquet; give deliver: another prefix:, and the table has Parquet alone. stagelog's reports read both", p.Deliver.Logs()))
	}
	if to := destinationOf(d); to.S3BackupMode == types.S3BackupModeEnabled {
		where, secrets := "another bucket", ""
		if b := to.S3BackupDescription; b != nil {
			_, bucket, _ := strings.Cut(aws.ToString(b.BucketARN), ":::")
			where = "s3://" + bucket + "/" + aws.ToString(b.Prefix)
		}
		if logsKeys(r.s.Pipeline.Format) {
			secrets = ", API keys in clear included"
		}
		notes = append(notes, fmt.Sprintf("its source backup is on, and cannot be switched off: %s holds each record as API Gateway wrote it%s; a new stream would have none", where, secrets))
	}
	if e := d.DeliveryStreamEncryptionConfiguration; e != nil && e.Status != "" && e.Status != types.DeliveryStreamEncryptionStatusDisabled {
		key := aws.ToString(e.KeyARN)
		if key == "" {
			key = "a key of AWS's own"
		}
		note := fmt.Sprintf("its server-side encryption is %s, with %s; it is left as it is", e.Status, key)
		if f := e.FailureDescription; f != nil {
			note += fmt.Sprintf(" (%s: %s)", f.Type, aws.ToString(f.Details))
		}
		notes = append(notes, note)
	}
	return notes
}

// bucketOf is the name of a destination's bucket.
func bucketOf(d *types.ExtendedS3DestinationDescription) string {
	_, name, _ := strings.Cut(aws.ToString(d.BucketARN), ":::")
	return name
}

func logsKeys(format string) bool {
	for _, f := range accesslog.Lint(format) {
		if f.Code == "api-key-in-clear" {
			return true
		}
	}
	return false
}

package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

type (
	destination = types.ExtendedS3DestinationDescription
	update      = types.ExtendedS3DestinationUpdate
)

// destinationField is one property of the destination: how to read its normal form from a
// description, and how to set the wanted value in an update.
type destinationField struct {
	name string
	have func(*destination) string
	set  func(*update)
}

// fields returns the properties of the destination, and the wanted one as a description.
func (r *Stream) fields() ([]destinationField, *destination) {
	want := r.want
	conversion := want.DataFormatConversionConfiguration
	if conversion == nil {
		conversion = &types.DataFormatConversionConfiguration{Enabled: aws.Bool(false)}
	}
	encryption := want.EncryptionConfiguration
	if encryption == nil {
		encryption = &types.EncryptionConfiguration{NoEncryptionConfig: types.NoEncryptionConfigNoEncryption}
	}
	fields := []destinationField{
		{"role", func(d *destination) string { return aws.ToString(d.RoleARN) }, func(u *update) { u.RoleARN = want.RoleARN }},
		{"bucket", func(d *destination) string { return aws.ToString(d.BucketARN) }, func(u *update) { u.BucketARN = want.BucketARN }},
		{"prefix", func(d *destination) string { return aws.ToString(d.Prefix) }, func(u *update) { u.Prefix = want.Prefix }},
		{"error prefix", func(d *destination) string { return aws.ToString(d.ErrorOutputPrefix) }, func(u *update) { u.ErrorOutputPrefix = want.ErrorOutputPrefix }},
		{"buffering", bufferingText, func(u *update) { u.BufferingHints = want.BufferingHints }},
		{"compression", func(d *destination) string { return compressionText(d.CompressionFormat) }, func(u *update) { u.CompressionFormat = want.CompressionFormat }},
		{"error log", func(d *destination) string { return loggingText(d.CloudWatchLoggingOptions) },
			func(u *update) { u.CloudWatchLoggingOptions = want.CloudWatchLoggingOptions }},
		{"processing", func(d *destination) string { return processingText(d.ProcessingConfiguration, aws.ToString(d.RoleARN)) },
			func(u *update) { u.ProcessingConfiguration = want.ProcessingConfiguration }},

		{"encryption", func(d *destination) string { return encryptionText(d.EncryptionConfiguration) }, func(u *update) { u.EncryptionConfiguration = encryption }},

		// Settings that an adopted stream may have but the pipeline does not support.
		{"file extension", func(d *destination) string { return aws.ToString(d.FileExtension) }, func(u *update) { u.FileExtension = aws.String("") }},
		{"time zone", func(d *destination) string { return strings.TrimPrefix(aws.ToString(d.CustomTimeZone), "UTC") },
			func(u *update) { u.CustomTimeZone = aws.String("UTC") }},
		{"format conversion", func(d *destination) string {
			return conversionText(d.DataFormatConversionConfiguration, r.s.Region, aws.ToString(d.RoleARN))
		}, func(u *update) { u.DataFormatConversionConfiguration = conversion }},
	}
	if r.s.Pipeline.AWS.KeepEncryption {
		fields = slices.DeleteFunc(fields, func(f destinationField) bool { return f.name == "encryption" })
	}
	return fields, &destination{
		RoleARN: want.RoleARN, BucketARN: want.BucketARN, Prefix: want.Prefix, ErrorOutputPrefix: want.ErrorOutputPrefix,
		BufferingHints: want.BufferingHints, CompressionFormat: want.CompressionFormat, CloudWatchLoggingOptions: want.CloudWatchLoggingOptions,
		ProcessingConfiguration: want.ProcessingConfiguration, DataFormatConversionConfiguration: conversion, EncryptionConfiguration: want.EncryptionConfiguration,
	}
}

// compare returns every field. A nil d means that the stream does not exist.
func (r *Stream) compare(d *types.DeliveryStreamDescription) []Field {
	source := Field{Name: "source", Want: string(types.DeliveryStreamTypeDirectPut)}
	if d != nil {
		source.Have = source.Want // any other is an ErrOtherKind
	}
	fields := []Field{source}
	properties, want := r.fields()
	for _, f := range properties {
		field := Field{Name: f.name, Want: f.have(want)}
		if d != nil {
			field.Have = f.have(destinationOf(d))
		}
		if field.Have != "" || field.Want != "" {
			fields = append(fields, field)
		}
	}
	return append(fields, statusField(d))
}

// update returns an update of what differs, or nil. Firehose merges it with the current settings,
// except for the processing, which it replaces as a whole. A stream with the old kind of S3
// destination becomes one of the extended kind, so all fields are set.
func (r *Stream) update(d *types.DeliveryStreamDescription) *update {
	if len(d.Destinations) == 0 {
		return nil
	}
	var u update
	have, old, changes := destinationOf(d), d.Destinations[0].ExtendedS3DestinationDescription == nil, false
	properties, want := r.fields()
	for _, f := range properties {
		wanted := f.have(want)
		differs := f.have(have) != wanted
		if differs || old && wanted != "" {
			f.set(&u)
		}
		changes = changes || differs
	}
	if !changes {
		return nil
	}
	return &u
}

// changeable returns an error for a stream that cannot be changed into the pipeline's.
func (r *Stream) changeable(d *types.DeliveryStreamDescription) error {
	why := ""
	destination := destinationOf(d)
	switch {
	case d.DeliveryStreamType != "" && d.DeliveryStreamType != types.DeliveryStreamTypeDirectPut:
		why = fmt.Sprintf("its source is %s, and API Gateway can only write to Direct PUT streams", d.DeliveryStreamType)
	case destination == nil:
		why = "its destination is not S3"
	case destination.DynamicPartitioningConfiguration != nil && aws.ToBool(destination.DynamicPartitioningConfiguration.Enabled):
		why = "it has dynamic partitioning, which cannot be disabled"
	default:
		return nil
	}
	return &refusal{ErrOtherKind, fmt.Sprintf("a stream with that name exists, but %s; Firehose cannot change that: choose another name: in stagelog.yaml, or delete the stream with `aws firehose delete-delivery-stream --delivery-stream-name %s --region %s`",
		why, r.Name(), r.s.Region)}
}

// destinationOf returns a stream's S3 destination in the extended form, nil if the destination is
// not S3, or an empty one for a failed stream without a destination.
func destinationOf(d *types.DeliveryStreamDescription) *destination {
	if len(d.Destinations) == 0 {
		return &destination{}
	}
	return S3Destination(d.Destinations[0])
}

// S3Destination returns an S3 destination, which AWS describes in one of two forms, in the extended form; nil if it is not S3.
func S3Destination(to types.DestinationDescription) *destination {
	if to.ExtendedS3DestinationDescription != nil {
		return to.ExtendedS3DestinationDescription
	}
	if old := to.S3DestinationDescription; old != nil && to.RedshiftDestinationDescription == nil && to.HttpEndpointDestinationDescription == nil {
		return &destination{
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
		notes = append(notes, fmt.Sprintf("its current bucket, %s, is kept with its objects and policy, but no longer belongs to a pipeline: destroy does not delete it", old))
	}
	if to, p := destinationOf(d), r.s.Pipeline; p.Deliver.Parquet && conversionText(to.DataFormatConversionConfiguration, "", "") == "" && aws.ToString(to.Prefix) == p.Deliver.Prefix {
		notes = append(notes, fmt.Sprintf("existing objects below %s stay JSON, which Athena cannot read with a Parquet table; set another prefix: under deliver: to separate them. stagelog's reports read both", p.Deliver.Logs()))
	}
	if to := destinationOf(d); to.S3BackupMode == types.S3BackupModeEnabled {
		where, secrets := "another bucket", ""
		if b := to.S3BackupDescription; b != nil {
			_, bucket, _ := strings.Cut(aws.ToString(b.BucketARN), ":::")
			where = "s3://" + bucket + "/" + aws.ToString(b.Prefix)
		}
		if logsKeys(r.s.Pipeline.Format) {
			secrets = ", including API keys in clear text"
		}
		notes = append(notes, fmt.Sprintf("its source backup is enabled and cannot be disabled: %s holds each record as API Gateway wrote it%s; a new stream would have no backup", where, secrets))
	}
	if e := d.DeliveryStreamEncryptionConfiguration; e != nil && e.Status != "" && e.Status != types.DeliveryStreamEncryptionStatusDisabled {
		key := aws.ToString(e.KeyARN)
		if key == "" {
			key = "an AWS owned key"
		}
		note := fmt.Sprintf("its server-side encryption is %s, with %s; stagelog does not change it", e.Status, key)
		if f := e.FailureDescription; f != nil {
			note += fmt.Sprintf(" (%s: %s)", f.Type, aws.ToString(f.Details))
		}
		notes = append(notes, note)
	}
	return notes
}

// bucketOf returns the name of a destination's bucket.
func bucketOf(d *destination) string {
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

// processingText describes the processors, one per line, "" if there are none. role is the
// destination's, which Firehose uses as default.
func processingText(p *types.ProcessingConfiguration, role string) string {
	if p == nil || !aws.ToBool(p.Enabled) {
		return ""
	}
	var lines []string
	for _, proc := range p.Processors {
		given := map[types.ProcessorParameterName]string{}
		for _, param := range proc.Parameters {
			given[param.ParameterName] = aws.ToString(param.ParameterValue)
		}
		if proc.Type == types.ProcessorTypeLambda {
			lines = append(lines, lambdaText(given, role))
			continue
		}
		line := string(proc.Type)
		for _, param := range proc.Parameters {
			line += fmt.Sprintf(" %s=%s", param.ParameterName, aws.ToString(param.ParameterValue))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// lambdaText describes a Lambda processor with Firehose's defaults. An ARN without a qualifier means the latest version.
func lambdaText(given map[types.ProcessorParameterName]string, role string) string {
	or := func(name types.ProcessorParameterName, otherwise string) string {
		if given[name] != "" {
			return given[name]
		}
		return otherwise
	}
	text := fmt.Sprintf("%s, %s s or %s MiB, %s retries",
		strings.TrimSuffix(given[types.ProcessorParameterNameLambdaArn], desired.LatestQualifier),
		or(types.ProcessorParameterNameBufferIntervalInSeconds, strconv.Itoa(int(record.DefaultFunctionInterval.Seconds()))),
		strings.TrimSuffix(or(types.ProcessorParameterNameBufferSizeInMb, strconv.Itoa(record.DefaultFunctionSizeMiB)), ".0"),
		or(types.ProcessorParameterNameLambdaNumberOfRetries, strconv.Itoa(record.DefaultFunctionRetries)))
	return text + ", as " + or(types.ProcessorParameterNameRoleArn, role)
}

func failed(d *types.DeliveryStreamDescription) bool {
	return d.DeliveryStreamStatus == types.DeliveryStreamStatusCreatingFailed || d.DeliveryStreamStatus == types.DeliveryStreamStatusDeletingFailed
}

func statusField(d *types.DeliveryStreamDescription) Field {
	return Field{Name: "status", Have: statusText(d), Want: string(types.DeliveryStreamStatusActive)}
}

func statusText(d *types.DeliveryStreamDescription) string {
	if d == nil {
		return ""
	}
	if f := d.FailureDescription; f != nil && failed(d) {
		return fmt.Sprintf("%s (%s: %s)", d.DeliveryStreamStatus, f.Type, aws.ToString(f.Details))
	}
	return string(d.DeliveryStreamStatus)
}

func bufferingText(d *destination) string {
	h := HintsOf(d)
	return fmt.Sprintf("%d s or %d MiB", int(h.Interval.Seconds()), h.SizeMiB)
}

func compressionText(c types.CompressionFormat) string {
	if c == "" {
		return string(types.CompressionFormatUncompressed)
	}
	return string(c)
}

// conversionText describes a format conversion with Firehose's defaults, "" for none.
func conversionText(c *types.DataFormatConversionConfiguration, region, role string) string {
	if c == nil || c.Enabled != nil && !*c.Enabled {
		return ""
	}
	text := "to another format"
	if out := c.OutputFormatConfiguration; out != nil && out.Serializer != nil {
		switch to := out.Serializer; {
		case to.ParquetSerDe != nil:
			text = "to Parquet, " + string(cmp.Or(to.ParquetSerDe.Compression, types.ParquetCompressionSnappy))
		case to.OrcSerDe != nil:
			text = "to ORC"
		}
	}
	if in := c.InputFormatConfiguration; in != nil && in.Deserializer != nil {
		switch from := in.Deserializer; {
		case from.HiveJsonSerDe != nil:
			text += ", from JSON with Hive's JSON SerDe"
		case from.OpenXJsonSerDe != nil:
			text += openXText(from.OpenXJsonSerDe)
		}
	}
	if s := c.SchemaConfiguration; s != nil {
		text += fmt.Sprintf("\ncolumns of %s.%s, version %s, in %s, as %s", aws.ToString(s.DatabaseName), aws.ToString(s.TableName),
			cmp.Or(aws.ToString(s.VersionId), desired.NewestVersion), cmp.Or(aws.ToString(s.Region), region), cmp.Or(aws.ToString(s.RoleARN), role))
	}
	return text
}

// openXText describes the settings that differ from the OpenX SerDe's defaults.
func openXText(s *types.OpenXJsonSerDe) (text string) {
	if s.CaseInsensitive != nil && !*s.CaseInsensitive {
		text += ", case-sensitive names"
	}
	if aws.ToBool(s.ConvertDotsInJsonKeysToUnderscores) {
		text += ", dots in names as _"
	}
	for _, column := range slices.Sorted(maps.Keys(s.ColumnToJsonKeyMappings)) {
		text += fmt.Sprintf(", %s from %s", column, s.ColumnToJsonKeyMappings[column])
	}
	return text
}

func loggingText(o *types.CloudWatchLoggingOptions) string {
	if o == nil || !aws.ToBool(o.Enabled) {
		return ""
	}
	return aws.ToString(o.LogGroupName) + ", log stream " + aws.ToString(o.LogStreamName)
}

func encryptionText(e *types.EncryptionConfiguration) string {
	if e == nil || e.KMSEncryptionConfig == nil {
		return "" // the bucket's default
	}
	return aws.ToString(e.KMSEncryptionConfig.AWSKMSKeyARN)
}

// Converts reports whether a stream converts its records to another format. Enabled defaults to true.
func Converts(c *types.DataFormatConversionConfiguration) bool {
	return c != nil && (c.Enabled == nil || *c.Enabled)
}

// HintsOf returns a destination's buffering hints, or Firehose's defaults for those not set.
func HintsOf(to *types.ExtendedS3DestinationDescription) record.Hints {
	partitions := to.DynamicPartitioningConfiguration != nil && aws.ToBool(to.DynamicPartitioningConfiguration.Enabled)
	hints := record.DefaultHints(partitions || Converts(to.DataFormatConversionConfiguration))
	if h := to.BufferingHints; h != nil && h.IntervalInSeconds != nil {
		hints.Interval = time.Duration(*h.IntervalInSeconds) * time.Second
	}
	if h := to.BufferingHints; h != nil && h.SizeInMBs != nil {
		hints.SizeMiB = int(*h.SizeInMBs)
	}
	return hints
}

// FunctionHints limits how many records a stream buffers for one call of its function.
type FunctionHints struct {
	Interval time.Duration
	SizeMiB  float64
}

// FunctionHintsOf returns the hints of a Lambda processor with these parameters, or Firehose's defaults for those not set.
func FunctionHintsOf(parameters []types.ProcessorParameter) FunctionHints {
	hints := FunctionHints{record.DefaultFunctionInterval, record.DefaultFunctionSizeMiB}
	for _, p := range parameters {
		switch value := aws.ToString(p.ParameterValue); p.ParameterName {
		case types.ProcessorParameterNameBufferIntervalInSeconds:
			if n, err := strconv.Atoi(value); err == nil {
				hints.Interval = time.Duration(n) * time.Second
			}
		case types.ProcessorParameterNameBufferSizeInMb:
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				hints.SizeMiB = n
			}
		}
	}
	return hints
}

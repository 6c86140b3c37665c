package provision

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/accesslog"
)

// destinationField is one property of the destination: how to read its normal form from a
// description, the wanted value, and how to set it in an update.
type destinationField struct {
	name string
	have func(*types.ExtendedS3DestinationDescription) string
	want string
	set  func(*types.ExtendedS3DestinationUpdate)
}

func (r *Stream) fields() []destinationField {
	want := r.want
	text := func(name string, have func(*types.ExtendedS3DestinationDescription) *string, want *string, set func(*types.ExtendedS3DestinationUpdate, *string)) destinationField {
		return destinationField{
			name, func(d *types.ExtendedS3DestinationDescription) string { return aws.ToString(have(d)) },
			aws.ToString(want), func(u *types.ExtendedS3DestinationUpdate) { set(u, want) },
		}
	}
	conversion := want.DataFormatConversionConfiguration
	if conversion == nil {
		conversion = &types.DataFormatConversionConfiguration{Enabled: aws.Bool(false)}
	}
	return []destinationField{
		text("role", func(d *types.ExtendedS3DestinationDescription) *string { return d.RoleARN },
			want.RoleARN, func(u *types.ExtendedS3DestinationUpdate, v *string) { u.RoleARN = v }),
		text("bucket", func(d *types.ExtendedS3DestinationDescription) *string { return d.BucketARN },
			want.BucketARN, func(u *types.ExtendedS3DestinationUpdate, v *string) { u.BucketARN = v }),
		text("prefix", func(d *types.ExtendedS3DestinationDescription) *string { return d.Prefix },
			want.Prefix, func(u *types.ExtendedS3DestinationUpdate, v *string) { u.Prefix = v }),
		text("error prefix", func(d *types.ExtendedS3DestinationDescription) *string { return d.ErrorOutputPrefix },
			want.ErrorOutputPrefix, func(u *types.ExtendedS3DestinationUpdate, v *string) { u.ErrorOutputPrefix = v }),
		{"buffering", func(d *types.ExtendedS3DestinationDescription) string { return hintsText(HintsOf(d)) },
			hintsText(HintsOf(&types.ExtendedS3DestinationDescription{BufferingHints: want.BufferingHints})),
			func(u *types.ExtendedS3DestinationUpdate) { u.BufferingHints = want.BufferingHints }},
		{"compression", func(d *types.ExtendedS3DestinationDescription) string { return compressionText(d.CompressionFormat) },
			compressionText(want.CompressionFormat), func(u *types.ExtendedS3DestinationUpdate) { u.CompressionFormat = want.CompressionFormat }},
		{"error log", func(d *types.ExtendedS3DestinationDescription) string { return loggingText(d.CloudWatchLoggingOptions) },
			loggingText(want.CloudWatchLoggingOptions), func(u *types.ExtendedS3DestinationUpdate) { u.CloudWatchLoggingOptions = want.CloudWatchLoggingOptions }},
		{"processing", func(d *types.ExtendedS3DestinationDescription) string {
			return processingText(d.ProcessingConfiguration, aws.ToString(d.RoleARN))
		}, processingText(want.ProcessingConfiguration, aws.ToString(want.RoleARN)),
			func(u *types.ExtendedS3DestinationUpdate) { u.ProcessingConfiguration = want.ProcessingConfiguration }},

		// Settings that an adopted stream may have but the pipeline does not support.
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
			return conversionText(d.DataFormatConversionConfiguration, r.s.Region, aws.ToString(d.RoleARN))
		}, conversionText(conversion, r.s.Region, aws.ToString(want.RoleARN)), func(u *types.ExtendedS3DestinationUpdate) {
			u.DataFormatConversionConfiguration = conversion
		}},
	}
}

// compare returns every field. A nil d means that the stream does not exist.
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

// update returns an update of what differs, or nil. Firehose merges it with the current settings,
// except for the processing, which it replaces as a whole. A stream with the old kind of S3
// destination becomes one of the extended kind, so all fields are set.
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

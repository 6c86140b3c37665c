package firehose

import (
	"cmp"
	"errors"
	"time"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// destinationInput is a destination in a request, to create (Configuration) or to merge (Update).
// nil: not given.
type destinationInput struct {
	RoleARN                  *string
	BucketARN                *string
	Prefix                   *string
	ErrorOutputPrefix        *string
	BufferingHints           *struct{ SizeInMBs, IntervalInSeconds *int }
	CompressionFormat        *string
	EncryptionConfiguration  *Encryption
	CloudWatchLoggingOptions *CloudWatchLogging

	ProcessingConfiguration           *Processing
	S3BackupMode                      *string
	S3BackupConfiguration             *destinationInput
	S3BackupUpdate                    *destinationInput
	DataFormatConversionConfiguration *conversionInput
	DynamicPartitioningConfiguration  *struct {
		Enabled      bool
		RetryOptions *RetryOptions
	}
	FileExtension  *string
	CustomTimeZone *string
}

const (
	defaultCompression    = "UNCOMPRESSED"
	minPartitionedSeconds = 60
)

// defaultHints returns the service's default hints.
func defaultHints(large bool) BufferingHints {
	h := record.DefaultHints(large)
	return BufferingHints{h.SizeMiB, int(h.Interval.Seconds())}
}

// merged returns base with the given members replaced. ProcessingConfiguration is replaced as a whole, as
// in the service.
func (in *destinationInput) merged(base ExtendedS3Destination) (ExtendedS3Destination, *wire.Error) {
	d := base
	s3, err := in.mergedS3(base.S3Destination)
	if err != nil {
		return d, err
	}
	d.S3Destination = s3
	if d.ProcessingConfiguration, err = checkedProcessing(cmp.Or(in.ProcessingConfiguration, base.ProcessingConfiguration), d.RoleARN); err != nil {
		return d, err
	}
	if err := in.mergeBackup(&d, base); err != nil {
		return d, err
	}
	if c := in.DataFormatConversionConfiguration; c != nil {
		d.DataFormatConversionConfiguration = c.merged(base.DataFormatConversionConfiguration)
	}
	set(&d.FileExtension, in.FileExtension)
	set(&d.CustomTimeZone, in.CustomTimeZone)
	return d, in.mergePartitioning(&d, base)
}

func (in *destinationInput) mergedS3(d S3Destination) (S3Destination, *wire.Error) {
	set(&d.RoleARN, in.RoleARN)
	set(&d.BucketARN, in.BucketARN)
	set(&d.Prefix, in.Prefix)
	set(&d.ErrorOutputPrefix, in.ErrorOutputPrefix)
	set(&d.CompressionFormat, in.CompressionFormat)
	d.CompressionFormat = cmp.Or(d.CompressionFormat, defaultCompression)
	if h := in.BufferingHints; h != nil {
		if (h.SizeInMBs == nil) != (h.IntervalInSeconds == nil) {
			return d, invalid("BufferingHints must have both SizeInMBs and IntervalInSeconds, or neither.")
		}
		if h.SizeInMBs != nil {
			d.BufferingHints = BufferingHints{*h.SizeInMBs, *h.IntervalInSeconds}
		}
	}
	d.EncryptionConfiguration = Encryption{"NoEncryption"}
	if in.CloudWatchLoggingOptions != nil {
		d.CloudWatchLoggingOptions = *in.CloudWatchLoggingOptions
	}
	return d, nil
}

func (in *destinationInput) mergeBackup(d *ExtendedS3Destination, base ExtendedS3Destination) *wire.Error {
	set(&d.S3BackupMode, in.S3BackupMode)
	d.S3BackupMode = cmp.Or(d.S3BackupMode, "Disabled")
	if base.S3BackupMode == "Enabled" && d.S3BackupMode != "Enabled" {
		return invalid("S3BackupMode can not be changed from Enabled to Disabled.")
	}
	if backup := cmp.Or(in.S3BackupConfiguration, in.S3BackupUpdate); backup != nil {
		var old S3Destination
		if base.S3BackupDescription != nil {
			old = *base.S3BackupDescription
		}
		merged, err := backup.mergedS3(old)
		if err != nil {
			return err
		}
		if merged.RoleARN == "" || merged.BucketARN == "" {
			return invalid("S3BackupUpdate must have RoleARN and BucketARN: there is no backup yet.")
		}
		d.S3BackupDescription = &merged
	}
	if d.S3BackupMode == "Enabled" && d.S3BackupDescription == nil {
		return invalid("S3BackupConfiguration is required when S3BackupMode is Enabled.")
	}
	return nil
}

// mergePartitioning merges the partitioning, which can be enabled only when a stream is created.
func (in *destinationInput) mergePartitioning(d *ExtendedS3Destination, base ExtendedS3Destination) *wire.Error {
	p := in.DynamicPartitioningConfiguration
	if p == nil {
		return nil
	}
	if base.RoleARN != "" && p.Enabled != base.Partitioning() {
		return invalid("Dynamic Partitioning can only be enabled or disabled for a new delivery stream.")
	}
	merged := DynamicPartitioning{Enabled: p.Enabled, RetryOptions: RetryOptions{DurationInSeconds: 300}}
	if base.DynamicPartitioningConfiguration != nil {
		merged.RetryOptions = base.DynamicPartitioningConfiguration.RetryOptions
	}
	if p.RetryOptions != nil {
		merged.RetryOptions = *p.RetryOptions
	}
	d.DynamicPartitioningConfiguration = &merged
	return nil
}

// finish fills in the defaults that depend on other settings, and checks the destination.
func (d *ExtendedS3Destination) finish() *wire.Error {
	partitioned, conversion := d.Partitioning(), d.Conversion()
	if d.BufferingHints == (BufferingHints{}) {
		d.BufferingHints = defaultHints(partitioned || conversion != nil)
	}
	if conversion != nil {
		if err := conversion.check(d); err != nil {
			return err
		}
	}
	if partitioned && (d.BufferingHints.SizeInMBs < record.MinLargeSizeMiB || d.BufferingHints.IntervalInSeconds < minPartitionedSeconds) {
		return invalid("BufferingHints must have a SizeInMBs of at least %d and an IntervalInSeconds of at least %d when Dynamic Partitioning is enabled.",
			record.MinLargeSizeMiB, minPartitionedSeconds)
	}
	if err := checkPrefixes(d.Prefix, d.ErrorOutputPrefix, partitioned); err != nil {
		return err
	}
	if partitioned {
		if _, ok := d.Lambda(); !ok {
			return refused("Dynamic Partitioning other than by keys that a Lambda processor returns")
		}
	}
	if d.CustomTimeZone != "" {
		if _, err := time.LoadLocation(d.CustomTimeZone); err != nil {
			return invalid("CustomTimeZone '%s' is not a time zone of the IANA database.", d.CustomTimeZone)
		}
	}
	b := d.S3BackupDescription
	if b == nil {
		return nil
	}
	if b.BufferingHints == (BufferingHints{}) {
		b.BufferingHints = defaultHints(false)
	}
	if b.BufferingHints.IntervalInSeconds == 0 {
		return invalid("Zero buffering (IntervalInSeconds 0) is not available for the S3 backup.")
	}
	return checkPrefixes(b.Prefix, b.ErrorOutputPrefix, false)
}

func checkPrefixes(prefix, errorPrefix string, partitioned bool) *wire.Error {
	err := objectkey.Validate(prefix, errorPrefix, partitioned)
	var bad *objectkey.Invalid
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return invalid("%s", bad.Message)
	}
	return invalid("%s", err.Error())
}

func set(to *string, from *string) {
	if from != nil {
		*to = *from
	}
}

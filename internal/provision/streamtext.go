package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/record"
)

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

func hintsText(h record.Hints) string {
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

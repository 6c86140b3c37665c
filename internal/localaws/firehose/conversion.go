package firehose

import (
	"cmp"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// FormatConversion converts JSON records to Parquet files with the columns of a table in the Glue Data Catalog.
type FormatConversion struct {
	Enabled                   bool
	SchemaConfiguration       *SchemaConfiguration `json:",omitempty"`
	InputFormatConfiguration  *InputFormat         `json:",omitempty"`
	OutputFormatConfiguration *OutputFormat        `json:",omitempty"`
}

// SchemaConfiguration identifies the table.
type SchemaConfiguration struct {
	RoleARN      string `json:",omitempty"`
	CatalogId    string `json:",omitempty"`
	DatabaseName string `json:",omitempty"`
	TableName    string `json:",omitempty"`
	Region       string `json:",omitempty"`
	VersionId    string `json:",omitempty"` // LATEST by default
}

// InputFormat describes how records are read.
type InputFormat struct{ Deserializer *Deserializer }

// Deserializer is one of AWS's deserializers. Only OpenXJsonSerDe is supported.
type Deserializer struct {
	OpenXJsonSerDe *OpenXJsonSerDe `json:",omitempty"`
}

// OpenXJsonSerDe reads JSON and ignores the case of names.
type OpenXJsonSerDe struct {
	ConvertDotsInJsonKeysToUnderscores *bool             `json:",omitempty"`
	CaseInsensitive                    *bool             `json:",omitempty"`
	ColumnToJsonKeyMappings            map[string]string `json:",omitempty"`
}

// OutputFormat describes how files are written.
type OutputFormat struct{ Serializer *Serializer }

// Serializer is one of AWS's serializers. Only ParquetSerDe is supported.
type Serializer struct {
	ParquetSerDe *ParquetSerDe `json:",omitempty"`
}

// ParquetSerDe writes Parquet. Only Compression has an effect; the rest concerns the layout within a file, which readers do
// not see, and is stored for DescribeDeliveryStream.
type ParquetSerDe struct {
	BlockSizeBytes              *int   `json:",omitempty"`
	PageSizeBytes               *int   `json:",omitempty"`
	Compression                 string `json:",omitempty"` // SNAPPY by default
	EnableDictionaryCompression *bool  `json:",omitempty"`
	MaxPaddingBytes             *int   `json:",omitempty"`
	WriterVersion               string `json:",omitempty"`
}

// Compression returns the compression of the files' pages.
func (c *FormatConversion) Compression() string {
	return cmp.Or(c.OutputFormatConfiguration.Serializer.ParquetSerDe.Compression, "SNAPPY")
}

// conversionInput is the conversion in a request. nil: not given.
type conversionInput struct {
	Enabled *bool
	FormatConversion
}

// merged returns base with the given members replaced. Enabled defaults to true.
func (in *conversionInput) merged(base *FormatConversion) *FormatConversion {
	if base == nil {
		base = &FormatConversion{Enabled: true}
	}
	return &FormatConversion{
		Enabled:                   *cmp.Or(in.Enabled, &base.Enabled),
		SchemaConfiguration:       cmp.Or(in.SchemaConfiguration, base.SchemaConfiguration),
		InputFormatConfiguration:  cmp.Or(in.InputFormatConfiguration, base.InputFormatConfiguration),
		OutputFormatConfiguration: cmp.Or(in.OutputFormatConfiguration, base.OutputFormatConfiguration),
	}
}

// check checks an enabled conversion, and that the destination is compatible with it.
func (c *FormatConversion) check(d *ExtendedS3Destination) *wire.Error {
	schema := c.SchemaConfiguration
	switch {
	case schema == nil || schema.DatabaseName == "" || schema.TableName == "" || schema.RoleARN == "":
		return invalid("SchemaConfiguration must have DatabaseName, TableName and RoleARN when data format conversion is enabled.")
	case c.InputFormatConfiguration == nil || c.InputFormatConfiguration.Deserializer == nil || c.InputFormatConfiguration.Deserializer.OpenXJsonSerDe == nil:
		return invalid("InputFormatConfiguration must have a deserializer when data format conversion is enabled.")
	case c.OutputFormatConfiguration == nil || c.OutputFormatConfiguration.Serializer == nil || c.OutputFormatConfiguration.Serializer.ParquetSerDe == nil:
		return invalid("OutputFormatConfiguration must have a serializer when data format conversion is enabled.")
	case d.CompressionFormat != defaultCompression:
		return invalid("The S3 destination's compression format must be set to UNCOMPRESSED when data format conversion is enabled")
	case d.BufferingHints.SizeInMBs < record.MinLargeSizeMiB:
		return invalid("BufferingHints must have a SizeInMBs of at least %d when data format conversion is enabled.", record.MinLargeSizeMiB)
	}
	switch in := c.InputFormatConfiguration.Deserializer.OpenXJsonSerDe; {
	case in.CaseInsensitive != nil && !*in.CaseInsensitive:
		return refused("an OpenXJsonSerDe with CaseInsensitive false")
	case in.ConvertDotsInJsonKeysToUnderscores != nil && *in.ConvertDotsInJsonKeysToUnderscores:
		return refused("an OpenXJsonSerDe with ConvertDotsInJsonKeysToUnderscores")
	case len(in.ColumnToJsonKeyMappings) > 0:
		return refused("an OpenXJsonSerDe with ColumnToJsonKeyMappings")
	}
	return nil
}

// finish completes a destination and checks it, including the table of a conversion.
func (s *Service) finish(d *ExtendedS3Destination) *wire.Error {
	if err := d.finish(); err != nil {
		return err
	}
	c := d.Conversion()
	if c == nil {
		return nil
	}
	if s.cfg.CheckSchema == nil {
		return refused("DataFormatConversionConfiguration")
	}
	if err := s.cfg.CheckSchema(*c.SchemaConfiguration); err != nil {
		return invalid("%s", err.Error())
	}
	return nil
}

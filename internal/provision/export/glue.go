package export

import (
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// A pipeline that delivers Parquet also has a table, and a stream with a format conversion to the table's columns.

func (t *template) database() *yaml.Node {
	return resource("AWS::Glue::Database", object(
		"CatalogId", account,
		"DatabaseInput", object("Name", t.Pipeline.Database(), "Description", aws.ToString(t.want.Database.Description),
			"Parameters", object(desired.OwnerTag, t.Owner())),
	))
}

func (t *template) table() *yaml.Node {
	want := t.want.Table
	d := want.StorageDescriptor
	columns := func(all []types.Column) *yaml.Node {
		n := list()
		for _, c := range all {
			n.Content = append(n.Content, object("Name", aws.ToString(c.Name), "Type", aws.ToString(c.Type)))
		}
		return n
	}
	return resource("AWS::Glue::Table", object(
		"CatalogId", account,
		"DatabaseName", ref("Database"),
		"TableInput", object(
			"Name", aws.ToString(want.Name),
			"Description", aws.ToString(want.Description),
			"TableType", aws.ToString(want.TableType),
			"Parameters", texts(want.Parameters),
			"PartitionKeys", columns(want.PartitionKeys),
			"StorageDescriptor", object(
				"Columns", columns(d.Columns),
				"Location", aws.ToString(d.Location),
				"InputFormat", aws.ToString(d.InputFormat),
				"OutputFormat", aws.ToString(d.OutputFormat),
				"SerdeInfo", object("SerializationLibrary", aws.ToString(d.SerdeInfo.SerializationLibrary), "Parameters", texts(d.SerdeInfo.Parameters)),
			),
		),
	))
}

// texts returns a mapping of strings, sorted by name.
func texts(m map[string]string) *yaml.Node {
	n := object()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		n.Content = append(n.Content, value(name), value(m[name]))
	}
	return n
}

func (t *template) formatConversion() *yaml.Node {
	c := t.want.Destination.DataFormatConversionConfiguration
	return object(
		"Enabled", true,
		"InputFormatConfiguration", object("Deserializer", object("OpenXJsonSerDe", object())),
		"OutputFormatConfiguration", object("Serializer", object("ParquetSerDe",
			object("Compression", string(c.OutputFormatConfiguration.Serializer.ParquetSerDe.Compression)))),
		"SchemaConfiguration", object(
			"RoleARN", aws.ToString(c.SchemaConfiguration.RoleARN),
			"DatabaseName", ref("Database"),
			"TableName", ref("Table"),
			"Region", aws.ToString(c.SchemaConfiguration.Region),
			"VersionId", aws.ToString(c.SchemaConfiguration.VersionId),
		),
	)
}

func (c *configuration) table() {
	want := c.want.Table
	if want == nil {
		return
	}
	b := c.resource("aws_glue_catalog_database", "stagelog")
	b.set("name", c.Pipeline.Database())
	b.set("description", aws.ToString(c.want.Database.Description))
	b.set("parameters", hcl("local.tags"))

	b = c.resource("aws_glue_catalog_table", "lines")
	b.set("name", aws.ToString(want.Name))
	b.set("database_name", hcl("aws_glue_catalog_database.stagelog.name"))
	b.set("description", aws.ToString(want.Description))
	b.set("table_type", aws.ToString(want.TableType))
	b.line()
	b.set("parameters", texts(want.Parameters))
	for _, key := range want.PartitionKeys {
		b.line()
		column(b.block("partition_keys"), key)
	}
	b.line()
	d := b.block("storage_descriptor")
	d.set("location", aws.ToString(want.StorageDescriptor.Location))
	d.set("input_format", aws.ToString(want.StorageDescriptor.InputFormat))
	d.set("output_format", aws.ToString(want.StorageDescriptor.OutputFormat))
	d.line()
	serde := d.block("ser_de_info")
	serde.set("serialization_library", aws.ToString(want.StorageDescriptor.SerdeInfo.SerializationLibrary))
	serde.set("parameters", texts(want.StorageDescriptor.SerdeInfo.Parameters))
	for _, c := range want.StorageDescriptor.Columns {
		d.line()
		column(d.block("columns"), c)
	}
}

func column(b *body, c types.Column) {
	b.set("name", aws.ToString(c.Name))
	b.set("type", aws.ToString(c.Type))
}

// formatConversion adds the stream's format conversion to its S3 configuration.
func (c *configuration) formatConversion(s3 *body) {
	if c.want.Table == nil {
		return
	}
	conversion := c.want.Destination.DataFormatConversionConfiguration
	s3.line()
	b := s3.block("data_format_conversion_configuration")
	b.block("input_format_configuration").block("deserializer").block("open_x_json_ser_de")
	b.line()
	b.block("output_format_configuration").block("serializer").block("parquet_ser_de").
		set("compression", string(conversion.OutputFormatConfiguration.Serializer.ParquetSerDe.Compression))
	b.line()
	schema := b.block("schema_configuration")
	schema.set("role_arn", aws.ToString(conversion.SchemaConfiguration.RoleARN))
	schema.set("database_name", hcl("aws_glue_catalog_table.lines.database_name"))
	schema.set("table_name", hcl("aws_glue_catalog_table.lines.name"))
	schema.set("region", aws.ToString(conversion.SchemaConfiguration.Region))
	schema.set("version_id", aws.ToString(conversion.SchemaConfiguration.VersionId))
}

package export

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	glue "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"go.yaml.in/yaml/v3"

	"github.com/stagelog/stagelog/internal/provision/desired"
)

// Terraform returns the pipeline as a configuration in one file, in the layout of `terraform fmt`.
func Terraform(s *desired.Spec) ([]byte, error) {
	set, err := newSettings(s)
	if err != nil {
		return nil, err
	}
	c := &configuration{settings: set, home: s.Region}
	return []byte(c.header() + "\n" + c.reference(c.body().String())), nil
}

// configuration generates a Terraform configuration.
type configuration struct {
	*settings
	home string // Region of the provider and of the commands in the header
	top  body
}

func (c *configuration) header() string {
	lines := []string{
		"The pipeline " + c.Pipeline.Name + " for Terraform, written by `stagelog export terraform`.",
		"Do not edit it; change stagelog.yaml and export again.",
		"",
		"To deploy it, run in the directory of this file:",
		"",
		"  stagelog export zip --arch " + c.Architecture + " --out " + zipFile,
		"  terraform init",
		"  terraform plan",
		"  terraform apply",
		"",
		"The sha256 of " + zipFile + " is " + c.zipHex() + ".",
		"",
	}
	if c.hashes() {
		lines = append(lines,
			"Before plan and apply, set TF_VAR_hash_salt to a secret, generated once with `openssl rand -hex 32`. Keep it:",
			"a different value changes the hashes of all API keys.",
			"")
	}
	lines = append(lines,
		"Access log settings are part of the stage. If this configuration contains the stage:",
		"",
		"  resource \"aws_api_gateway_stage\" \"...\" {",
		"    access_log_settings {",
		"      destination_arn = aws_kinesis_firehose_delivery_stream.stagelog.arn",
		"      format          = local.access_log_format",
		"    }",
		"  }",
		"",
		"Other configurations use the outputs access_log_destination_arn and access_log_format.",
		"")
	if len(c.Pipeline.Stages) > 0 {
		lines = append(lines, "For a stage that Terraform does not manage, show its current settings, which are replaced, and change them:", "")
		lines = append(lines, c.stageCommands(c.home, "terraform output -raw access_log_patch")...)
		lines = append(lines, "")
	}
	lines = append(lines, c.ownersStatements()...)
	return comment(append(lines,
		"Only stages of REST APIs can log to Firehose. Use `terraform import` to adopt existing resources with",
		"these names. The bucket can be destroyed only when it is empty.")...)
}

func (c *configuration) body() *body {
	c.required()
	c.bucket()
	c.logGroups()
	c.role("function", c.want.FunctionRole)
	c.function()
	c.table()
	c.role("firehose", c.want.FirehoseRole)
	c.stream()
	c.monitoring()
	c.outputs()
	return &c.top
}

func (c *configuration) required() {
	t := c.top.block("terraform")
	t.set("required_version", ">= 1.5")
	t.line()
	t.block("required_providers").set("aws", object("source", "hashicorp/aws", "version", "~> 6.0"))
	c.top.line()
	c.top.block("provider", "aws").set("region", c.home)
	c.top.line()
	for _, data := range []string{"aws_caller_identity", "aws_partition", "aws_region"} {
		c.top.block("data", data, "current")
		c.top.line()
	}
	l := c.top.block("locals")
	l.set("tags", texts(c.Tags()))
	l.line()
	l.set("zip", zipFile, "zip_sha256", c.zipBase64())
	l.line()
	l.set("access_log_format", c.want.AccessLogFormat)
	if c.hashes() {
		c.top.line()
		v := c.top.block("variable", "hash_salt")
		v.set("description", "Secret for hashing API keys", "type", hcl("string"), "sensitive", true, "nullable", false)
	}
}

// resource adds a resource and returns its body.
func (c *configuration) resource(kind, name string) *body {
	c.top.line()
	return c.top.block("resource", kind, name)
}

func (c *configuration) bucket() {
	if c.want.Bucket.Others {
		return
	}
	b := c.resource("aws_s3_bucket", "logs")
	b.set("bucket", c.Bucket(), "tags", hcl("local.tags"))

	of := func(kind string) *body {
		b := c.resource(kind, "logs")
		b.set("bucket", hcl("aws_s3_bucket.logs.id"))
		return b
	}
	access := of("aws_s3_bucket_public_access_block")
	for _, name := range []string{"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"} {
		access.set(name, true)
	}
	ownership := of("aws_s3_bucket_ownership_controls")
	ownership.line()
	ownership.block("rule").set("object_ownership", "BucketOwnerEnforced")
	if want := c.want.Bucket; want.Encryption != "" {
		encryption := of("aws_s3_bucket_server_side_encryption_configuration")
		encryption.line()
		rule := encryption.block("rule")
		if want.Key != "" {
			rule.set("bucket_key_enabled", true)
			rule.line()
		}
		by := rule.block("apply_server_side_encryption_by_default")
		by.set("sse_algorithm", string(want.Encryption))
		if want.Key != "" {
			by.set("kms_master_key_id", want.Key)
		}
	}
	lifecycle := of("aws_s3_bucket_lifecycle_configuration")
	for _, rule := range c.want.Bucket.Rules {
		lifecycle.line()
		r := lifecycle.block("rule")
		r.set("id", aws.ToString(rule.ID), "status", string(rule.Status))
		r.line()
		r.block("filter").set("prefix", aws.ToString(rule.Filter.Prefix))
		if a := rule.AbortIncompleteMultipartUpload; a != nil {
			r.line()
			r.block("abort_incomplete_multipart_upload").set("days_after_initiation", aws.ToInt32(a.DaysAfterInitiation))
		}
		if e := rule.Expiration; e != nil {
			r.line()
			r.block("expiration").set("days", aws.ToInt32(e.Days))
		}
		if e := rule.NoncurrentVersionExpiration; e != nil {
			r.line()
			r.block("noncurrent_version_expiration").set("noncurrent_days", aws.ToInt32(e.NoncurrentDays))
		}
	}
	p := of("aws_s3_bucket_policy")
	p.set("policy", jsonencode(jsonTree(c.want.BucketPolicy.JSON())))
}

// jsonencode returns a call of Terraform's function jsonencode.
func jsonencode(n *yaml.Node) *yaml.Node { return hcl("jsonencode(" + hclValue(n) + ")") }

func (c *configuration) logGroups() {
	for _, g := range []struct {
		label string
		want  desired.LogGroup
	}{{"firehose", c.want.StreamLog}, {"function", c.want.FunctionLog}} {
		b := c.resource("aws_cloudwatch_log_group", g.label)
		b.set("name", g.want.Name, "retention_in_days", days(g.want), "kms_key_id", given(g.want.Key), "tags", hcl("local.tags"))
	}
	b := c.resource("aws_cloudwatch_log_stream", "firehose")
	b.set("name", desired.DeliveryLogStream, "log_group_name", hcl("aws_cloudwatch_log_group.firehose.name"))
}

func (c *configuration) role(label string, r desired.Role) {
	if r.Given {
		return
	}
	b := c.resource("aws_iam_role", label)
	b.set("name", r.Name, "path", path(r), "permissions_boundary", given(r.Boundary), "description", r.Description, "tags", hcl("local.tags"))
	b.line()
	b.set("assume_role_policy", jsonencode(jsonTree(r.Trust.JSON())))
	b.line()
	b.block("lifecycle").set("create_before_destroy", true) // the pipeline needs a role while its name or path changes

	b = c.resource("aws_iam_role_policy", label)
	b.set("name", desired.RolePolicy, "role", hcl("aws_iam_role."+label+".id"))
	b.line()
	b.set("policy", jsonencode(jsonTree(r.Permissions.JSON())))
}

func (c *configuration) function() {
	env := texts(c.want.Function.Environment) // without the secret
	if c.hashes() {
		env.Content = append(env.Content, value(desired.SaltVariable), hcl("var.hash_salt"))
	}
	b := c.resource("aws_lambda_function", "enricher")
	b.set(
		"function_name", c.Function(), "description", c.want.Function.Description,
		"role", c.FunctionRoleARN(), "kms_key_arn", given(c.want.Function.Key), "runtime", string(c.want.Function.Runtime),
		"handler", c.want.Function.Handler, "architectures", list(c.Architecture),
		"memory_size", c.Pipeline.AWS.Memory, "timeout", c.want.Function.Timeout, "filename", hcl("local.zip"),
		"source_code_hash", hcl("local.zip_sha256"), "tags", hcl("local.tags"),
	)
	b.line()
	b.block("environment").set("variables", env)
	b.line()
	check := b.block("lifecycle").block("precondition")
	check.set("condition", hcl("filebase64sha256(local.zip) == local.zip_sha256"))
	check.set("error_message", zipFile+" differs from the zip at the time of the export; write it with `stagelog export zip --arch "+c.Architecture+"` or export again.")
	b.line()
	b.comment("Otherwise Lambda creates a log group without retention.")
	after := list(hcl("aws_cloudwatch_log_group.function"))
	if !c.want.FunctionRole.Given {
		after.Content = append(after.Content, hcl("aws_iam_role_policy.function"))
	}
	b.set("depends_on", after)
}

func (c *configuration) stream() {
	to := c.want.Destination
	b := c.resource("aws_kinesis_firehose_delivery_stream", "stagelog")
	b.set("name", c.Stream(), "destination", "extended_s3", "tags", hcl("local.tags"))
	b.line()
	s3 := b.block("extended_s3_configuration")
	s3.set(
		"role_arn", aws.ToString(to.RoleARN), "bucket_arn", aws.ToString(to.BucketARN),
		"prefix", aws.ToString(to.Prefix), "error_output_prefix", aws.ToString(to.ErrorOutputPrefix),
		"buffering_interval", aws.ToInt32(to.BufferingHints.IntervalInSeconds),
		"buffering_size", aws.ToInt32(to.BufferingHints.SizeInMBs),
		"compression_format", string(to.CompressionFormat), "s3_backup_mode", string(to.S3BackupMode),
	)
	if e := to.EncryptionConfiguration; e != nil {
		s3.set("kms_key_arn", aws.ToString(e.KMSEncryptionConfig.AWSKMSKeyARN))
	}
	s3.line()
	logging := s3.block("cloudwatch_logging_options")
	logging.set("enabled", aws.ToBool(to.CloudWatchLoggingOptions.Enabled))
	logging.set("log_group_name", hcl("aws_cloudwatch_log_group.firehose.name"))
	logging.set("log_stream_name", hcl("aws_cloudwatch_log_stream.firehose.name"))
	s3.line()
	processing := s3.block("processing_configuration")
	processing.set("enabled", aws.ToBool(to.ProcessingConfiguration.Enabled))
	for _, p := range to.ProcessingConfiguration.Processors {
		processing.line()
		processor := processing.block("processors")
		processor.set("type", string(p.Type))
		for _, param := range c.parameters(p.Parameters) {
			processor.line()
			b := processor.block("parameters")
			b.set("parameter_name", string(param.ParameterName), "parameter_value", aws.ToString(param.ParameterValue))
		}
	}
	c.formatConversion(s3)
	if c.want.FirehoseRole.Given {
		return
	}
	b.line()
	b.comment("Firehose checks the permissions of its role when the stream is created.")
	b.set("depends_on", list(hcl("aws_iam_role_policy.firehose")))
}

// parameters returns the parameters without those that have Firehose's defaults: the provider
// drops them when it reads a stream, so each plan would report them as missing. Firehose accepts
// the two buffering hints only together, so with another interval the default size must remain;
// it is written as 1.0, which the provider does not drop.
func (c *configuration) parameters(all []types.ProcessorParameter) []types.ProcessorParameter {
	interval := ""
	for _, p := range all {
		if p.ParameterName == types.ProcessorParameterNameBufferIntervalInSeconds {
			interval = aws.ToString(p.ParameterValue)
		}
	}
	var kept []types.ProcessorParameter
	for _, p := range all {
		isDefault := false
		switch v := aws.ToString(p.ParameterValue); p.ParameterName {
		case types.ProcessorParameterNameLambdaNumberOfRetries:
			isDefault = v == "3"
		case types.ProcessorParameterNameRoleArn:
			isDefault = v == aws.ToString(c.want.Destination.RoleARN)
		case types.ProcessorParameterNameBufferIntervalInSeconds:
			isDefault = v == "60"
		case types.ProcessorParameterNameBufferSizeInMb:
			isDefault = v == "1" && interval == "60"
			if v == "1" {
				p.ParameterValue = aws.String("1.0")
			}
		}
		if !isDefault {
			kept = append(kept, p)
		}
	}
	return kept
}

func (c *configuration) outputs() {
	output := func(name, description string, v any) {
		c.top.line()
		b := c.top.block("output", name)
		b.set("description", description, "value", v)
	}
	destination := hcl("aws_kinesis_firehose_delivery_stream.stagelog.arn")
	output("access_log_destination_arn", "destination_arn of a stage's access_log_settings", destination)
	output("access_log_format", "format of a stage's access_log_settings", hcl("local.access_log_format"))
	operation := func(path string, v *yaml.Node) *yaml.Node {
		return object("op", "replace", "path", path, "value", v)
	}
	output("access_log_patch", "Both, as --patch-operations of aws apigateway update-stage", jsonencode(list(
		operation("/accessLogSettings/destinationArn", destination),
		operation("/accessLogSettings/format", hcl("local.access_log_format")),
	)))
}

// reference replaces placeholders, and ARNs with them, by references.
func (c *configuration) reference(text string) string {
	const role, bucket, function = "aws_iam_role.", "aws_s3_bucket.logs.arn", "aws_lambda_function.enricher.arn"
	var pairs []string
	for _, r := range []struct{ value, reference string }{
		{c.RoleARN(c.FunctionRole()), role + "function.arn"},
		{c.RoleARN(c.FirehoseRole()), role + "firehose.arn"},
		{c.FunctionARN(), function},
		{c.BucketARN(), bucket},
		{partition, "data.aws_partition.current.partition"},
		{region, "data.aws_region.current.region"},
		{account, "data.aws_caller_identity.current.account_id"},
	} {
		if r.reference == bucket && c.want.Bucket.Others {
			continue
		}
		pairs = append(pairs, `"`+r.value+`"`, r.reference, r.value, "${"+r.reference+"}")
	}
	return strings.NewReplacer(pairs...).Replace(text)
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

func column(b *body, c glue.Column) {
	b.set("name", aws.ToString(c.Name), "type", aws.ToString(c.Type))
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

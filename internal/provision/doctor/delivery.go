package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/glue"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/record"
)

// checkProcessing examines the stream's processors.
func (r *run) checkProcessing(s *stream) {
	switch {
	case s.function != "":
		r.out.ok(linkStream, "processor", "each record goes through %s", functionName(s.function))
	case s.hasDisabledFunction():
		r.out.problem(Failed, linkStream, "processor", finding{
			found:       s.name + " has a function, but processing is switched off",
			cause:       "Enabled is false, which is also its default",
			consequence: "records are delivered unchanged, without usage plan and customer",
			fix:         r.repair(s, s.updateDestination(map[string]any{"ProcessingConfiguration": map[string]any{"Enabled": true, "Processors": s.to.ProcessingConfiguration.Processors}})),
		})
	case s.namesCustomers():
		r.out.ok(linkStream, "processor", "no function: the format has plan and subscription from an authorizer; where they are -, the customer can only be found by key_id")
	default:
		r.out.problem(Failed, linkStream, "processor", finding{
			found:       s.name + " has no function",
			cause:       "nothing in the chain adds the usage plan and the customer of a request, and the stages' formats have neither from an authorizer",
			consequence: "delivered records have no customer name, and at most the key's id",
			fix:         r.repair(s, "create a function, then: "+s.updateDestination(map[string]any{"ProcessingConfiguration": map[string]any{"Enabled": true, "Processors": []any{map[string]any{"Type": "Lambda", "Parameters": []any{map[string]any{"ParameterName": "LambdaArn", "ParameterValue": "FUNCTION_ARN"}}}}}})),
		})
	}
	if s.function == "" {
		return
	}
	if text := fmt.Sprintf("batches of up to %s or %g MiB are sent to the function", seconds(s.functionHints.Interval), s.functionHints.SizeMiB); s.functionHints.SizeMiB > maxLambdaMB {
		r.out.problem(Warning, linkStream, "processor buffer", finding{
			found: text, cause: "in base64 and with the added fields, the function's response may exceed Lambda's limit of 6 MB",
			consequence: "then the whole batch fails, is retried, and goes to the error output", fix: r.repair(s, "set BufferSizeInMBs of the processor to 1, in: "+s.updateDestination(map[string]any{"ProcessingConfiguration": s.to.ProcessingConfiguration})),
		})
	} else {
		r.out.ok(linkStream, "processor buffer", "%s", text)
	}
}

// maxLambdaMB keeps responses under Lambda's limit of 6 MB, with base64 and 120 bytes of metadata per record.
const maxLambdaMB = 2

func (s *stream) hasDisabledFunction() bool {
	p := s.to.ProcessingConfiguration
	return p != nil && !aws.ToBool(p.Enabled) &&
		slices.ContainsFunc(p.Processors, func(p types.Processor) bool { return p.Type == types.ProcessorTypeLambda })
}

// namesCustomers reports whether the formats of all stages contain plan and subscription.
func (s *stream) namesCustomers() bool {
	return len(s.stages) > 0 && !slices.ContainsFunc(s.stages, func(st *stage) bool { return len(customerFields(st.format)) < 2 })
}

// checkDelivery examines how the stream writes objects.
func (r *run) checkDelivery(ctx context.Context, s *stream) {
	hints, usual := provision.HintsOf(s.to), record.DefaultHints(s.converts())
	if text := fmt.Sprintf("an object every %s or %d MiB", seconds(hints.Interval), hints.SizeMiB); hints.Interval > usual.Interval {
		r.out.problem(Warning, linkStream, "buffering", finding{
			found: text, cause: "the interval is long",
			consequence: "requests appear in the bucket that much later",
			fix:         r.setting(s, r.deliver().Interval == hints.Interval, fmt.Sprintf("set interval: %ds under deliver:", int(usual.Interval.Seconds())), s.updateDestination(map[string]any{"BufferingHints": map[string]int{"IntervalInSeconds": int(usual.Interval.Seconds()), "SizeInMBs": hints.SizeMiB}})),
		})
	} else {
		r.out.ok(linkStream, "buffering", "%s", text)
	}
	r.checkCompression(s)
	r.checkPrefix(s)
	r.checkErrorPrefix(s)
	r.checkBackup(s)
	r.checkConversion(ctx, s)
}

func (r *run) checkCompression(s *stream) {
	if s.converts() {
		return
	}
	f := finding{fix: r.setting(s, r.deliver().CompressionFormat() == cmp.Or(string(s.to.CompressionFormat), config.Uncompressed), "set compression: gzip under deliver:",
		s.updateDestination(map[string]any{"CompressionFormat": "GZIP"}))}
	switch c := s.to.CompressionFormat; c {
	case "", types.CompressionFormatUncompressed:
		f.found, f.cause = "objects are not compressed", "that is Firehose's default"
		f.consequence = "storing and reading them costs about ten times as much; the price of Firehose is the same"
	case types.CompressionFormatHadoopSnappy:
		f.found, f.cause = "objects are compressed with HADOOP_SNAPPY", "Firehose names them .snappy, as with Snappy, and not .hsnappy as documented"
		f.consequence = "readers that rely on the file extension cannot decode them"
	default:
		r.out.ok(linkStream, "compression", "%s", c)
		return
	}
	r.out.problem(Warning, linkStream, "compression", f)
}

// checkPrefix examines the prefix expressions of object names.
func (r *run) checkPrefix(s *stream) {
	prefix, partitioned := s.prefix(), s.to.DynamicPartitioningConfiguration != nil && aws.ToBool(s.to.DynamicPartitioningConfiguration.Enabled)
	f := finding{found: fmt.Sprintf("prefix %q, error output prefix %q", prefix, s.errorPrefix())}
	if err := objectkey.Validate(prefix, s.errorPrefix(), partitioned); err != nil {
		f.cause, f.consequence, f.fix = err.Error(), "Firehose cannot name objects", r.repair(s, s.updateDestination(map[string]any{"Prefix": config.DefaultPrefix, "ErrorOutputPrefix": config.DefaultErrorPrefix}))
		r.out.problem(Failed, linkStream, "prefix expression", f)
		return
	}
	// In the error output prefix only the dates are examined, so the error type is replaced
	// by plain text.
	errs := strings.ReplaceAll(s.errorPrefix(), "!{firehose:error-output-type}", "type")
	warnings := objectkey.Warnings(prefix)
	if strings.Contains(errs, "!{") {
		warnings = append(warnings, objectkey.Warnings(errs)...)
	}
	if len(warnings) > 0 {
		f.cause, f.consequence = strings.Join(warnings, "; "), "objects are stored under unexpected names, and queries by date miss them"
		f.fix = r.setting(s, r.deliver().Prefix == prefix && r.deliver().ErrorPrefix == s.errorPrefix(),
			fmt.Sprintf("set prefix: %q and error_prefix: %q under deliver:", correctedPrefix(prefix), correctedPrefix(s.errorPrefix())),
			s.updateDestination(map[string]any{"Prefix": correctedPrefix(prefix), "ErrorOutputPrefix": correctedPrefix(s.errorPrefix())}))
		r.out.problem(Warning, linkStream, "prefix expression", f)
		return
	}
	r.out.ok(linkStream, "prefix expression", "objects are stored below s3://%s/%s", s.bucket, prefix)
}

// errorPrefixSetting returns what to set so that error objects are apart from the delivered ones below a prefix.
func errorPrefixSetting(prefix string) string {
	if literal(prefix) == "" { // every error prefix would be below it
		return fmt.Sprintf("set prefix: %q and error_prefix: %q under deliver:", config.DefaultPrefix, config.DefaultErrorPrefix)
	}
	return fmt.Sprintf("set error_prefix: %q under deliver:", config.DefaultErrorPrefix)
}

// correctedPrefix returns a prefix with the week year and the day of the year replaced by the calendar
// year and the day of the month, and with a slash before the date that Firehose appends.
func correctedPrefix(prefix string) string {
	if prefix != "" && !strings.Contains(prefix, "!{") && !strings.HasSuffix(prefix, "/") {
		return prefix + "/"
	}
	return strings.NewReplacer("YYYY", "yyyy", "DD", "dd").Replace(prefix)
}

// checkErrorPrefix checks that the error output, which holds unmasked records, is kept apart
// from delivered objects.
func (r *run) checkErrorPrefix(s *stream) {
	prefix, errs := s.prefix(), s.errorPrefix()
	f := finding{consequence: "the error output, which holds unmodified records, is mixed with the delivered objects: readers can read it, and Athena counts it"}
	switch {
	case errs == "":
		f.found = "the stream has no error output prefix"
		f.cause = "Firehose then puts failed records below the prefix itself, as " + prefix + "processing-failed/"
	case literal(prefix) != "" && strings.HasPrefix(errs, literal(prefix)), literal(prefix) == "" && literal(errs) == "":
		f.found = fmt.Sprintf("the error output prefix %s is below the prefix %s", errs, prefix)
		f.cause = "one starts with the other"
	default:
		r.out.ok(linkStream, "error prefix", "failed records are stored below %s", errs)
		return
	}
	f.fix = r.setting(s, r.deliver().ErrorPrefix == errs, errorPrefixSetting(prefix), s.updateDestination(map[string]any{"ErrorOutputPrefix": config.DefaultErrorPrefix}))
	r.out.problem(Warning, linkStream, "error prefix", f)
}

// literal returns a prefix up to its first expression.
func literal(prefix string) string {
	text, _, _ := strings.Cut(prefix, "!{")
	return text
}

func (r *run) checkBackup(s *stream) {
	if s.to.S3BackupMode != types.S3BackupModeEnabled {
		return
	}
	where := "another bucket"
	if b := s.to.S3BackupDescription; b != nil {
		_, bucket, _ := strings.Cut(aws.ToString(b.BucketARN), ":::")
		where = "s3://" + bucket + "/" + aws.ToString(b.Prefix)
	}
	if !slices.ContainsFunc(s.stages, func(st *stage) bool {
		return strings.Contains(st.format, "$context.identity.apiKey\"") || strings.Contains(st.format, "$context.identity.apiKey”")
	}) {
		r.out.ok(linkStream, "source backup", "each record is also stored unmodified in %s", where)
		return
	}
	r.out.problem(Warning, linkStream, "source backup", finding{
		found: "each record is stored unmodified in " + where, cause: "the source backup is on, and Firehose cannot disable it once enabled",
		consequence: "API keys are stored there unmasked, because masking happens later", fix: "remove $context.identity.apiKey from the format, and delete the objects below " + where,
	})
}

// converts reports whether the stream converts its records to another format.
func (s *stream) converts() bool { return provision.Converts(s.to.DataFormatConversionConfiguration) }

// tableCalls returns the calls that Firehose makes with the stream's role to read the columns for the conversion.
func (s *stream) tableCalls() (calls []call) {
	c := s.to.DataFormatConversionConfiguration
	if !s.converts() || c.SchemaConfiguration == nil || cmp.Or(aws.ToString(c.SchemaConfiguration.RoleARN), s.role.ARN) != s.role.ARN {
		return nil
	}
	at := c.SchemaConfiguration
	arn := fmt.Sprintf("arn:%s:glue:%s:%s:table/%s/%s", partition(s.arn), cmp.Or(aws.ToString(at.Region), s.region), cmp.Or(aws.ToString(at.CatalogId), s.account),
		aws.ToString(at.DatabaseName), aws.ToString(at.TableName))
	for _, action := range []string{"glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"} {
		calls = append(calls, call{action, arn, nil, true, "no record can be converted: all go to the error output, below format-conversion-failed"})
	}
	return calls
}

const checkedConversion = "format conversion"

// checkConversion examines the table that defines the columns of converted records.
func (r *run) checkConversion(ctx context.Context, s *stream) {
	c := s.to.DataFormatConversionConfiguration
	if !s.converts() {
		return
	}
	if out := c.OutputFormatConfiguration; out != nil && out.Serializer != nil && out.Serializer.OrcSerDe != nil {
		r.out.problem(Warning, linkStream, checkedConversion, finding{
			found: "records are converted to ORC", cause: "the stream has an ORC serializer", consequence: "stagelog's report, query and console read JSON and Parquet, but not ORC",
			fix: "deliver Parquet or JSON",
		})
		return
	}
	if c.SchemaConfiguration == nil {
		return // AWS rejects such a stream
	}
	database, name := aws.ToString(c.SchemaConfiguration.DatabaseName), aws.ToString(c.SchemaConfiguration.TableName)
	in := &glue.GetTableInput{DatabaseName: &database, Name: &name, CatalogId: c.SchemaConfiguration.CatalogId}
	region := cmp.Or(aws.ToString(c.SchemaConfiguration.Region), r.t.Region)
	out, err := r.c.Glue.GetTable(ctx, in, func(o *glue.Options) { o.Region = region })
	switch {
	case awserr.Is(err, "EntityNotFoundException"):
		r.out.problem(Failed, linkStream, checkedConversion, finding{
			found: fmt.Sprintf("the table %s.%s does not exist in the Glue Data Catalog", database, name), cause: "the stream uses its columns to convert records",
			consequence: "every record goes to the error output, below format-conversion-failed", fix: r.repair(s, "create the table, with a column of type string for each field"),
		})
		return
	case err != nil:
		resource := fmt.Sprintf("arn:%[1]s:glue:%[2]s:%[3]s:catalog, database/%[4]s and table/%[4]s/%[5]s", r.t.Partition, region, cmp.Or(aws.ToString(c.SchemaConfiguration.CatalogId), r.t.Account), database, name)
		r.unknown(linkStream, checkedConversion, "the table "+database+"."+name, need{"glue:GetTable", resource}, err)
		return
	}
	r.checkGrants(ctx, s, region, database, name)
	var others []string
	columns := 0
	if d := out.Table.StorageDescriptor; d != nil {
		columns = len(d.Columns)
		for _, c := range d.Columns {
			if t := strings.ToLower(aws.ToString(c.Type)); t != "string" && !strings.HasPrefix(t, "varchar") {
				others = append(others, aws.ToString(c.Name)+" "+t)
			}
		}
	}
	if len(others) > 0 {
		r.out.problem(Warning, linkStream, checkedConversion, finding{
			found: fmt.Sprintf("%s.%s has columns that are not text: %s", database, name, strings.Join(others, ", ")), cause: `API Gateway writes "-" where it has no value`,
			consequence: "a record with - in such a column goes to the error output, below format-conversion-failed", fix: r.repair(s, "make the table's columns strings, and cast them in a view"),
		})
		return
	}
	r.out.ok(linkStream, checkedConversion, "to Parquet, with the %d columns of %s.%s", columns, database, name)
}

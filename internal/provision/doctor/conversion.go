package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision"
)

// converts reports whether the stream converts its records to another format.
func (s *stream) converts() bool { return provision.Converts(s.to.DataFormatConversionConfiguration) }

// tableCalls returns the calls that Firehose makes with the stream's role to read the columns for the conversion.
func (s *stream) tableCalls() (calls []call) {
	c := s.to.DataFormatConversionConfiguration
	if !s.converts() || c.SchemaConfiguration == nil || cmp.Or(aws.ToString(c.SchemaConfiguration.RoleARN), s.role.arn) != s.role.arn {
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

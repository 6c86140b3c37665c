package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	gluesdk "github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/stagelog/stagelog/internal/awserr"
	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
)

// columns are those of the table that a stream converts with.
func (c *Chain) columns(schema firehose.SchemaConfiguration) ([]parquet.Column, error) {
	found, err := c.catalog.Columns(schema.DatabaseName, schema.TableName)
	if err != nil {
		return nil, err
	}
	columns := make([]parquet.Column, len(found))
	for i, col := range found {
		columns[i] = parquet.Column{Name: col.Name, Type: parquet.Type(col.Type)}
	}
	return columns, nil
}

// checkSchema says why no record can be converted with a table.
func (c *Chain) checkSchema(schema firehose.SchemaConfiguration) error {
	columns, err := c.columns(schema)
	if errors.Is(err, record.ErrNotFound) {
		return fmt.Errorf("%s", record.MessageNoTable)
	}
	if err == nil {
		_, err = parquet.NewSchema(columns)
	}
	if err != nil {
		return fmt.Errorf("the schema is invalid: %w", err)
	}
	return nil
}

// conversion is a stream's as delivery does it, with the columns that the table has now: AWS reads the newest version, too.
func (c *Chain) conversion(from *firehose.FormatConversion) *deliver.Conversion {
	schema := *from.SchemaConfiguration
	to := &deliver.Conversion{
		Compression: from.Compression(),
		Table: objectkey.CatalogTable{
			CatalogID: schema.CatalogId, Database: schema.DatabaseName, Name: schema.TableName, Region: schema.Region, VersionID: schema.VersionId,
		},
	}
	var err error
	if to.Columns, err = c.columns(schema); err != nil {
		to.Code, to.Message = record.CodeNoTable, record.MessageNoTable
	}
	return to
}

// applyTable makes the table that the pipeline's records are converted with. Its layout in the bucket is of no use here:
// nothing but the columns is read.
func (c *Chain) applyTable(ctx context.Context) error {
	p := c.cfg.Pipeline
	client := c.clients().Glue
	database := aws.String(p.Database())
	if _, err := client.CreateDatabase(ctx, &gluesdk.CreateDatabaseInput{DatabaseInput: &gluetypes.DatabaseInput{Name: database}}); err != nil && !awserr.Exists(err) {
		return err
	}
	names, err := p.Columns()
	if err != nil {
		return err
	}
	table := &gluetypes.TableInput{Name: aws.String(config.LinesTable), TableType: aws.String("EXTERNAL_TABLE"), StorageDescriptor: &gluetypes.StorageDescriptor{
		Location: aws.String("s3://" + p.Bucket + "/" + p.Deliver.Logs()),
	}}
	for _, name := range names {
		table.StorageDescriptor.Columns = append(table.StorageDescriptor.Columns, gluetypes.Column{Name: aws.String(name), Type: aws.String(string(parquet.String))})
	}
	if _, err = client.CreateTable(ctx, &gluesdk.CreateTableInput{DatabaseName: database, TableInput: table}); awserr.Exists(err) {
		_, err = client.UpdateTable(ctx, &gluesdk.UpdateTableInput{DatabaseName: database, TableInput: table})
	}
	return err
}

// wantedConversion is the stream's conversion as the pipeline wants it; nil when objects are JSON.
func (c *Chain) wantedConversion() *types.DataFormatConversionConfiguration {
	p := c.cfg.Pipeline
	if !p.Deliver.Parquet {
		return nil
	}
	return &types.DataFormatConversionConfiguration{
		Enabled: aws.Bool(true),
		SchemaConfiguration: &types.SchemaConfiguration{
			RoleARN:      aws.String("arn:aws:iam::" + p.Account + ":role/stagelog-" + p.Name + "-firehose"),
			DatabaseName: aws.String(p.Database()), TableName: aws.String(config.LinesTable), Region: aws.String(p.Region), VersionId: aws.String("LATEST"),
		},
		InputFormatConfiguration:  &types.InputFormatConfiguration{Deserializer: &types.Deserializer{OpenXJsonSerDe: &types.OpenXJsonSerDe{}}},
		OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: &types.Serializer{ParquetSerDe: &types.ParquetSerDe{Compression: types.ParquetCompression(p.Deliver.ParquetCompression())}}},
	}
}

func converts(c *types.DataFormatConversionConfiguration) bool {
	return c != nil && aws.ToBool(c.Enabled)
}

// sameConversion compares what the pipeline decides.
func sameConversion(have, want *types.DataFormatConversionConfiguration) bool {
	if !converts(have) || !converts(want) {
		return converts(have) == converts(want)
	}
	a, b := have.SchemaConfiguration, want.SchemaConfiguration
	return aws.ToString(a.DatabaseName) == aws.ToString(b.DatabaseName) && aws.ToString(a.TableName) == aws.ToString(b.TableName) &&
		have.OutputFormatConfiguration.Serializer.ParquetSerDe.Compression == want.OutputFormatConfiguration.Serializer.ParquetSerDe.Compression
}

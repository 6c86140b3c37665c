package server

import (
	"errors"
	"fmt"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record"
)

// columns returns the columns of a stream's conversion table.
func (c *Server) columns(schema firehose.SchemaConfiguration) ([]parquet.Column, error) {
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

// checkSchema returns an error if records cannot be converted with the table.
func (c *Server) checkSchema(schema firehose.SchemaConfiguration) error {
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

// conversion returns a stream's conversion for delivery, with the table's current columns: AWS uses the newest version too.
func (c *Server) conversion(from *firehose.FormatConversion) *deliver.Conversion {
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

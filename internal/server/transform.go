package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/function"
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

// transform implements a stream's function: it calls the built-in enrichment directly, and any other
// function through Lambda's contract.
type transform struct{ server *Server }

// Transform implements deliver.Transformer.
func (t transform) Transform(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	out, err := t.call(ctx, call, b, out)
	if t.server.live.Active() {
		for _, r := range out {
			if r.Status == record.OK {
				t.server.live.Publish(r.Data)
			}
		}
	}
	return out, err
}

func (t transform) call(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	if t.server.functions.IsBuiltin(call.FunctionARN) {
		// Until the usage plan index is loaded, known customers would be treated as unknown.
		if err := t.server.index.Wait(ctx); err != nil {
			return nil, err
		}
		return t.server.enricher.Transform(b, call.Scratch, out), nil
	}
	inv, ok := t.server.functions.Invoker(call.FunctionARN)
	if !ok {
		return nil, &record.CallError{Code: record.CodeFunctionNotFound, Message: "The Lambda function " + call.FunctionARN + " was not found.", Retryable: true}
	}
	return function.Transform(ctx, inv, call, b, out)
}

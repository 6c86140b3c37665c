package deliver

import (
	"time"

	"github.com/stagelog/stagelog/internal/delivery/objectkey"
	"github.com/stagelog/stagelog/internal/encoding/parquet"
	"github.com/stagelog/stagelog/internal/record"
)

// conversion turns the good records of a flush into rows of Parquet files.
type conversion struct {
	broken      *failure // fails every record; nil if the schema is usable
	compression string
	schema      *parquet.Schema
	converter   *parquet.Converter
	rows        []byte // reused buffer
}

// newConversion returns nil if c is nil. An invalid schema fails the records but does not stop the
// stream: anyone with access to the catalog can change it.
func newConversion(c *Conversion) *conversion {
	if c == nil {
		return nil
	}
	if c.Code != "" {
		return &conversion{broken: &failure{objectkey.ConversionFailed, c.Code, c.Message}}
	}
	schema, err := parquet.NewSchema(c.Columns)
	if err != nil {
		return &conversion{broken: &failure{objectkey.ConversionFailed, record.CodeInvalidSchema, "The schema is invalid: " + err.Error()}}
	}
	return &conversion{compression: c.Compression, schema: schema, converter: parquet.NewConverter(schema)}
}

// compression returns the compression of data objects.
func (f *flush) compression() string {
	if f.convert != nil {
		return objectkey.Parquet
	}
	return f.dest.Compression
}

// addConverted adds a good record as rows. The size hint refers to the size before conversion.
func (f *flush) addConverted(call *call, i int, arrived time.Time) error {
	data, conv := call.results[i].Data, f.convert
	if conv.broken != nil {
		return f.addFailed(call, i, arrived, *conv.broken)
	}
	rows, err := conv.converter.AppendRows(conv.rows[:0], data)
	if conv.rows = rows; err != nil {
		return f.addFailed(call, i, arrived, failure{objectkey.ConversionFailed, record.CodeMalformedData, "Data does not match the schema. " + err.Error()})
	}
	o, err := f.place(call, i, arrived)
	if o == nil || err != nil {
		return err
	}
	if err := o.write(rows, arrived); err != nil {
		return err
	}
	o.rawBytes += int64(len(data) - len(rows))
	f.out(data)
	return nil
}

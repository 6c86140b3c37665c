package firehose_test

import (
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/delivery/ingest/ingesttest"
	"github.com/stagelog/stagelog/internal/localaws/firehose"
	"github.com/stagelog/stagelog/internal/record/recordtest"
)

const (
	openX      = `"OpenXJsonSerDe":{}`
	parquetOut = `"ParquetSerDe":{}`
)

// conversion is the member that converts to Parquet with the table lines; "" leaves a part out.
func conversion(deserializer, serializer string) string {
	c := `,"DataFormatConversionConfiguration":{"SchemaConfiguration":{"RoleARN":"` + roleARN + `","DatabaseName":"d","TableName":"lines"}`
	if deserializer != "" {
		c += `,"InputFormatConfiguration":{"Deserializer":{` + deserializer + `}}`
	}
	if serializer != "" {
		c += `,"OutputFormatConfiguration":{"Serializer":{` + serializer + `}}`
	}
	return c + "}"
}

func TestConversionStoredAndToggled(t *testing.T) {
	s := newService(t, firehose.Config{}, &recordtest.Store{}, ingesttest.NewLogs())
	h := handler(s, clock)
	do(t, h, "CreateDeliveryStream", create(conversion(openX, `"ParquetSerDe":{"Compression":"GZIP","BlockSizeBytes":268435456,"WriterVersion":"V1"}`)), nil)
	get := func() firehose.ExtendedS3Destination {
		t.Helper()
		stream, ok := s.Stream("new")
		if !ok {
			t.Fatal("the stream is not there")
		}
		return stream.Destination
	}
	d := get()
	if c := d.Conversion(); c == nil || c.Compression() != "GZIP" || c.SchemaConfiguration.DatabaseName != "d" || d.BufferingHints.SizeInMBs != 128 || d.CompressionFormat != "UNCOMPRESSED" {
		t.Errorf("created with %+v", d)
	}
	if got := destinationOf(t, h, "new"); !strings.Contains(got, `"BlockSizeBytes": 268435456`) || !strings.Contains(got, `"TableName": "lines"`) {
		t.Errorf("described: %s", got)
	}
	change := func(version, members string) {
		t.Helper()
		do(t, h, "UpdateDestination", strings.Replace(update(version, "destinationId-000000000001", members), `"s"`, `"new"`, 1), nil)
	}
	change("1", `"CompressionFormat":"GZIP","DataFormatConversionConfiguration":{"Enabled":false}`)
	if d := get(); d.Conversion() != nil || d.DataFormatConversionConfiguration.SchemaConfiguration == nil {
		t.Errorf("switched off: %+v", d)
	}
	change("2", `"CompressionFormat":"UNCOMPRESSED","DataFormatConversionConfiguration":{"Enabled":true,"OutputFormatConfiguration":{"Serializer":{"ParquetSerDe":{}}}}`)
	if c := get().Conversion(); c == nil || c.Compression() != "SNAPPY" || c.InputFormatConfiguration == nil {
		t.Errorf("switched on: %+v", c)
	}
}

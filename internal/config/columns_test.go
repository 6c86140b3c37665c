package config

import (
	"slices"
	"testing"
)

func TestParquetPipelineHasColumnPerField(t *testing.T) {
	p, err := Parse("stagelog.yaml", []byte("name: acme-shop\nbucket: acme-logs\npreset: apiable\ndeliver: {format: parquet}\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Deliver; !d.Parquet || d.Size != 64*mebibyte || d.CompressionFormat() != Uncompressed || d.ParquetCompression() != "SNAPPY" {
		t.Errorf("deliver = %+v, objects are %s, pages %s", d, d.CompressionFormat(), d.ParquetCompression())
	}
	if got := p.Database(); got != "stagelog_acme_shop" {
		t.Errorf("database = %s", got)
	}
	columns := p.Columns()
	for _, want := range []string{"request_id", "plan_id", "subscription_id"} {
		if n := len(slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c != want })); n != 1 {
			t.Errorf("%d columns %s, want 1: %v", n, want, columns)
		}
	}
}

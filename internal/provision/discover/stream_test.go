package discover

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
)

func TestStreamReadsFormatConversion(t *testing.T) {
	to := func(s *types.Serializer) *types.DataFormatConversionConfiguration {
		return &types.DataFormatConversionConfiguration{OutputFormatConfiguration: &types.OutputFormatConfiguration{Serializer: s}}
	}
	off := to(&types.Serializer{ParquetSerDe: &types.ParquetSerDe{}})
	off.Enabled = aws.Bool(false)
	parquet := func(c types.ParquetCompression) *types.DataFormatConversionConfiguration {
		return to(&types.Serializer{ParquetSerDe: &types.ParquetSerDe{Compression: c}})
	}
	for _, tt := range []struct {
		name    string
		have    *types.DataFormatConversionConfiguration
		hints   *types.BufferingHints
		parquet bool
		orc     bool
		pages   string
		sizeMiB int64
	}{
		{"none", nil, nil, false, false, config.Uncompressed, 5},
		{"switched off", off, nil, false, false, config.Uncompressed, 5},
		{"Parquet with defaults", parquet(""), nil, true, false, config.Snappy, 128},
		{"Snappy with a buffer size", parquet(types.ParquetCompressionSnappy), &types.BufferingHints{SizeInMBs: aws.Int32(64)}, true, false, config.Snappy, 64},
		{"GZIP", parquet(types.ParquetCompressionGzip), nil, true, false, config.GZIP, 128},
		{"not compressed", parquet(types.ParquetCompressionUncompressed), nil, true, false, config.Uncompressed, 128},
		{"ORC", to(&types.Serializer{OrcSerDe: &types.OrcSerDe{}}), nil, false, true, config.Uncompressed, 128},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newStream("s", &types.ExtendedS3DestinationDescription{DataFormatConversionConfiguration: tt.have, BufferingHints: tt.hints})
			want := &Stream{Name: "s", ORC: tt.orc, Deliver: config.Deliver{Interval: 300 * time.Second, Size: tt.sizeMiB << 20, Parquet: tt.parquet, Compression: tt.pages}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("newStream (-want +got):\n%s", diff)
			}
		})
	}
}

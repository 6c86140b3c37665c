package provision

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/record"
)

// Converts reports whether a stream converts its records to another format. Enabled defaults to true.
func Converts(c *types.DataFormatConversionConfiguration) bool {
	return c != nil && (c.Enabled == nil || *c.Enabled)
}

// HintsOf returns a destination's buffering hints, or Firehose's defaults for those not set.
func HintsOf(to *types.ExtendedS3DestinationDescription) record.Hints {
	partitions := to.DynamicPartitioningConfiguration != nil && aws.ToBool(to.DynamicPartitioningConfiguration.Enabled)
	hints := record.DefaultHints(partitions || Converts(to.DataFormatConversionConfiguration))
	if h := to.BufferingHints; h != nil && h.IntervalInSeconds != nil {
		hints.Interval = time.Duration(*h.IntervalInSeconds) * time.Second
	}
	if h := to.BufferingHints; h != nil && h.SizeInMBs != nil {
		hints.SizeMiB = int(*h.SizeInMBs)
	}
	return hints
}

// FunctionHints limits how many records a stream buffers for one call of its function.
type FunctionHints struct {
	Interval time.Duration
	SizeMiB  float64
}

// FunctionHintsOf returns the hints of a Lambda processor with these parameters, or Firehose's defaults for those not set.
func FunctionHintsOf(parameters []types.ProcessorParameter) FunctionHints {
	hints := FunctionHints{record.DefaultFunctionInterval, record.DefaultFunctionSizeMiB}
	for _, p := range parameters {
		switch value := aws.ToString(p.ParameterValue); p.ParameterName {
		case types.ProcessorParameterNameBufferIntervalInSeconds:
			if n, err := strconv.Atoi(value); err == nil {
				hints.Interval = time.Duration(n) * time.Second
			}
		case types.ProcessorParameterNameBufferSizeInMb:
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				hints.SizeMiB = n
			}
		}
	}
	return hints
}

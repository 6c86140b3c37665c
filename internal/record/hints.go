package record

import "time"

// Hints hold the age and the size before compression at which a stream closes an object, whichever is reached first.
type Hints struct {
	Interval time.Duration
	SizeMiB  int
}

// Limits of a stream's hints (Firehose's API model).
const (
	MaxInterval     = 900 * time.Second
	MaxSizeMiB      = 128
	MinLargeSizeMiB = 64 // with format conversion or dynamic partitioning
)

// Firehose's default hints and retries for calling a stream's function.
const (
	DefaultFunctionInterval = 60 * time.Second
	DefaultFunctionSizeMiB  = 1
	DefaultFunctionRetries  = 3
)

// Limits of a Lambda function's memory (MemorySize). Lambda's default is the minimum.
const (
	MinFunctionMemoryMiB = 128
	MaxFunctionMemoryMiB = 10_240
)

// DefaultHints returns Firehose's default hints. large means with format conversion or dynamic partitioning.
// https://docs.aws.amazon.com/firehose/latest/dev/buffering-hints.html
func DefaultHints(large bool) Hints {
	h := Hints{Interval: 300 * time.Second, SizeMiB: 5}
	if large {
		h.SizeMiB = 128
	}
	return h
}

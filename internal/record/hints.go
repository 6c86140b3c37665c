package record

import "time"

// Hints are when a stream closes an object: at an age or at a size before compression, whichever comes first.
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

// Hints for the call of a stream's function, and its retries, where the stream gives none. Firehose's defaults.
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

// DefaultHints returns Firehose's hints for a stream that gives none. large is format conversion or dynamic partitioning.
// https://docs.aws.amazon.com/firehose/latest/dev/buffering-hints.html
func DefaultHints(large bool) Hints {
	h := Hints{Interval: 300 * time.Second, SizeMiB: 5}
	if large {
		h.SizeMiB = 128
	}
	return h
}

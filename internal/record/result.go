package record

import (
	"fmt"
	"time"
)

// Call describes one call of a stream's function, beside the records.
type Call struct {
	StreamARN   string
	FunctionARN string
	// ID returns the id of record i, the same whenever the record is processed.
	ID func(i int) string
	// Arrived returns the arrival of record i; the batch's is the oldest.
	Arrived func(i int) time.Time
	// Scratch is memory for the results, which may replace and grow it. It belongs to the call
	// until the results have been used.
	Scratch *[]byte
}

// Status is the outcome of a record. The zero value is OK.
type Status uint8

// The statuses, which a function names Ok, Dropped and ProcessingFailed.
const (
	OK      Status = iota // Data is delivered
	Dropped               // the function dropped the record on purpose: it is not delivered
	Failed                // the source record goes to the error output, with Code and Message
)

// Result is the outcome of one record.
type Result struct {
	Status Status
	// Data is what is delivered of an OK record. It may alias the record or the scratch.
	Data []byte
	// Code and Message give the reason of a Failed record; by default CodeProcessingFailed and its
	// message. They must not hold the record's content.
	Code    ErrorCode
	Message string
	// Partition holds the partition keys of an OK record.
	Partition map[string]string
	// Attempts is the number of calls it took; 0 is the number of this call's.
	Attempts int
}

// CallError is a failed call of a function. If the call stays failed, its records go to the error
// output with Code and Message.
type CallError struct {
	Code      ErrorCode
	Message   string
	Retryable bool  // a repeat may succeed
	Err       error // the cause; may be nil. It must not hold a record's content
}

// Error returns the code, and the cause or the message.
func (e *CallError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

package record

import (
	"errors"
	"fmt"
	"time"
)

// Call describes one call of a stream's function, except for the records.
type Call struct {
	StreamARN   string
	FunctionARN string
	// ID returns the id of record i, which is the same each time the record is processed.
	ID func(i int) string
	// Arrived returns the arrival time of record i. The batch has the oldest one.
	Arrived func(i int) time.Time
	// Scratch is memory for the results, which may grow and replace it. It belongs to the call until
	// the results have been used.
	Scratch *[]byte
}

// Status is the outcome of a record. The zero value is OK.
type Status uint8

// Statuses, which a function returns as Ok, Dropped and ProcessingFailed.
const (
	OK      Status = iota // Data is delivered
	Dropped               // the function dropped the record; it is not delivered
	Failed                // the source record goes to the error output, with Code and Message
)

// ErrDropped means that a record holds no request, so it is dropped.
var ErrDropped = errors.New("the record holds no request")

// Result is the outcome of one record.
type Result struct {
	Status Status
	// Data is the delivered form of an OK record. It may alias the record or the scratch.
	Data []byte
	// Code and Message are the reason of a Failed record, by default CodeProcessingFailed and its
	// message. They must not contain the record's content.
	Code    ErrorCode
	Message string
	// Partition holds the partition keys of an OK record.
	Partition map[string]string
	// Attempts is the number of calls for this record; 0 means as many as for the whole call.
	Attempts int
}

// CallError is a failed call of a function. If retries do not help, its records go to the error
// output with Code and Message.
type CallError struct {
	Code      ErrorCode
	Message   string
	Retryable bool  // a retry may succeed
	Err       error // the cause, or nil; must not contain record content
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

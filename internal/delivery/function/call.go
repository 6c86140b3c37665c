package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stagelog/stagelog/internal/encoding/base64"
	"github.com/stagelog/stagelog/internal/record"
)

// Status is what became of a record.
type Status uint8

// The outcomes of a record. The zero value is not one of them.
const (
	OK      Status = iota + 1 // deliver Data
	Dropped                   // the function dropped it on purpose: it leaves no trace
	Failed                    // to the error output, with Code and Message
)

// Outcome is a function's answer for one record, checked.
type Outcome struct {
	Status        Status
	Data          []byte // for OK; not nil
	Code, Message string // for Failed, as they stand in Firehose's error output
	Partition     map[string]string
}

// CallError says that a call failed as a whole. Every record of it goes to the error output with Code and Message once
// retries are used up.
type CallError struct {
	Code, Message string // as they stand in Firehose's error output
	Retryable     bool
	Err           error // why, where there is more to say; never part of a record
}

// Error says the code and the message, and the reason if there is one.
func (e *CallError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return e.Code + ": " + e.Message
}

// Unwrap gives the reason.
func (e *CallError) Unwrap() error { return e.Err }

// Codes that Firehose writes into its error output.
const (
	CodeFunctionError  = "Lambda.FunctionError"
	CodeTimedOut       = "Lambda.FunctionTimedOut"
	CodeInvokeLimit    = "Lambda.InvokeLimitExceeded"
	CodeNotFound       = "Lambda.ResourceNotFound"
	CodeMissingID      = "Lambda.MissingRecordId"
	CodeDuplicateID    = "Lambda.DuplicatedRecordId"
	CodeStatusFailed   = "Lambda.ProcessingFailedStatus"
	CodeInvalidReturn  = "Lambda.InvalidReturnFormat"
	CodeJSONProcessing = "Lambda.JsonProcessingException"
)

const (
	messageFunctionError = "The Lambda function was successfully invoked but it returned an error result."
	messageTimedOut      = "The Lambda function invocation timed out. Increase the Timeout setting in the Lambda function."
	messageInvokeLimit   = "The Lambda function could not be invoked now. Firehose retries the invocation."
	messageNotFound      = "The Lambda function does not exist. Check its ARN in the stream's processing configuration."
	messageMissingID     = "One or more record Ids were not returned. Ensure that the Lambda function returns all received record Ids."
	messageDuplicateID   = "Multiple records were returned with the same record Id. Ensure that the Lambda function returns a unique record Id for each record."
	messageStatusFailed  = "ProcessingFailed status set for record"
	messageNullData      = "The data field cannot be null when the SourceType is DirectPut or KinesisStreamAsSource and processing result is Ok. The value field cannot be null when the SourceType is MSKAsSource and processing result is Ok."
	messageFormat        = "Check your function and make sure the output is in required format. In addition to that, make sure the processed records contain valid result status of Dropped, Ok, or ProcessingFailed"
	messageJSON          = "There was an error parsing JSON object(s) in the returned records."
)

// maxCallTime is how long Firehose waits for a function, whatever the function's own timeout.
const maxCallTime = 5 * time.Minute

// Call invokes a function with the records of in and checks its answer. The outcomes are in the order of the records, one
// each. It may be repeated. An error is ctx's, or a *CallError. A malformed answer is never an error: Firehose does not retry it,
// and fails what it touches.
func Call(ctx context.Context, inv Invoker, in CallInput) ([]Outcome, error) {
	if len(in.Records) == 0 {
		return nil, nil
	}
	event := AppendEvent(make([]byte, 0, eventCapacity(in)), in)
	if len(event) > MaxPayloadBytes {
		return nil, &CallError{Code: CodeFunctionError, Message: messageFunctionError,
			Err: fmt.Errorf("an event of %d bytes exceeds %d; split it", len(event), MaxPayloadBytes)}
	}
	bounded, cancel := context.WithTimeout(ctx, maxCallTime)
	defer cancel()
	reply, err := inv.Invoke(bounded, event)
	if err != nil {
		return nil, invokeError(ctx, bounded, err)
	}
	if reply.FunctionError != "" {
		return nil, functionError(reply.Payload)
	}
	if len(reply.Payload) > MaxPayloadBytes {
		return nil, &CallError{Code: CodeFunctionError, Message: messageFunctionError, Retryable: true,
			Err: fmt.Errorf("a reply of %d bytes exceeds %d", len(reply.Payload), MaxPayloadBytes)}
	}
	return outcomes(in.Records, reply.Payload), nil
}

func eventCapacity(in CallInput) int {
	n := 256 + len(in.StreamARN)
	for i := range in.Records {
		n += 80 + len(in.Records[i].ID) + (len(in.Records[i].Data)+2)/3*4
	}
	return n
}

func invokeError(ctx, bounded context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() != nil:
		return &CallError{Code: CodeTimedOut, Message: messageTimedOut, Retryable: true, Err: err}
	case errors.Is(err, record.ErrNotFound):
		return &CallError{Code: CodeNotFound, Message: messageNotFound, Err: err}
	}
	return &CallError{Code: CodeInvokeLimit, Message: messageInvokeLimit, Retryable: true, Err: err}
}

func functionError(payload []byte) error {
	var f Failure
	_ = json.Unmarshal(payload, &f) // a payload of another shape is still an error of the function
	// Lambda names a timeout by its type since 2023, and before by the text alone.
	if f.Type == ErrorTypeTimeout || f.Type == "" && strings.Contains(f.Message, "Task timed out after") {
		return &CallError{Code: CodeTimedOut, Message: messageTimedOut, Retryable: true}
	}
	e := &CallError{Code: CodeFunctionError, Message: messageFunctionError, Retryable: true}
	// The message of a function may quote a record, the type is a name.
	if f.Type != "" && len(f.Type) <= 128 {
		e.Err = errors.New(f.Type)
	}
	return e
}

func failed(code, message string) Outcome {
	return Outcome{Status: Failed, Code: code, Message: message}
}

// outcomes matches the answered records to the ones that were sent.
func outcomes(records []Record, payload []byte) []Outcome {
	if answered, ok := scanReply(payload, len(records)); ok {
		if out, ok := match(records, answered, len(payload)); ok {
			return out
		}
	}
	answered, err := decodeReply(payload)
	if err != nil {
		out := make([]Outcome, len(records))
		for i := range out {
			out[i] = failed(CodeJSONProcessing, messageJSON)
		}
		return out
	}
	out, ok := match(records, answered, len(payload))
	if !ok {
		panic("BUG: a decoded reply asks to be decoded")
	}
	return out
}

// match is false when the answer has escapes and must be decoded first.
func match(records []Record, answered []replyRecord, payloadBytes int) ([]Outcome, bool) {
	out := make([]Outcome, len(records))
	find := finder(records)
	arena := make([]byte, 0, payloadBytes/4*3)
	for i := range answered {
		r := &answered[i]
		at, ok := find(i, r.id)
		switch {
		case !ok: // an id that was not sent: Firehose ignores it
		case out[at].Status != 0:
			out[at] = failed(CodeDuplicateID, messageDuplicateID)
		default:
			out[at], arena, ok = r.outcome(arena)
			if !ok {
				return nil, false
			}
		}
	}
	for i := range out {
		if out[i].Status == 0 {
			out[i] = failed(CodeMissingID, messageMissingID)
		}
	}
	return out, true
}

// finder finds a record by id. Most functions answer in order, so the i-th answer is looked for at i first.
func finder(records []Record) func(i int, id []byte) (int, bool) {
	var index map[string]int
	return func(i int, id []byte) (int, bool) {
		if i < len(records) && records[i].ID == string(id) {
			return i, true
		}
		if index == nil {
			index = make(map[string]int, len(records))
			for j := range records {
				index[records[j].ID] = j
			}
		}
		at, ok := index[string(id)]
		return at, ok
	}
}

// outcome checks one answered record. Data of a good one is appended to arena. It is false when data has to go through a
// JSON decoder before it can be judged.
func (r *replyRecord) outcome(arena []byte) (out Outcome, grown []byte, ok bool) {
	if !r.checked && string(r.result) != "Ok" && !plainString(r.data) {
		return Outcome{}, arena, false
	}
	switch {
	case r.malformed:
		return failed(CodeFunctionError, messageFormat), arena, true
	case string(r.result) == "Dropped":
		return Outcome{Status: Dropped}, arena, true
	case string(r.result) == "ProcessingFailed":
		return failed(CodeStatusFailed, messageStatusFailed), arena, true
	case string(r.result) != "Ok":
		return failed(CodeFunctionError, messageFormat), arena, true
	case !r.hasData:
		return failed(CodeInvalidReturn, messageNullData), arena, true
	}
	at := len(arena)
	grown, ok = base64.AppendDecoded(arena, r.data)
	if !ok {
		return failed(CodeFunctionError, messageFormat), arena, r.checked || plainString(r.data)
	}
	return Outcome{Status: OK, Data: grown[at:len(grown):len(grown)], Partition: r.partition}, grown, true
}

package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/stagelog/stagelog/internal/encoding/base64"
	"github.com/stagelog/stagelog/internal/record"
)

// maxCallTime is how long Firehose waits for a function, regardless of the function's own timeout.
const maxCallTime = 5 * time.Minute

// Transform invokes a stream's function in as many calls as Lambda's limits require and appends the results to out[:0]. A
// call that fails permanently fails only its own records; on a retryable error Transform returns that error.
func Transform(ctx context.Context, inv Invoker, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	stream, _ := arn.Parse(call.StreamARN) // without a Region if it is not an ARN
	in := CallInput{StreamARN: call.StreamARN, Region: stream.Region, Records: make([]Record, len(b.Records))}
	for i, rec := range b.Records {
		in.Records[i] = Record{ID: call.ID(i), Arrived: call.Arrived(i).UnixMilli(), Data: rec}
	}
	out = out[:0]
	for _, part := range Split(in) {
		results, err := Call(ctx, inv, part, out)
		var callErr *record.CallError
		switch {
		case err == nil:
			out = results
		case errors.As(err, &callErr) && !callErr.Retryable:
			out = append(out, slices.Repeat([]record.Result{failed(callErr.Code, callErr.Message)}, len(part.Records))...)
		default:
			return out, fmt.Errorf("call function: %w", err)
		}
	}
	return out, nil
}

// Call invokes a function with the records of in, checks the reply, and appends one result for each record to out, in the
// order of the records. It may be repeated. An error is ctx's, or a *record.CallError. A malformed reply is not an error:
// Firehose does not retry it but fails the affected records.
func Call(ctx context.Context, inv Invoker, in CallInput, out []record.Result) ([]record.Result, error) {
	if len(in.Records) == 0 {
		return out, nil
	}
	event := AppendEvent(make([]byte, 0, eventCapacity(in)), in)
	if len(event) > MaxPayloadBytes {
		return out, &record.CallError{Code: record.CodeFunctionError, Message: record.MessageFunctionError,
			Err: fmt.Errorf("event of %d bytes exceeds the limit of %d; split it", len(event), MaxPayloadBytes)}
	}
	bounded, cancel := context.WithTimeout(ctx, maxCallTime)
	defer cancel()
	reply, err := inv.Invoke(bounded, event)
	if err != nil {
		return out, invokeError(ctx, bounded, err)
	}
	if reply.FunctionError != "" {
		return out, functionError(reply.Payload)
	}
	if len(reply.Payload) > MaxPayloadBytes {
		return out, &record.CallError{Code: record.CodeFunctionError, Message: record.MessageFunctionError, Retryable: true,
			Err: fmt.Errorf("reply of %d bytes exceeds the limit of %d", len(reply.Payload), MaxPayloadBytes)}
	}
	return appendResults(out, in.Records, reply.Payload), nil
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
		return &record.CallError{Code: record.CodeTimedOut, Message: record.MessageTimedOut, Retryable: true, Err: err}
	case errors.Is(err, record.ErrNotFound):
		return &record.CallError{Code: record.CodeFunctionNotFound, Message: record.MessageFunctionNotFound, Err: err}
	}
	return &record.CallError{Code: record.CodeLimitExceeded, Message: record.MessageLimitExceeded, Retryable: true, Err: err}
}

func functionError(payload []byte) error {
	var f Failure
	_ = json.Unmarshal(payload, &f) // a payload of another form is still a function error
	// Since 2023 Lambda reports a timeout as the error type, before that only in the message.
	if f.Type == ErrorTypeTimeout || f.Type == "" && strings.Contains(f.Message, "Task timed out after") {
		return &record.CallError{Code: record.CodeTimedOut, Message: record.MessageTimedOut, Retryable: true}
	}
	e := &record.CallError{Code: record.CodeFunctionError, Message: record.MessageFunctionError, Retryable: true}
	// The message may contain a record; the type is only a name.
	if f.Type != "" && len(f.Type) <= 128 {
		e.Err = errors.New(f.Type)
	}
	return e
}

func failed(code record.ErrorCode, message string) record.Result {
	return record.Result{Status: record.Failed, Code: code, Message: message}
}

// unanswered is the status of a record until its result is found.
const unanswered record.Status = 255

// appendResults matches the records of the reply to those that were sent, and appends their results.
func appendResults(out []record.Result, records []Record, payload []byte) []record.Result {
	if answered, ok := scanReply(payload, len(records)); ok {
		if out, ok := match(out, records, answered, len(payload)); ok {
			return out
		}
	}
	answered, err := decodeReply(payload)
	if err != nil {
		return append(out, slices.Repeat([]record.Result{failed(record.CodeInvalidJSON, record.MessageInvalidJSON)}, len(records))...)
	}
	out, ok := match(out, records, answered, len(payload))
	if !ok {
		panic("BUG: decoded reply still has escapes")
	}
	return out
}

// match appends the results. It returns false if the reply has escapes and must be decoded first.
func match(dst []record.Result, records []Record, answered []replyRecord, payloadBytes int) ([]record.Result, bool) {
	dst = append(dst, slices.Repeat([]record.Result{{Status: unanswered}}, len(records))...)
	out := dst[len(dst)-len(records):]
	find := finder(records)
	arena := make([]byte, 0, payloadBytes/4*3)
	for i := range answered {
		r := &answered[i]
		at, ok := find(i, r.id)
		switch {
		case !ok: // unknown id; Firehose ignores it
		case out[at].Status != unanswered:
			out[at] = failed(record.CodeDuplicatedRecord, record.MessageDuplicatedRecord)
		default:
			out[at], arena, ok = r.check(arena)
			if !ok {
				return nil, false
			}
		}
	}
	for i := range out {
		if out[i].Status == unanswered {
			out[i] = failed(record.CodeMissingRecord, record.MessageMissingRecord)
		}
	}
	return dst, true
}

// finder returns a function that finds a record by id. Most functions keep the order, so it tries index i first.
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

// check validates one record of the reply and appends the data of a good one to arena. It returns false if the data must be
// decoded by encoding/json first.
func (r *replyRecord) check(arena []byte) (out record.Result, grown []byte, ok bool) {
	if !r.checked && string(r.result) != "Ok" && !plainString(r.data) {
		return record.Result{}, arena, false
	}
	switch {
	case r.malformed:
		return failed(record.CodeFunctionError, record.MessageInvalidResult), arena, true
	case string(r.result) == "Dropped":
		return record.Result{Status: record.Dropped}, arena, true
	case string(r.result) == "ProcessingFailed":
		return failed(record.CodeProcessingFailed, record.MessageProcessingFailed), arena, true
	case string(r.result) != "Ok":
		return failed(record.CodeFunctionError, record.MessageInvalidResult), arena, true
	case !r.hasData:
		return failed(record.CodeInvalidReturn, record.MessageInvalidReturn), arena, true
	}
	at := len(arena)
	grown, ok = base64.AppendDecoded(arena, r.data)
	if !ok {
		return failed(record.CodeFunctionError, record.MessageInvalidResult), arena, r.checked || plainString(r.data)
	}
	return record.Result{Status: record.OK, Data: grown[at:len(grown):len(grown)], Partition: r.partition}, grown, true
}

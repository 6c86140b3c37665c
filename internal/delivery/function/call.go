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

// maxCallTime is how long Firehose waits for a function, whatever the function's own timeout.
const maxCallTime = 5 * time.Minute

// Transform implements a stream's function by inv: it invokes it in as many calls as Lambda's limits need, and appends the
// results to out[:0]. A part that fails for good fails its own records; an error that a repeat may cure ends Transform.
func Transform(ctx context.Context, inv Invoker, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	in := CallInput{StreamARN: call.StreamARN, Region: regionOf(call.StreamARN), Records: make([]Record, len(b.Records))}
	for i, rec := range b.Records {
		in.Records[i] = Record{ID: call.ID(i), Arrived: call.Arrived(i).UnixMilli(), Data: rec}
	}
	out = out[:0]
	for _, part := range Split(in, 0) {
		results, err := Call(ctx, inv, part, out)
		var failed *record.CallError
		switch {
		case err == nil:
			out = results
		case errors.As(err, &failed) && !failed.Retryable:
			for range part.Records {
				out = append(out, record.Result{Status: record.Failed, Code: failed.Code, Message: failed.Message})
			}
		default:
			return out, fmt.Errorf("call the function: %w", err)
		}
	}
	return out, nil
}

// regionOf returns the Region in an ARN; "" when there is none.
func regionOf(arn string) string {
	const regionField, fields = 3, 6 // arn:partition:service:region:account:resource
	if parts := strings.SplitN(arn, ":", fields); len(parts) == fields {
		return parts[regionField]
	}
	return ""
}

// Call invokes a function with the records of in, checks its answer, and appends one result for each record to out, in the
// order of the records. It may be repeated. An error is ctx's, or a *record.CallError. A malformed answer is never an error:
// Firehose does not retry it, and fails what it touches.
func Call(ctx context.Context, inv Invoker, in CallInput, out []record.Result) ([]record.Result, error) {
	if len(in.Records) == 0 {
		return out, nil
	}
	event := AppendEvent(make([]byte, 0, eventCapacity(in)), in)
	if len(event) > MaxPayloadBytes {
		return out, &record.CallError{Code: record.CodeFunctionError, Message: record.MessageFunctionError,
			Err: fmt.Errorf("an event of %d bytes exceeds %d; split it", len(event), MaxPayloadBytes)}
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
			Err: fmt.Errorf("a reply of %d bytes exceeds %d", len(reply.Payload), MaxPayloadBytes)}
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
	_ = json.Unmarshal(payload, &f) // a payload of another shape is still an error of the function
	// Lambda names a timeout by its type since 2023, and before by the text alone.
	if f.Type == ErrorTypeTimeout || f.Type == "" && strings.Contains(f.Message, "Task timed out after") {
		return &record.CallError{Code: record.CodeTimedOut, Message: record.MessageTimedOut, Retryable: true}
	}
	e := &record.CallError{Code: record.CodeFunctionError, Message: record.MessageFunctionError, Retryable: true}
	// The message of a function may quote a record, the type is a name.
	if f.Type != "" && len(f.Type) <= 128 {
		e.Err = errors.New(f.Type)
	}
	return e
}

func failed(code record.ErrorCode, message string) record.Result {
	return record.Result{Status: record.Failed, Code: code, Message: message}
}

// unanswered is the status of a record until its answer is found.
const unanswered record.Status = 255

// appendResults matches the answered records to the ones that were sent.
func appendResults(out []record.Result, records []Record, payload []byte) []record.Result {
	if answered, ok := scanReply(payload, len(records)); ok {
		if out, ok := match(out, records, answered, len(payload)); ok {
			return out
		}
	}
	answered, err := decodeReply(payload)
	if err != nil {
		for range records {
			out = append(out, failed(record.CodeInvalidJSON, record.MessageInvalidJSON))
		}
		return out
	}
	out, ok := match(out, records, answered, len(payload))
	if !ok {
		panic("BUG: a decoded reply asks to be decoded")
	}
	return out
}

// match appends the results. It is false when the answer has escapes and must be decoded first.
func match(dst []record.Result, records []Record, answered []replyRecord, payloadBytes int) ([]record.Result, bool) {
	for range records {
		dst = append(dst, record.Result{Status: unanswered})
	}
	out := dst[len(dst)-len(records):]
	find := finder(records)
	arena := make([]byte, 0, payloadBytes/4*3)
	for i := range answered {
		r := &answered[i]
		at, ok := find(i, r.id)
		switch {
		case !ok: // an id that was not sent: Firehose ignores it
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

// check checks one answered record. Data of a good one is appended to arena. It is false when data has to go through a
// JSON decoder before it can be judged.
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

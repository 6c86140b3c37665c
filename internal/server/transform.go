package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stagelog/stagelog/internal/delivery/deliver"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record"
)

// addedBytes is about what enrichment adds to a record, for reserving room once.
const addedBytes = 160

// transform is a stream's function: the enrichment of this process called directly, or
// any other over Lambda's contract.
type transform struct{ chain *Chain }

// Transform implements deliver.Transformer.
func (t transform) Transform(ctx context.Context, call deliver.Call, b record.Batch, out []deliver.Result) ([]deliver.Result, error) {
	if t.chain.functions.IsBuiltin(call.FunctionARN) {
		// Until the directory is loaded, a known customer would look like none.
		if err := t.chain.directory.Wait(ctx); err != nil {
			return out, err
		}
		return t.show(enrichAll(t.chain.enricher, call, b, out)), nil
	}
	out, err := t.invoke(ctx, call, b, out)
	return t.show(out), err
}

// show shows what was enriched to whoever looks.
func (t transform) show(results []deliver.Result) []deliver.Result {
	if t.chain.live.Active() {
		for _, r := range results {
			if r.Status == deliver.OK {
				t.chain.live.Publish(r.Data)
			}
		}
	}
	return results
}

// enrichAll is what the builtin function does, without the JSON and base64 of an event.
func enrichAll(e *enrich.Enricher, call deliver.Call, b record.Batch, out []deliver.Result) []deliver.Result {
	size := 0
	for _, rec := range b.Records {
		size += len(rec) + addedBytes
	}
	buf := slices.Grow((*call.Scratch)[:0], size)
	out = out[:0]
	for _, rec := range b.Records {
		begin := len(buf)
		enriched, err := e.Append(buf, rec)
		if err != nil {
			out = append(out, deliver.Result{Status: deliver.Failed})
			continue
		}
		// Where buf had to move, what was appended before stays where it was, and valid.
		buf = enriched
		out = append(out, deliver.Result{Status: deliver.OK, Data: buf[begin:len(buf):len(buf)]})
	}
	*call.Scratch = buf
	return out
}

// invoke calls a function as Firehose does, in as many calls as Lambda's limits need.
func (t transform) invoke(ctx context.Context, call deliver.Call, b record.Batch, out []deliver.Result) ([]deliver.Result, error) {
	inv, ok := t.chain.functions.Invoker(call.FunctionARN)
	if !ok {
		return out, &deliver.CallError{Code: function.CodeNotFound, Message: "The Lambda function " + call.FunctionARN + " was not found."}
	}
	in := function.CallInput{StreamARN: call.StreamARN, Region: t.chain.Region(), Records: make([]function.Record, len(b.Records))}
	for i, rec := range b.Records {
		in.Records[i] = function.Record{ID: call.IDs(i), Arrived: call.Arrived(i).UnixMilli(), Data: rec}
	}
	out = out[:0]
	for _, part := range function.Split(in, 0) {
		outcomes, err := function.Call(ctx, inv, part)
		var failed *function.CallError
		switch {
		case errors.As(err, &failed) && failed.Retryable:
			return out, &deliver.CallError{Code: failed.Code, Message: failed.Message, Err: failed.Err}
		case failed != nil:
			for range part.Records {
				out = append(out, deliver.Result{Status: deliver.Failed, Code: failed.Code, Message: failed.Message})
			}
		case err != nil:
			return out, fmt.Errorf("call the function: %w", err)
		}
		for _, o := range outcomes {
			out = append(out, deliver.Result{Status: statusOf(o.Status), Data: o.Data, Code: o.Code, Message: o.Message, Partition: o.Partition})
		}
	}
	return out, nil
}

func statusOf(s function.Status) deliver.Status {
	switch s {
	case function.OK:
		return deliver.OK
	case function.Dropped:
		return deliver.Dropped
	default:
		return deliver.Failed
	}
}

package server

import (
	"context"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record"
)

// transform implements a stream's function: the enrichment of this process, called directly, or
// any other function over Lambda's contract.
type transform struct{ chain *Chain }

// Transform implements deliver.Transformer.
func (t transform) Transform(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	out, err := t.call(ctx, call, b, out)
	if t.chain.live.Active() {
		for _, r := range out {
			if r.Status == record.OK {
				t.chain.live.Publish(r.Data)
			}
		}
	}
	return out, err
}

func (t transform) call(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	if t.chain.functions.IsBuiltin(call.FunctionARN) {
		// Until the usage plan index is loaded, a known customer would look like none.
		if err := t.chain.index.Wait(ctx); err != nil {
			return nil, err
		}
		return t.chain.enricher.Transform(b, call.Scratch, out), nil
	}
	inv, ok := t.chain.functions.Invoker(call.FunctionARN)
	if !ok {
		return nil, &record.CallError{Code: record.CodeFunctionNotFound, Message: "The Lambda function " + call.FunctionARN + " was not found.", Retryable: true}
	}
	return function.Transform(ctx, inv, call, b, out)
}

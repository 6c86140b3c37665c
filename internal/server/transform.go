package server

import (
	"context"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record"
)

// transform implements a stream's function: it calls the built-in enrichment directly, and any other
// function through Lambda's contract.
type transform struct{ server *Server }

// Transform implements deliver.Transformer.
func (t transform) Transform(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	out, err := t.call(ctx, call, b, out)
	if t.server.live.Active() {
		for _, r := range out {
			if r.Status == record.OK {
				t.server.live.Publish(r.Data)
			}
		}
	}
	return out, err
}

func (t transform) call(ctx context.Context, call record.Call, b record.Batch, out []record.Result) ([]record.Result, error) {
	if t.server.functions.IsBuiltin(call.FunctionARN) {
		// Until the usage plan index is loaded, known customers would be treated as unknown.
		if err := t.server.index.Wait(ctx); err != nil {
			return nil, err
		}
		return t.server.enricher.Transform(b, call.Scratch, out), nil
	}
	inv, ok := t.server.functions.Invoker(call.FunctionARN)
	if !ok {
		return nil, &record.CallError{Code: record.CodeFunctionNotFound, Message: "The Lambda function " + call.FunctionARN + " was not found.", Retryable: true}
	}
	return function.Transform(ctx, inv, call, b, out)
}

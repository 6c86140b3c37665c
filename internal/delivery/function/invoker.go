package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// MaxPayloadBytes is Lambda's limit for the payload of a synchronous invocation, in each direction (AWS: 6 MB).
const MaxPayloadBytes = 6_291_456

// Lambda's names for invocation failures, used as errorType in the payload.
const (
	ErrorTypeTimeout  = "Sandbox.Timedout"
	ErrorTypeExit     = "Runtime.ExitError"
	ErrorTypeTooLarge = "Function.ResponseSizeTooLarge"
)

// Unhandled is the value of Reply.FunctionError, and of the header X-Amz-Function-Error, for every function error.
const Unhandled = "Unhandled"

// ErrThrottled means that a function is at its concurrency limit. Errors of an Invoker may wrap it.
var ErrThrottled = errors.New("function is at its concurrency limit")

// Reply is the result of an invocation.
type Reply struct {
	Payload       []byte // the reply's JSON, or Failure's JSON if FunctionError is set; owned by the caller
	FunctionError string // "" for success, otherwise Unhandled
}

// Invoker calls a function once and waits for its reply. It may be called in parallel, and does not keep the payload. If the
// function ran and failed, the Reply has a FunctionError; an error means that the call failed, and may be retried.
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) (Reply, error)
}

// InvokerFunc is a Go function that implements Invoker.
type InvokerFunc func(ctx context.Context, payload []byte) (Reply, error)

// Invoke calls f.
func (f InvokerFunc) Invoke(ctx context.Context, payload []byte) (Reply, error) {
	return f(ctx, payload)
}

// Failure is the payload of a reply whose FunctionError is set.
type Failure struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType,omitempty"`
}

// FailedReply returns the reply of a function that failed.
func FailedReply(errorType, message string) Reply {
	payload, err := json.Marshal(Failure{Message: message, Type: errorType})
	if err != nil {
		panic("BUG: marshal a failure: " + err.Error())
	}
	return Reply{Payload: payload, FunctionError: Unhandled}
}

// InProcess returns an Invoker that calls a handler in this process. Like in Lambda, the handler's error or panic becomes a
// reply with FunctionError.
func InProcess(handle func(ctx context.Context, event []byte) ([]byte, error)) Invoker {
	return InvokerFunc(func(ctx context.Context, payload []byte) (reply Reply, err error) {
		defer func() {
			if v := recover(); v != nil {
				reply, err = FailedReply("Runtime.Panic", fmt.Sprintf("the handler panicked: %T", v)), nil
			}
		}()
		out, herr := handle(ctx, payload)
		switch {
		case ctx.Err() != nil:
			return Reply{}, ctx.Err()
		case herr != nil:
			return FailedReply(errorType(herr), herr.Error()), nil
		case len(out) > MaxPayloadBytes:
			return tooLarge(len(out)), nil
		}
		return Reply{Payload: out}, nil
	})
}

// tooLarge returns Lambda's reply for a function whose result exceeds the limit.
func tooLarge(bytes int) Reply {
	return FailedReply(ErrorTypeTooLarge, fmt.Sprintf(
		"Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes).", bytes, MaxPayloadBytes))
}

// errorType returns the error's Go type name, like aws-lambda-go.
func errorType(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// MaxPayloadBytes is Lambda's limit for the payload of a synchronous invocation, each way (AWS: 6 MB).
const MaxPayloadBytes = 6_291_456

// Names that Lambda gives to failures of an invocation, as they stand in the errorType of an error's payload.
const (
	ErrorTypeTimeout  = "Sandbox.Timedout"
	ErrorTypeExit     = "Runtime.ExitError"
	ErrorTypeTooLarge = "Function.ResponseSizeTooLarge"
)

// Unhandled is the value of Reply.FunctionError, and of the header X-Amz-Function-Error, for every error of a function.
const Unhandled = "Unhandled"

// ErrThrottled says that a function has no room for another invocation now. Errors of an Invoker may wrap it.
var ErrThrottled = errors.New("function is at its concurrency limit")

// Reply is what a function answered.
type Reply struct {
	Payload       []byte // the answer's JSON, or Failure's JSON when FunctionError is set; the caller owns it
	FunctionError string // "" for success, else Unhandled
}

// Invoker calls a function once, and waits for its reply. It may be called in parallel, and does not keep the payload.
// A function that ran and failed is a Reply with FunctionError; an error means that it could not be called, and a repeat may help.
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) (Reply, error)
}

// InvokerFunc makes an Invoker of a Go function.
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

// FailedReply makes the reply of a function that failed.
func FailedReply(errorType, message string) Reply {
	payload, err := json.Marshal(Failure{Message: message, Type: errorType})
	if err != nil {
		panic("BUG: two strings do not marshal: " + err.Error())
	}
	return Reply{Payload: payload, FunctionError: Unhandled}
}

// InProcess makes an Invoker of a handler in this process. The handler's error becomes a reply with FunctionError, as
// Lambda makes it; so does a panic.
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

// tooLarge is Lambda's reply for a function whose answer is over the limit.
func tooLarge(bytes int) Reply {
	return FailedReply(ErrorTypeTooLarge, fmt.Sprintf(
		"Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes).", bytes, MaxPayloadBytes))
}

// errorType names an error as aws-lambda-go does: by its Go type.
func errorType(err error) string {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/record"
)

// says is a function that answers the same whatever it is asked.
func says(reply Reply, err error) Invoker {
	return InvokerFunc(func(context.Context, []byte) (Reply, error) { return reply, err })
}

func TestCallChecksEveryAnswer(t *testing.T) {
	ok := func(data string) Outcome { return Outcome{Status: OK, Data: []byte(data)} }
	missing := failed(CodeMissingID, messageMissingID)
	format := failed(CodeFunctionError, messageFormat)
	json := failed(CodeJSONProcessing, messageJSON)
	const good = `{"recordId":"b","result":"Ok","data":"Yg=="}`
	for _, tt := range []struct {
		name, reply string
		want        []Outcome // for the records a and b
	}{
		{"both", `{"records":[{"recordId":"a","result":"Ok","data":"YQ=="},` + good + `]}`, []Outcome{ok("a"), ok("b")}},
		{"other order", `{"records":[` + good + `,{"recordId":"a","result":"Ok","data":"YQ=="}]}`, []Outcome{ok("a"), ok("b")}},
		{"white space, other members", "{ \"x\":1, \"records\" : [\n{\"y\":{},\"result\":\"Ok\",\"data\":\"YQ==\",\"recordId\":\"a\"}, " + good + "]}", []Outcome{ok("a"), ok("b")}},
		{"the stock Go response", `{"records":[{"recordId":"a","result":"Ok","data":"YQ==","metadata":{"partitionKeys":null,"otfMetadata":{"destinationDatabaseName":"","destinationTableName":"","operation":""}}},` + good + `]}`,
			[]Outcome{ok("a"), ok("b")}},
		{"partition keys", `{"records":[{"recordId":"a","result":"Ok","data":"YQ==","metadata":{"partitionKeys":{"customer":"Acme"}}},` + good + `]}`,
			[]Outcome{{Status: OK, Data: []byte("a"), Partition: map[string]string{"customer": "Acme"}}, ok("b")}},
		{"dropped", `{"records":[{"recordId":"a","result":"Dropped"},` + good + `]}`, []Outcome{{Status: Dropped}, ok("b")}},
		{"failed", `{"records":[{"recordId":"a","result":"ProcessingFailed","data":"YQ=="},` + good + `]}`,
			[]Outcome{failed(CodeStatusFailed, messageStatusFailed), ok("b")}},
		{"missing id", `{"records":[` + good + `]}`, []Outcome{missing, ok("b")}},
		{"duplicate id", `{"records":[` + good + `,{"recordId":"a","result":"Ok","data":"YQ=="},{"recordId":"a","result":"Ok","data":"YQ=="},{"recordId":"a","result":"Dropped"}]}`,
			[]Outcome{failed(CodeDuplicateID, messageDuplicateID), ok("b")}},
		{"unknown id", `{"records":[{"recordId":"z","result":"Ok","data":"YQ=="},{"recordId":"a","result":"Ok","data":"YQ=="},` + good + `]}`, []Outcome{ok("a"), ok("b")}},
		{"null data", `{"records":[{"recordId":"a","result":"Ok","data":null},` + good + `]}`, []Outcome{failed(CodeInvalidReturn, messageNullData), ok("b")}},
		{"no data", `{"records":[{"recordId":"a","result":"Ok"},` + good + `]}`, []Outcome{failed(CodeInvalidReturn, messageNullData), ok("b")}},
		{"empty data", `{"records":[{"recordId":"a","result":"Ok","data":""},` + good + `]}`, []Outcome{ok(""), ok("b")}},
		{"unknown result", `{"records":[{"recordId":"a","result":"OK","data":"YQ=="},` + good + `]}`, []Outcome{format, ok("b")}},
		{"no result", `{"records":[{"recordId":"a","data":"YQ=="},` + good + `]}`, []Outcome{format, ok("b")}},
		{"not base64", `{"records":[{"recordId":"a","result":"Ok","data":"YQ="},` + good + `]}`, []Outcome{format, ok("b")}},
		{"base64 of another alphabet", `{"records":[{"recordId":"a","result":"Ok","data":"-_-_"},` + good + `]}`, []Outcome{format, ok("b")}},
		{"escapes", `{"records":[{"recordId":"\u0061","result":"Ok","data":"Pz8\/"},` + good + `]}`, []Outcome{ok("???"), ok("b")}},
		{"a line break in base64", `{"records":[{"recordId":"a","result":"Ok","data":"YW\nFh"},` + good + `]}`, []Outcome{format, ok("b")}},
		{"data is a number", `{"records":[{"recordId":"a","result":"Ok","data":5},` + good + `]}`, []Outcome{format, ok("b")}},
		{"id is a number", `{"records":[{"recordId":5,"result":"Ok","data":"YQ=="},` + good + `]}`, []Outcome{missing, ok("b")}},
		{"record is a string", `{"records":["a",` + good + `,null]}`, []Outcome{missing, ok("b")}},
		{"no records", `{}`, []Outcome{missing, missing}},
		{"null", `null`, []Outcome{missing, missing}},
		{"empty records", `{"records":[]}`, []Outcome{missing, missing}},
		{"records is an object", `{"records":{}}`, []Outcome{json, json}},
		{"not an object", `"done"`, []Outcome{json, json}},
		{"nothing", ``, []Outcome{json, json}},
		{"not JSON", `{"records":[` + good + `]`, []Outcome{json, json}},
		{"not JSON in a dropped record", "{\"records\":[{\"recordId\":\"a\",\"result\":\"Dropped\",\"data\":\"\n\"}," + good + "]}", []Outcome{json, json}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := CallInput{Records: []Record{{ID: "a", Data: []byte("1")}, {ID: "b", Data: []byte("2")}}}
			got, err := Call(context.Background(), says(Reply{Payload: []byte(tt.reply)}, nil), in)
			if err != nil {
				t.Fatalf("Call: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Call with reply %s (-want +got):\n%s", tt.reply, diff)
			}
		})
	}
}

func TestCallFailsAsAWhole(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name      string
		ctx       context.Context
		inv       Invoker
		code      string
		retryable bool
	}{
		{name: "function error", inv: says(FailedReply("Error", "customer secret"), nil), code: CodeFunctionError, retryable: true},
		{name: "crash", inv: says(FailedReply(ErrorTypeExit, "x"), nil), code: CodeFunctionError, retryable: true},
		{name: "function error of another shape", inv: says(Reply{Payload: []byte("boom"), FunctionError: "Handled"}, nil), code: CodeFunctionError, retryable: true},
		{name: "timeout", inv: says(FailedReply(ErrorTypeTimeout, "x"), nil), code: CodeTimedOut, retryable: true},
		{name: "timeout, as before 2023", inv: says(FailedReply("", "2022-01-01T00:00:00Z id Task timed out after 3.00 seconds"), nil), code: CodeTimedOut, retryable: true},
		{name: "reply over the limit", inv: says(Reply{Payload: make([]byte, MaxPayloadBytes+1)}, nil), code: CodeFunctionError, retryable: true},
		{name: "throttled", inv: says(Reply{}, fmt.Errorf("no: %w", ErrThrottled)), code: CodeInvokeLimit, retryable: true},
		{name: "network", inv: says(Reply{}, io.ErrUnexpectedEOF), code: CodeInvokeLimit, retryable: true},
		{name: "deleted", inv: says(Reply{}, record.ErrNotFound), code: CodeNotFound},
		{name: "panic in process", inv: InProcess(func(context.Context, []byte) ([]byte, error) { panic("customer secret") }), code: CodeFunctionError, retryable: true},
		{name: "answer over the limit in process", code: CodeFunctionError, retryable: true,
			inv: InProcess(func(context.Context, []byte) ([]byte, error) { return make([]byte, MaxPayloadBytes+1), nil })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Call(context.Background(), tt.inv, CallInput{Records: []Record{{ID: "a", Data: []byte("x")}}})
			var e *CallError
			if !errors.As(err, &e) || e.Code != tt.code || e.Retryable != tt.retryable || e.Message == "" {
				t.Fatalf("Call: got %#v, want code %s, retryable %v", err, tt.code, tt.retryable)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("Call: the error quotes the function: %v", err)
			}
		})
	}
	if _, err := Call(gone, says(Reply{}, io.EOF), CallInput{Records: []Record{{ID: "a"}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Call with an ended context: got %v, want context.Canceled", err)
	}
}

func TestCallRoundTrip(t *testing.T) {
	h := NewHandler(marker{})
	in := CallInput{StreamARN: "arn:x", Region: "us-east-1", Records: []Record{
		{ID: "1", Arrived: 1495072949453, Data: []byte("one")}, {ID: `2"`, Data: []byte("bad")}, {ID: "3", Data: nil},
	}}
	want := []Outcome{{Status: OK, Data: []byte("<one>\n")}, failed(CodeStatusFailed, messageStatusFailed), {Status: OK, Data: []byte("<>\n")}}
	got, err := Call(context.Background(), InProcess(h.Invoke), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Call (-want +got):\n%s", diff)
	}
	if got, err := Call(context.Background(), says(Reply{}, io.EOF), CallInput{}); err != nil || got != nil {
		t.Errorf("Call without records: got %v, %v, want nothing and no call", got, err)
	}
}

func TestCallWaitsFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		hang := InvokerFunc(func(ctx context.Context, _ []byte) (Reply, error) {
			<-ctx.Done()
			return Reply{}, ctx.Err()
		})
		_, err := Call(context.Background(), hang, CallInput{Records: []Record{{ID: "a"}}})
		var e *CallError
		if !errors.As(err, &e) || e.Code != CodeTimedOut || !e.Retryable || time.Since(start) != 5*time.Minute {
			t.Errorf("Call: got %v after %v, want %s after 5 minutes", err, time.Since(start), CodeTimedOut)
		}
	})
}

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

// replies returns an Invoker that always returns the same reply.
func replies(reply Reply, err error) Invoker {
	return InvokerFunc(func(context.Context, []byte) (Reply, error) { return reply, err })
}

func TestCallChecksReply(t *testing.T) {
	ok := func(data string) record.Result { return record.Result{Status: record.OK, Data: []byte(data)} }
	missing := failed(record.CodeMissingRecord, record.MessageMissingRecord)
	format := failed(record.CodeFunctionError, record.MessageInvalidResult)
	json := failed(record.CodeInvalidJSON, record.MessageInvalidJSON)
	const good = `{"recordId":"b","result":"Ok","data":"Yg=="}`
	for _, tt := range []struct {
		name, reply string
		want        []record.Result // for the records a and b
	}{
		{"both", `{"records":[{"recordId":"a","result":"Ok","data":"YQ=="},` + good + `]}`, []record.Result{ok("a"), ok("b")}},
		{"other order", `{"records":[` + good + `,{"recordId":"a","result":"Ok","data":"YQ=="}]}`, []record.Result{ok("a"), ok("b")}},
		{"white space, other members", "{ \"x\":1, \"records\" : [\n{\"y\":{},\"result\":\"Ok\",\"data\":\"YQ==\",\"recordId\":\"a\"}, " + good + "]}", []record.Result{ok("a"), ok("b")}},
		{"response of aws-lambda-go", `{"records":[{"recordId":"a","result":"Ok","data":"YQ==","metadata":{"partitionKeys":null,"otfMetadata":{"destinationDatabaseName":"","destinationTableName":"","operation":""}}},` + good + `]}`,
			[]record.Result{ok("a"), ok("b")}},
		{"partition keys", `{"records":[{"recordId":"a","result":"Ok","data":"YQ==","metadata":{"partitionKeys":{"customer":"Acme"}}},` + good + `]}`,
			[]record.Result{{Status: record.OK, Data: []byte("a"), Partition: map[string]string{"customer": "Acme"}}, ok("b")}},
		{"dropped", `{"records":[{"recordId":"a","result":"Dropped"},` + good + `]}`, []record.Result{{Status: record.Dropped}, ok("b")}},
		{"failed", `{"records":[{"recordId":"a","result":"ProcessingFailed","data":"YQ=="},` + good + `]}`,
			[]record.Result{failed(record.CodeProcessingFailed, record.MessageProcessingFailed), ok("b")}},
		{"missing id", `{"records":[` + good + `]}`, []record.Result{missing, ok("b")}},
		{"duplicate id", `{"records":[` + good + `,{"recordId":"a","result":"Ok","data":"YQ=="},{"recordId":"a","result":"Ok","data":"YQ=="},{"recordId":"a","result":"Dropped"}]}`,
			[]record.Result{failed(record.CodeDuplicatedRecord, record.MessageDuplicatedRecord), ok("b")}},
		{"unknown id", `{"records":[{"recordId":"z","result":"Ok","data":"YQ=="},{"recordId":"a","result":"Ok","data":"YQ=="},` + good + `]}`, []record.Result{ok("a"), ok("b")}},
		{"null data", `{"records":[{"recordId":"a","result":"Ok","data":null},` + good + `]}`, []record.Result{failed(record.CodeInvalidReturn, record.MessageInvalidReturn), ok("b")}},
		{"no data", `{"records":[{"recordId":"a","result":"Ok"},` + good + `]}`, []record.Result{failed(record.CodeInvalidReturn, record.MessageInvalidReturn), ok("b")}},
		{"empty data", `{"records":[{"recordId":"a","result":"Ok","data":""},` + good + `]}`, []record.Result{ok(""), ok("b")}},
		{"unknown result", `{"records":[{"recordId":"a","result":"OK","data":"YQ=="},` + good + `]}`, []record.Result{format, ok("b")}},
		{"no result", `{"records":[{"recordId":"a","data":"YQ=="},` + good + `]}`, []record.Result{format, ok("b")}},
		{"not base64", `{"records":[{"recordId":"a","result":"Ok","data":"YQ="},` + good + `]}`, []record.Result{format, ok("b")}},
		{"base64 of another alphabet", `{"records":[{"recordId":"a","result":"Ok","data":"-_-_"},` + good + `]}`, []record.Result{format, ok("b")}},
		{"escapes", `{"records":[{"recordId":"\u0061","result":"Ok","data":"Pz8\/"},` + good + `]}`, []record.Result{ok("???"), ok("b")}},
		{"a line break in base64", `{"records":[{"recordId":"a","result":"Ok","data":"YW\nFh"},` + good + `]}`, []record.Result{format, ok("b")}},
		{"data is a number", `{"records":[{"recordId":"a","result":"Ok","data":5},` + good + `]}`, []record.Result{format, ok("b")}},
		{"id is a number", `{"records":[{"recordId":5,"result":"Ok","data":"YQ=="},` + good + `]}`, []record.Result{missing, ok("b")}},
		{"record is a string", `{"records":["a",` + good + `,null]}`, []record.Result{missing, ok("b")}},
		{"no records", `{}`, []record.Result{missing, missing}},
		{"null", `null`, []record.Result{missing, missing}},
		{"empty records", `{"records":[]}`, []record.Result{missing, missing}},
		{"records is an object", `{"records":{}}`, []record.Result{json, json}},
		{"not an object", `"done"`, []record.Result{json, json}},
		{"empty", ``, []record.Result{json, json}},
		{"not JSON", `{"records":[` + good + `]`, []record.Result{json, json}},
		{"not JSON in a dropped record", "{\"records\":[{\"recordId\":\"a\",\"result\":\"Dropped\",\"data\":\"\n\"}," + good + "]}", []record.Result{json, json}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := CallInput{Records: []Record{{ID: "a", Data: []byte("1")}, {ID: "b", Data: []byte("2")}}}
			got, err := Call(context.Background(), replies(Reply{Payload: []byte(tt.reply)}, nil), in, nil)
			if err != nil {
				t.Fatalf("Call: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Call with reply %s (-want +got):\n%s", tt.reply, diff)
			}
		})
	}
}

func TestCallErrors(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name      string
		ctx       context.Context
		inv       Invoker
		code      record.ErrorCode
		retryable bool
	}{
		{name: "function error", inv: replies(FailedReply("Error", "customer secret"), nil), code: record.CodeFunctionError, retryable: true},
		{name: "crash", inv: replies(FailedReply(ErrorTypeExit, "x"), nil), code: record.CodeFunctionError, retryable: true},
		{name: "function error of another form", inv: replies(Reply{Payload: []byte("boom"), FunctionError: "Handled"}, nil), code: record.CodeFunctionError, retryable: true},
		{name: "timeout", inv: replies(FailedReply(ErrorTypeTimeout, "x"), nil), code: record.CodeTimedOut, retryable: true},
		{name: "timeout before 2023", inv: replies(FailedReply("", "2022-01-01T00:00:00Z id Task timed out after 3.00 seconds"), nil), code: record.CodeTimedOut, retryable: true},
		{name: "reply over the limit", inv: replies(Reply{Payload: make([]byte, MaxPayloadBytes+1)}, nil), code: record.CodeFunctionError, retryable: true},
		{name: "throttled", inv: replies(Reply{}, fmt.Errorf("no: %w", ErrThrottled)), code: record.CodeLimitExceeded, retryable: true},
		{name: "network", inv: replies(Reply{}, io.ErrUnexpectedEOF), code: record.CodeLimitExceeded, retryable: true},
		{name: "deleted", inv: replies(Reply{}, record.ErrNotFound), code: record.CodeFunctionNotFound},
		{name: "panic in process", inv: InProcess(func(context.Context, []byte) ([]byte, error) { panic("customer secret") }), code: record.CodeFunctionError, retryable: true},
		{name: "answer over the limit in process", code: record.CodeFunctionError, retryable: true,
			inv: InProcess(func(context.Context, []byte) ([]byte, error) { return make([]byte, MaxPayloadBytes+1), nil })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Call(context.Background(), tt.inv, CallInput{Records: []Record{{ID: "a", Data: []byte("x")}}}, nil)
			var e *record.CallError
			if !errors.As(err, &e) || e.Code != tt.code || e.Retryable != tt.retryable || e.Message == "" {
				t.Fatalf("Call: got %#v, want code %s, retryable %v", err, tt.code, tt.retryable)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("Call: error contains the function's message: %v", err)
			}
		})
	}
	if _, err := Call(gone, replies(Reply{}, io.EOF), CallInput{Records: []Record{{ID: "a"}}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Call with an ended context: got %v, want context.Canceled", err)
	}
}

func TestCallRoundTrip(t *testing.T) {
	h := NewHandler(marker{})
	in := CallInput{StreamARN: "arn:x", Region: "us-east-1", Records: []Record{
		{ID: "1", Arrived: 1495072949453, Data: []byte("one")}, {ID: `2"`, Data: []byte("bad")}, {ID: "3", Data: nil},
	}}
	want := []record.Result{{Status: record.OK, Data: []byte("<one>\n")}, failed(record.CodeProcessingFailed, record.MessageProcessingFailed), {Status: record.OK, Data: []byte("<>\n")}}
	got, err := Call(context.Background(), InProcess(h.Invoke), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Call (-want +got):\n%s", diff)
	}
	if got, err := Call(context.Background(), replies(Reply{}, io.EOF), CallInput{}, nil); err != nil || got != nil {
		t.Errorf("Call without records: got %v, %v, want no results and no call", got, err)
	}
}

// The parts of a large batch are separate calls; a permanent failure affects only the records of its part.
func TestTransformFailsOnlyTheFailedPart(t *testing.T) {
	const streamARN = "arn:aws:firehose:eu-west-1:000000000000:deliverystream/s"
	large := make([]byte, MaxBufferBytes)
	marks := NewHandler(marker{})
	calls := 0
	inv := InvokerFunc(func(_ context.Context, payload []byte) (Reply, error) {
		if !strings.Contains(string(payload[:300]), `"deliveryStreamArn":"`+streamARN+`","region":"eu-west-1"`) {
			t.Errorf("event begins with %.300s", payload)
		}
		if calls++; calls == 2 {
			return Reply{}, record.ErrNotFound
		}
		out, err := marks.Append(nil, payload)
		return Reply{Payload: out}, err
	})
	call := record.Call{
		StreamARN: streamARN, ID: func(i int) string { return fmt.Sprint(i) }, Arrived: func(int) time.Time { return time.UnixMilli(1) },
	}
	got, err := Transform(context.Background(), inv, call, record.Batch{Records: [][]byte{large, large, []byte("c")}}, make([]record.Result, 9))
	if err != nil || len(got) != 3 || calls != 3 {
		t.Fatalf("Transform: %d results of %d calls, %v, want 3 of 3", len(got), calls, err)
	}
	if got[0].Status != record.OK || got[1].Status != record.Failed || got[1].Code != record.CodeFunctionNotFound || string(got[2].Data) != "<c>\n" {
		t.Errorf("results: %v, %v %s, %v %q, want ok, failed, ok", got[0].Status, got[1].Status, got[1].Code, got[2].Status, got[2].Data)
	}
	calls = 0
	busy := InvokerFunc(func(context.Context, []byte) (Reply, error) { calls++; return Reply{}, ErrThrottled })
	var failed *record.CallError
	if _, err := Transform(context.Background(), busy, call, record.Batch{Records: [][]byte{large, large}}, nil); !errors.As(err, &failed) || !failed.Retryable || calls != 1 {
		t.Errorf("Transform with a throttled function: %v after %d calls, want a retryable error after 1", err, calls)
	}
}

func TestCallTimesOutAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		hang := InvokerFunc(func(ctx context.Context, _ []byte) (Reply, error) {
			<-ctx.Done()
			return Reply{}, ctx.Err()
		})
		_, err := Call(context.Background(), hang, CallInput{Records: []Record{{ID: "a"}}}, nil)
		var e *record.CallError
		if !errors.As(err, &e) || e.Code != record.CodeTimedOut || !e.Retryable || time.Since(start) != 5*time.Minute {
			t.Errorf("Call: got %v after %v, want %s after 5 minutes", err, time.Since(start), record.CodeTimedOut)
		}
	})
}

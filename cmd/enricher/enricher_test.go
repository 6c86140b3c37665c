package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/function"
	"github.com/stagelog/stagelog/internal/record"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func lookup(env map[string]string) environ { return func(name string) string { return env[name] } }

// line returns a record in the classic format.
func line(keyID string) string {
	return fmt.Sprintf(`{"api_id":"shop","api_key":"abcdefghijklmnop","key_id":%q,"ip":"203.0.113.7","method":"GET","uri":"/x","response_size":"12",`+
		`"response_status":"200","resource_id":"r","request_id":"q","request_latency":"3","request_time":"22/Nov/2026:10:21:33 +0000","stage":"prod"}`, keyID)
}

func event(records ...string) []byte {
	in := function.CallInput{StreamARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-x", Region: "us-east-1"}
	for i, r := range records {
		in.Records = append(in.Records, function.Record{ID: fmt.Sprintf("%056d", i), Data: []byte(r)})
	}
	return function.AppendEvent(nil, in)
}

// transform sends records through an invoker and returns each one's data or error code.
func transform(t testing.TB, inv function.Invoker, records ...string) []string {
	t.Helper()
	in := function.CallInput{StreamARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-x", Region: "us-east-1"}
	for i, r := range records {
		in.Records = append(in.Records, function.Record{ID: fmt.Sprintf("%056d", i), Data: []byte(r)})
	}
	outcomes, err := function.Call(context.Background(), inv, in, nil)
	if err != nil {
		t.Fatalf("Call: %v", err)
	}
	out := make([]string, len(outcomes))
	for i, o := range outcomes {
		if out[i] = string(o.Data); o.Status != record.OK {
			out[i] = string(o.Code)
		}
	}
	return out
}

func TestNewKeyIsFoundInSameInvocation(t *testing.T) {
	f := newFakeAWS(t, 2, 3)
	e, err := newEnricher(lookup(f.environment()), discard())
	if err != nil {
		t.Fatal(err)
	}
	e.warmUp(context.Background())
	inv := function.InProcess(e.Invoke)
	if got := transform(t, inv, line("plan01-key0002")); !strings.Contains(got[0], `"usage_plan":"Plan 1","customer":"Customer plan01-key0002"`) {
		t.Fatalf("known key: got %s", got[0])
	}
	f.mu.Lock()
	f.extra = append(f.extra, "late1")
	f.mu.Unlock()
	got := transform(t, inv, line("late1"), line("plan00-key0001"))
	if !strings.Contains(got[0], `"usage_plan":"Plan 0","customer":"Late late1"`) {
		t.Errorf("key created after the start: got %s", got[0])
	}
	if !strings.Contains(got[1], `"customer":"Customer plan00-key0001"`) {
		t.Errorf("other record of the batch: got %s", got[1])
	}
}

func TestMissingIndexFailsBatch(t *testing.T) {
	f := newFakeAWS(t, 1, 1)
	f.broken.Store(true)
	e, err := newEnricher(lookup(f.environment()), discard())
	if err != nil {
		t.Fatal(err)
	}
	e.warmUp(context.Background())
	if _, err := e.Invoke(context.Background(), event(line("plan00-key0000"))); !errors.Is(err, errNotReady) {
		t.Errorf("Invoke with unreadable keys: got %v, want %v", err, errNotReady)
	}
	if out, err := e.Invoke(context.Background(), event(line("-"))); err != nil || !bytes.Contains(out, []byte(`"result":"Ok"`)) {
		t.Errorf("Invoke with a record without a key: got %s, %v, want Ok", out, err)
	}
}

func TestStaleIndexIsUsed(t *testing.T) {
	f := newFakeAWS(t, 1, 2)
	e, err := newEnricher(lookup(f.environment("STAGELOG_REFRESH", "1ns")), discard())
	if err != nil {
		t.Fatal(err)
	}
	e.warmUp(context.Background())
	f.broken.Store(true)
	if got := transform(t, function.InProcess(e.Invoke), line("plan00-key0001")); !strings.Contains(got[0], `"customer":"Customer plan00-key0001"`) {
		t.Errorf("known key while API Gateway fails: got %s", got[0])
	}
}

func TestSnapshotAvoidsAPICalls(t *testing.T) {
	f := newFakeAWS(t, 3, 5)
	env := f.environment("STAGELOG_SNAPSHOT", "s3://bucket/stagelog/snapshot")
	for i := range 2 {
		before := f.calls.Load()
		e, err := newEnricher(lookup(env), discard())
		if err != nil {
			t.Fatal(err)
		}
		e.warmUp(context.Background())
		if got := transform(t, function.InProcess(e.Invoke), line("plan02-key0004")); !strings.Contains(got[0], `"customer":"Customer plan02-key0004"`) {
			t.Errorf("start %d: got %s", i, got[0])
		}
		if calls := f.calls.Load() - before; i == 1 && calls != 1 {
			t.Errorf("second start made %d calls, want 1 for the shared snapshot", calls)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.objects) != 1 || bytes.Contains(f.objects["stagelog/snapshot"], []byte("secret-")) {
		t.Errorf("shared snapshot is missing or contains key values")
	}
}

func TestConfiguration(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  []string
		want string // part of the error, "" for none
	}{
		{name: "defaults"},
		{name: "preset", env: []string{"STAGELOG_PRESET", "apiable"}},
		{name: "custom format", env: []string{"STAGELOG_FORMAT", `{"k":"$context.identity.apiKeyId","a":"$context.apiId","s":"$context.stage","id":"$context.requestId"}`}},
		{name: "fields instead of a format", env: []string{"STAGELOG_FORMAT", `{"id":"$context.requestId"}`, "STAGELOG_FIELD_KEY_ID", "k", "STAGELOG_FIELD_API_ID", "a", "STAGELOG_FIELD_STAGE", "s"}},
		{name: "hash", env: []string{"STAGELOG_API_KEY", "hash", "STAGELOG_HASH_SALT", "pepper"}},
		{name: "unknown preset", env: []string{"STAGELOG_PRESET", "apible"}, want: "STAGELOG_PRESET"},
		{name: "unknown format", env: []string{"STAGELOG_FORMAT", "clasic"}, want: "STAGELOG_FORMAT"},
		{name: "format without a key", env: []string{"STAGELOG_FORMAT", `{"id":"$context.requestId"}`}, want: "no field for the key"},
		{name: "unknown mode", env: []string{"STAGELOG_API_KEY", "masc"}, want: "masc"},
		{name: "hash without salt", env: []string{"STAGELOG_API_KEY", "hash"}, want: "salt"},
		{name: "invalid snapshot", env: []string{"STAGELOG_SNAPSHOT", "bucket/key"}, want: "s3://bucket/key"},
		{name: "invalid refresh", env: []string{"STAGELOG_REFRESH", "60"}, want: "STAGELOG_REFRESH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{"AWS_REGION": "eu-west-1"}
			for i := 0; i+1 < len(tt.env); i += 2 {
				env[tt.env[i]] = tt.env[i+1]
			}
			_, err := newEnricher(lookup(env), discard())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("newEnricher: got error %v, want one containing %q", err, tt.want)
			}
		})
	}
}

func TestHidesKeyInFieldsOfEnvironment(t *testing.T) {
	f := newFakeAWS(t, 1, 1)
	const attributed = `"usage_plan":"Plan 0","customer":"Customer plan00-key0000","usage_plan_id":"plan00"}` + "\n"
	const k, masked = "kJ8sWq2LmN4pR7tV9xZ1", "****************9xZ1"
	for _, tt := range []struct {
		env      []string
		in, want string
	}{
		{[]string{"STAGELOG_FORMAT", `{"o":{"k":"$context.identity.apiKey","i":"$context.identity.apiKeyId"},"l":["id=$context.identity.apiKey"],"a":"$context.apiId","s":"$context.stage"}`},
			`{"o":{"k":"` + k + `","i":"plan00-key0000"},"l":["id=` + k + `"],"a":"shop","s":"prod"}`,
			`{"o":{"k":"` + masked + `","i":"plan00-key0000"},"l":["id=` + masked + `"],"a":"shop","s":"prod",` + attributed},
		{[]string{"STAGELOG_FORMAT", `{"o":{"k":"$context.identity.apiKey","i":"$context.identity.apiKeyId"},"a":"$context.apiId","s":{"s":"$context.stage"}}`, "STAGELOG_FIELD_API_ID", "other"},
			`{"o":{"k":"` + k + `","i":"plan00-key0000"},"other":"shop","s":{"s":"prod"}}`,
			`{"o":{"k":"` + masked + `","i":"plan00-key0000"},"other":"shop","s":{"s":"prod"},` + attributed},
		// A function that an earlier version deployed keeps its environment until the next deployment.
		{[]string{"STAGELOG_FORMAT", "usage", "STAGELOG_FIELD_KEY_ID", "i", "STAGELOG_FIELD_API_ID", "a", "STAGELOG_FIELD_STAGE", "s", "STAGELOG_FIELD_API_KEY", "k"},
			`{"i":"plan00-key0000","a":"shop","s":"prod","k":"` + k + `"}`, `{"i":"plan00-key0000","a":"shop","s":"prod","k":"` + masked + `",` + attributed},
	} {
		e, err := newEnricher(lookup(f.environment(tt.env...)), discard())
		if err != nil {
			t.Fatal(err)
		}
		if got := transform(t, function.InProcess(e.Invoke), tt.in); got[0] != tt.want {
			t.Errorf("with %v:\ngot  %swant %s", tt.env, got[0], tt.want)
		}
	}
}

func TestOutputNames(t *testing.T) {
	f := newFakeAWS(t, 1, 1)
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{nil, `"usage_plan":"Plan 0","customer":"Customer plan00-key0000","usage_plan_id":"plan00"}`},
		{[]string{"STAGELOG_CUSTOMER", "who", "STAGELOG_USAGE_PLAN_ID", "-"}, `"usage_plan":"Plan 0","who":"Customer plan00-key0000"}`},
		{[]string{"STAGELOG_PRESET", "apiable", "STAGELOG_FORMAT", "classic"}, `"plan_id":"Plan 0","subscription_id":"Customer plan00-key0000"}`},
	} {
		e, err := newEnricher(lookup(f.environment(tt.env...)), discard())
		if err != nil {
			t.Fatal(err)
		}
		if got := transform(t, function.InProcess(e.Invoke), line("plan00-key0000")); !strings.HasSuffix(got[0], tt.want+"\n") {
			t.Errorf("with %v: got %s, want suffix %s", tt.env, got[0], tt.want)
		}
	}
}

func TestWrappedLinesAreEnriched(t *testing.T) {
	f := newFakeAWS(t, 1, 2)
	var logs bytes.Buffer
	e, err := newEnricher(lookup(f.environment("AWS_LAMBDA_FUNCTION_NAME", "stagelog-acme")), slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	e.warmUp(context.Background())
	bare := line("plan00-key0001")
	quoted := strconv.Quote(bare)
	enriched := strings.Replace(strings.TrimSuffix(bare, "}"), "abcdefghijklmnop", "************mnop", 1) +
		`,"usage_plan":"Plan 0","customer":"Customer plan00-key0001","usage_plan_id":"plan00"}` + "\n"
	zipped := func(text string) string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return out.String()
	}
	out, err := e.Invoke(context.Background(), event(
		zipped(`{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[`+
			`{"id":"1","timestamp":1795854600000,"message":`+quoted+`},{"id":"2","timestamp":1795854600001,"message":"abcdefghijklmnop"},`+
			`{"id":"3","timestamp":1795854600002,"message":`+quoted+`}]}`),
		zipped(`{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logEvents":[{"id":"","timestamp":1510254469274,"message":"check"}]}`),
		`{"log":`+quoted+`}`, `{"log":"abcdefghijklmnop"}`, zipped(strings.Repeat(" ", 10<<20)), bare))
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Records []struct {
			Result string
			Data   []byte
		}
	}
	if err := json.Unmarshal(out, &reply); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range reply.Records {
		if r.Result != "Ok" {
			r.Data = nil
		}
		got = append(got, r.Result+" "+string(r.Data))
	}
	want := []string{
		"Ok " + enriched + `{"unreadable_log_event":{"id":"2","timestamp":1795854600001,"log_group":"g","log_stream":"s"}}` + "\n" + enriched,
		"Dropped ", "Ok " + enriched, "ProcessingFailed ", "ProcessingFailed ", "Ok " + enriched,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Invoke (-want +got):\n%s", diff)
	}
	for _, reason := range []string{
		`reason="the record wraps text that is not an access log line, in which an API key cannot be hidden" records=1 FunctionName=stagelog-acme FailedRecords=1 _aws=`,
		`reason="the record is too large when it is decompressed" records=1`,
	} {
		if !strings.Contains(logs.String(), `msg="records failed" `+reason) {
			t.Errorf("no line with %s in the log:\n%s", reason, logs.String())
		}
	}
	if strings.Contains(logs.String(), "abcdefgh") {
		t.Errorf("the log contains an API key:\n%s", logs.String())
	}
}

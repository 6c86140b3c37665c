package doctor

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/accesslog"
)

func TestFixedFormatHasNoFindings(t *testing.T) {
	for _, format := range []string{accesslog.Seed(), accesslog.Classic, accesslog.Apiable, accesslog.Usage, accesslog.Full,
		`{"k":"$context.identity.apiKey"}`, `{"id":"$context.requestId", "k": "$context.identity.apiKey" }`, `{"k":"$context.identity.apiKey","id":"$context.requestId",}`,
		`{"id":"$context.requestId","identity":{"id":"$context.identity.apiKeyId","apiKey":"$context.identity.apiKey"},"k":"$context.identity.apiKey","http":{"status":$context.status}}`} {
		got := fixedFormat(format)
		for _, f := range accesslog.Lint(got) {
			if f.Severity > accesslog.Info {
				t.Errorf("fixedFormat(%s) = %s, Lint reports %s", format, got, f)
			}
		}
		if again := fixedFormat(got); again != got {
			t.Errorf("fixedFormat twice: got %s, then %s", got, again)
		}
	}
}

func TestCustomerFieldsAreFoundAtAnyDepth(t *testing.T) {
	const format = `{"auth":{"plan":"$context.authorizer.plan_id","error":"$context.authorizer.error"},"l":["$context.authorizer.customer"]}`
	if got := customerFields(format); !slices.Equal(got, []string{"auth.plan", "l.[0]"}) {
		t.Errorf("customerFields = %q", got)
	}
}

func TestPosition(t *testing.T) {
	for _, tc := range []struct {
		text         string
		offset       int
		line, column int
	}{
		{"{}", 0, 1, 1}, {"“a”b", 7, 1, 4}, {"{\n  x", 4, 2, 3}, {"{", 9, 1, 2},
	} {
		if line, column := position(tc.text, tc.offset); line != tc.line || column != tc.column {
			t.Errorf("position(%q, %d) = %d, %d, want %d, %d", tc.text, tc.offset, line, column, tc.line, tc.column)
		}
	}
}

func TestCommandsAreSafeToPaste(t *testing.T) {
	for _, tc := range []struct{ arg, want string }{
		{"acme-api-logs", "aws acme-api-logs"}, {"", "aws ''"}, {"a b", "aws 'a b'"}, {"it's $(rm)", `aws 'it'\''s $(rm)'`}, {"op=add,path=/a:b@c+d", "aws op=add,path=/a:b@c+d"}, {"$default", "aws '$default'"},
	} {
		if got := command(tc.arg); got != tc.want {
			t.Errorf("command(%q) = %s, want %s", tc.arg, got, tc.want)
		}
	}
}

func TestErrorLogsAreQuotedWithoutRecords(t *testing.T) {
	for _, tc := range []struct{ event, want string }{
		{`{"errorCode":"Lambda.FunctionError","message":"The function\nfailed."}`, "Lambda.FunctionError: The function failed."},
		{`{"rawData":"c2VjcmV0"}`, "an event without an error code"},
		{`api_key=secret`, "an event without an error code"},
	} {
		if got := firehoseError(tc.event); got != tc.want {
			t.Errorf("firehoseError(%s) = %q, want %q", tc.event, got, tc.want)
		}
	}
	for _, tc := range []struct{ line, want string }{
		{"2026-11-23 Task timed out after 3.00 seconds", "Task timed out after 3.00 seconds"},
		{"[ERROR] ValueError: malformed node: {'api_key': 'secret'}", "[ERROR] ValueError"},
		{`{"errorType":"Runtime.ImportModuleError","errorMessage":"secret"}`, `"errorType":"Runtime.ImportModuleError"`},
		{"all is well", ""},
	} {
		if got := lambdaErrors.FindString(tc.line); got != tc.want {
			t.Errorf("lambdaErrors in %q: got %q, want %q", tc.line, got, tc.want)
		}
	}
}

func TestRecordIsFoundAmongOthersOnLine(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{`{"a":1}{"id":"m"}{"b":2}`, `{"id":"m"}`}, {`{"id":"m"}`, `{"id":"m"}`}, {`“id”:“m”`, `“id”:“m”`}, {`{"a":1}{"id":"m"`, `{"a":1}{"id":"m"`},
	} {
		if got := recordIn([]byte(tc.line), []byte("m")); string(got) != tc.want {
			t.Errorf("recordIn(%s) = %s, want %s", tc.line, got, tc.want)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	for _, body := range []string{
		"{}\n", "\x00\x00\x00\x04\x00\x00\x00\x06\x04\x0cabcd", "\x1f\x8b\x08\x00", "PK\x03\x04",
		"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02\x00", "PAR1PAR1",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text, err := unpack(body)
		if err == nil {
			w := &watch{m: &marked{id: Marker + "00"}}
			if found := w.find("key", text); found != nil && !bytes.Contains(text, []byte(Marker)) && found.failed == nil {
				t.Errorf("found a record in %q", text)
			}
		}
		firehoseError(string(body))
	})
}

func TestCorrectedPrefix(t *testing.T) {
	for _, tc := range []struct{ prefix, want string }{
		{"logs", "logs/"}, {"logs/", "logs/"}, {"", ""}, {"a/!{timestamp:YYYY/MM/DD}/", "a/!{timestamp:yyyy/MM/dd}/"},
	} {
		if got := correctedPrefix(tc.prefix); got != tc.want {
			t.Errorf("correctedPrefix(%q) = %q, want %q", tc.prefix, got, tc.want)
		}
	}
	if got := strings.Count(allowStatement([]string{"a"}, []string{"b&c"}), "b&c"); got != 1 {
		t.Errorf("allowStatement escapes &")
	}
}

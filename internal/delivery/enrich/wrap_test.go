package enrich_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
	"github.com/stagelog/stagelog/internal/record"
)

// zipped returns each text as a gzip member.
func zipped(texts ...string) string {
	var out bytes.Buffer
	for _, text := range texts {
		z := gzip.NewWriter(&out)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
	}
	return out.String()
}

// envelope returns what CloudWatch Logs sends for log events with these messages.
func envelope(messages ...string) string {
	var events []string
	for i, m := range messages {
		text, _ := json.Marshal(m)
		events = append(events, fmt.Sprintf(`{"id":"%d","timestamp":179585460000%d,"message":%s}`, i, i, text))
	}
	return `{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/api","logStream":"s/1","subscriptionFilters":["f"],"logEvents":[` +
		strings.Join(events, ",") + `]}`
}

// inJSON returns a text as the content of a JSON string.
func inJSON(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted[1 : len(quoted)-1])
}

const control = `{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],` +
	`"logEvents":[{"id":"","timestamp":1510254469274,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}`

func TestAppendUnwraps(t *testing.T) {
	const (
		line     = `{"key_id":"k1","api_id":"shop","stage":"prod","api_key":"` + apiKey + `"}`
		masked   = `{"key_id":"k1","api_id":"shop","stage":"prod","api_key":"****************9xZ1",` + acme + "}\n"
		wrapper  = `{"key_id":"k1","api_id":"shop","stage":"prod","api_key":"****************9xZ1",` + acme + `,"wrapper":`
		other    = `{"key_id":"k9","api_id":"shop","stage":"prod"}`
		otherOut = `{"key_id":"k9","api_id":"shop","stage":"prod",` + unknown + "}\n"
	)
	lost := func(n int) string {
		return fmt.Sprintf(`{"unreadable_log_event":{"id":"%d","timestamp":179585460000%d,"log_group":"/aws/api","log_stream":"s/1"}}`+"\n", n, n)
	}
	const (
		text   = "the record wraps text that is not an access log line, in which an API key cannot be hidden"
		events = "no log event in the record is a JSON object"
		none   = "the record holds no request"
	)
	for _, tt := range []struct{ name, in, want, err string }{
		{name: "envelope", in: zipped(envelope(line, other)), want: masked + otherOut},
		{name: "envelope, decompressed", in: envelope(line, other), want: masked + otherOut},
		{name: "envelopes in gzip members", in: zipped(envelope(line), envelope(other)), want: masked + otherOut},
		{name: "envelopes one after the other", in: envelope(line) + "\n" + envelope(other) + control, want: masked + otherOut},
		{name: "envelope with other order", in: `{"logEvents":[{"message":"` + inJSON(other) + `"}],"messageType":"DATA_MESSAGE"}`, want: otherOut},
		{name: "envelope and a bare line", in: envelope(line) + other, want: masked + otherOut},
		{name: "only messages", in: line + "\n" + other, want: masked + otherOut},
		{name: "compressed lines", in: zipped(line + "\n" + other), want: masked + otherOut},
		{name: "event with several lines", in: envelope(line + "\n" + other), want: masked + otherOut},
		{name: "event in curly quotes", in: envelope(`{“key_id”:“k9”,“api_id”:“shop”,“stage”:“prod”}`), want: otherOut},
		{name: "event of a log router", in: envelope(`{"log":"` + inJSON(line) + `","stream":"stdout"}`), want: wrapper + `{"stream":"stdout"}}` + "\n"},
		{name: "event with other JSON", in: envelope(`{"level":"info"}`), want: `{"level":"info",` + unknown + "}\n"},
		{name: "control message", in: zipped(control), err: none},
		{name: "control messages", in: control + control, err: none},
		{name: "envelope without events", in: zipped(envelope()), err: none},

		{name: "good and bad events", in: zipped(envelope("key="+apiKey, line, line[:70], `{"message":"key=`+apiKey+`"}`)), want: lost(0) + masked + lost(2) + lost(3)},
		{name: "events without messages", in: `{"messageType":"DATA_MESSAGE","logEvents":[null,{"id":"\"1"},{"message":"` + inJSON(other) + `"}]}`,
			want: `{"unreadable_log_event":{"id":"","timestamp":0,"log_group":"","log_stream":""}}` + "\n" +
				`{"unreadable_log_event":{"id":"\"1","timestamp":0,"log_group":"","log_stream":""}}` + "\n" + otherOut},
		{name: "only bad events", in: zipped(envelope("key="+apiKey, "x")), err: events},
		{name: "envelope in an event", in: envelope(envelope(line)), err: events},
		{name: "damaged gzip", in: zipped(envelope(line))[:40], err: "the record is damaged gzip data"},
		{name: "truncated envelope", in: envelope(line)[:200], err: "the record is not valid JSON: it ends too early"},

		{name: "message", in: `{"message":"` + inJSON(line) + `"}`, want: wrapper[:len(wrapper)-len(`,"wrapper":`)] + "}\n"},
		{name: "message with a newline", in: `{"message":"` + inJSON(line+"\n") + `"}` + "\n", want: masked},
		{name: "log with other members", in: `{"time":"2026-11-28T08:30:00Z", "log":"` + inJSON(line) + `","kubernetes":{"pod":` + "\n" + `"p"}}`,
			want: wrapper + `{"time":"2026-11-28T08:30:00Z","kubernetes":{"pod": "p"}}}` + "\n"},
		{name: "@message", in: `{"@timestamp":"2026-11-28 08:30:00.000","@message":"` + inJSON(other) + `"}`,
			want: strings.TrimSuffix(otherOut, "}\n") + `,"wrapper":{"@timestamp":"2026-11-28 08:30:00.000"}}` + "\n"},
		{name: "message as an object", in: `{"message":` + line + `,"host":"h"}`, want: wrapper + `{"host":"h"}}` + "\n"},
		{name: "log in a message", in: `{"host":"h","a":1,"message":"` + inJSON(`{"log":"`+inJSON(line)+`","host":"i"}`) + `"}`, want: wrapper + `{"a":1,"host":"i"}}` + "\n"},
		{name: "message beside a log", in: `{"message":"started","log":"` + inJSON(line) + `"}`, want: wrapper + `{"message":"started"}}` + "\n"},
		{name: "several wrapped lines", in: `{"log":"` + inJSON(line) + `"}` + "\n" + `{"log":"` + inJSON(other) + `"}`, want: masked + otherOut},
		{name: "copies of the line", in: `{"message":"` + inJSON(line) + `","event":{"original":"` + inJSON(line) + `"},"x":"` + apiKey + `","y":"\u006b` + apiKey[1:] + `","api_key":"k","z":1}`,
			want: wrapper + `{"z":1}}` + "\n"},
		{name: "message with other JSON", in: `{"message":"{\"level\":\"info\"}"}`, want: `{"message":"{\"level\":\"info\"}",` + unknown + "}\n"},
		{name: "no text", in: `{"message":null,"log":"-","@message":""}`, want: `{"message":null,"log":"-","@message":"",` + unknown + "}\n"},
		{name: "message of a bare line", in: `{"key_id":"k9","message":"` + inJSON(`{"key_id":"k1"}`) + `"}`, want: `{"key_id":"k9","message":"` + inJSON(`{"key_id":"k1"}`) + `",` + unknown + "}\n"},
		{name: "text", in: `{"message":"key=` + apiKey + `"}`, err: text},
		{name: "truncated line", in: `{"log":"` + inJSON(line[:70]) + `"}`, err: text},
		{name: "too many wrappers", in: `{"log":"` + inJSON(`{"log":"`+inJSON(`{"log":"`+inJSON(`{"log":"`+inJSON(line)+`"}`)+`"}`)+`"}`) + `"}`, err: text},

		{name: "export task", in: "2026-11-28T08:30:00.000Z " + line + "\n", want: wrapper + `{"timestamp":"2026-11-28T08:30:00.000Z"}}` + "\n"},
		{name: "export task with several lines", in: "2026-11-28T08:30:00.000Z " + other + "\n2026-11-28T08:30:00.001Z " + line,
			want: strings.TrimSuffix(otherOut, "}\n") + `,"wrapper":{"timestamp":"2026-11-28T08:30:00.000Z"}}` + "\n" + wrapper + `{"timestamp":"2026-11-28T08:30:00.001Z"}}` + "\n"},
		{name: "export task with text", in: "2026-11-28T08:30:00.000Z key=" + apiKey, err: "the record is not valid JSON"},
		{name: "only a time", in: "2026-11-28T08:30:00.000Z ", err: "the record is not valid JSON: it ends too early"},
		{name: "not a time", in: "2026-11-28T08:30:00.000X " + line, err: "the record is not a JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newEnricher(t, nil).Append([]byte("before|"), []byte(tt.in))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || string(got) != "before|" || errors.Is(err, record.ErrDropped) != (tt.err == none) {
					t.Fatalf("Append(%s) = %s, %v, want error %s", tt.in, got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Append(%s): %v", tt.in, err)
			}
			if diff := cmp.Diff("before|"+tt.want, string(got)); diff != "" {
				t.Errorf("Append(%s): -want +got\n%s", tt.in, diff)
			}
		})
	}
}

// TestWrappersHideKeys checks that no form of a wrapper lets an API key through, and that `keep` does.
func TestWrappersHideKeys(t *testing.T) {
	format := accesslog.Parse(expand(`{"id":"$I","api":"$A","st":"$S","identity":{"key":"$K"},"who":"key=$K;","l":["$K"]}`))
	line := strings.ReplaceAll(`{"id":"k1","api":"shop","st":"prod","identity":{"key":"KEY"},"who":"key=KEY;","l":["KEY"]}`, "KEY", apiKey)
	escaped := strings.ReplaceAll(line, "k", `\u006b`)
	log := func(text string) string {
		return `{"log":"` + inJSON(text) + `","copy":"` + inJSON(text) + `","o":{"a":["` + inJSON(inJSON(text)) + `"]}}`
	}
	for _, rec := range []string{
		line, escaped, envelope(line, escaped), zipped(envelope(line, "text key="+apiKey, line[:len(line)-1])), envelope(log(line), log("text "+apiKey), line+"x"),
		log(line), log(log(line)), log("text " + apiKey), log(line[:len(line)-1]), log(escaped), `{"message":` + line + `,"identity":{"key":"` + apiKey + `"}}`,
		"2026-11-28T08:30:00.000Z " + line, "2026-11-28T08:30:00.000Z " + log(line), "2026-11-28T08:30:00.000Z text " + apiKey,
		strings.Replace(log(line), `"log"`, `"@message"`, 1), `{"message":"` + inJSON(`"`+inJSON(line)+`"`) + `"}`, `{"message":"` + inJSON("["+line+"]") + `"}`,
	} {
		for _, mode := range []enrich.APIKeyMode{enrich.Mask, enrich.Hash, enrich.Drop, enrich.Keep} {
			e := newEnricher(t, func(c *enrich.Config) { c.Format, c.APIKey, c.HashSalt = format, mode, []byte("salt") })
			out, err := e.Append(nil, []byte(rec))
			leaks := bytes.Contains(out, []byte(apiKey)) || bytes.Contains(out, []byte(apiKey[1:]))
			if leaks && mode != enrich.Keep {
				t.Errorf("%s: %s became %s", mode, rec, out)
			}
			if mode == enrich.Keep && err == nil && !leaks {
				t.Errorf("keep: %s became %s, without the key", rec, out)
			}
		}
	}
}

// TestFormatMembersAreNoWrappers checks that lines are recognised by the fields of their format, whatever it names `message`.
func TestFormatMembersAreNoWrappers(t *testing.T) {
	for _, tt := range []struct{ format, in, want string }{
		{`{"keyId":"$I","api":"$A","stage":"$S","message":"$context.error.message"}`, `{"keyId":"-","api":"shop","stage":"prod","message":"Forbidden"}`, ""},
		{`{"o":{"i":"$I"},"log":"$context.path"}`, `{"o":{"i":"-"},"log":"/x"}`, ""},
		{`{"st":"$S","message":"$context.path"}`, `{"st":"prod","message":"{\"st\":\"x\"}"}`, ""},
		{`{"o":{"i":"$I"}}`, `{"log":"{\"o\":{\"i\":\"k9\"}}"}`, `{"o":{"i":"k9"}}`},
	} {
		e := newEnricher(t, func(c *enrich.Config) {
			c.Format, c.UsagePlan, c.Customer, c.UsagePlanID = accesslog.Parse(expand(tt.format)), "", "", ""
		})
		if tt.want == "" {
			tt.want = tt.in
		}
		if got, err := e.Append(nil, []byte(tt.in)); err != nil || string(got) != tt.want+"\n" {
			t.Errorf("Append(%s) = %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestWrappedBytesAreLimited(t *testing.T) {
	line := `{"key_id":"k1","api_id":"shop","stage":"prod","a":"` + strings.Repeat("x", 1000) + `"}`
	lines := func(n int) []string { return strings.Split(strings.Repeat(line+"\n", n-1)+line, "\n") }
	const large = "the record is too large when it is decompressed"
	for _, tt := range []struct{ name, in, err string }{
		{"many events", zipped(envelope(lines(5000)...)), ""},
		{"too many events", zipped(envelope(lines(9000)...)), large},
		{"gzip bomb", zipped(strings.Repeat(" ", 9<<20)), large},
		{"lines that grow", zipped(strings.Repeat("{}", 500_000)), large},
		{"unreadable events", zipped(`{"messageType":"DATA_MESSAGE","logGroup":"` + strings.Repeat("g", 500) + `","logEvents":[{}` + strings.Repeat(",{}", 300_000) + "]}"), large},
		{"members beside many lines", zipped(`{"log":"` + inJSON(strings.Repeat(line, 1000)) + `","a":"` + strings.Repeat("x", 1<<20) + `"}`), large},
	} {
		e := newEnricher(t, nil)
		out, err := e.Append(nil, []byte(tt.in))
		if tt.err == "" && (err != nil || bytes.Count(out, []byte("\n")) != 5000) || tt.err != "" && (err == nil || err.Error() != tt.err || len(out) > 0) {
			t.Errorf("%s: %d bytes, %v, want error %q", tt.name, len(out), err, tt.err)
		}
	}
}

func TestTransformDropsControlMessages(t *testing.T) {
	var scratch []byte
	const line = `{"key_id":"k9"}`
	got := newEnricher(t, nil).Transform(record.Batch{Records: [][]byte{[]byte(control), []byte(line), []byte("text"), []byte(zipped(envelope(line, line)))}}, &scratch, nil)
	want := []record.Result{{Status: record.Dropped}, {Data: []byte(`{"key_id":"k9",` + unknown + "}\n")}, {Status: record.Failed, Code: record.CodeProcessingFailed,
		Message: "ProcessingFailed status set for record: the record is not valid JSON"},
		{Data: []byte(strings.Repeat(`{"key_id":"k9",`+unknown+"}\n", 2))}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Transform (-want +got):\n%s", diff)
	}
}

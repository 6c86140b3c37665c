package cwlogs

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/encoding/jsonscan"
)

func zipped(t testing.TB, texts ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, text := range texts {
		z := gzip.NewWriter(&out)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// event is an Event that can be kept.
type event struct {
	ID        string
	Timestamp int64
	Message   string
	None      bool // has no message
}

func eventsOf(e Envelope) (all []event) {
	var d Decoder
	d.Events(e, func(ev Event) {
		all = append(all, event{string(ev.ID), ev.Timestamp, string(ev.Message), ev.Message == nil})
	})
	return all
}

func TestParseFindsEnvelopes(t *testing.T) {
	const head = `{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/api","logStream":"s/1","subscriptionFilters":["f"],"logEvents":`
	for _, tt := range []struct {
		name, in string
		want     []event
		none     bool // not an envelope
	}{
		{name: "events", in: head + `[{"id":"1","timestamp":1795854600000,"message":"{\"a\":1}"},{"id":"2","timestamp":1795854600001,"message":"x"}]}`,
			want: []event{{"1", 1795854600000, `{"a":1}`, false}, {"2", 1795854600001, "x", false}}},
		{name: "no events", in: head + `[]}`},
		{name: "other order and spaces", in: ` { "logEvents" : [ { "message" : "\u00e9" , "extractedFields":{"message":"no"}, "id" : "\u0031" } ] , "messageType" : "DATA_MESSAGE" } `[1:],
			want: []event{{"1", 0, "é", false}}},
		{name: "control message", in: `{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],` +
			`"logEvents":[{"id":"","timestamp":1510254469274,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}`},
		{name: "faulty events", in: head + `[null,7,"x",{},{"id":5,"timestamp":"1","message":null},{"id":"6","timestamp":1.5,"message":""}]}`,
			want: []event{{None: true}, {None: true}, {None: true}, {None: true}, {None: true}, {ID: "6"}}},
		{name: "other type", in: `{"messageType":"OTHER","logEvents":[]}`, none: true},
		{name: "type is no string", in: `{"messageType":["DATA_MESSAGE"],"logEvents":[]}`, none: true},
		{name: "no list of events", in: `{"messageType":"DATA_MESSAGE","logEvents":{"message":"x"}}`, none: true},
		{name: "an access log line", in: `{"requestId":"1","status":"200"}`, none: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, ok, next, bad := Parse([]byte(tt.in), 0)
			if bad != nil || ok == tt.none || next != len(strings.TrimSpace(tt.in)) {
				t.Fatalf("Parse: ok %v, next %d of %d, %v", ok, next, len(tt.in), bad)
			}
			if !ok {
				return
			}
			if diff := cmp.Diff(tt.want, eventsOf(e)); diff != "" {
				t.Errorf("Events (-want +got):\n%s", diff)
			}
			if want := strings.Contains(tt.in, "CONTROL"); e.Control != want {
				t.Errorf("Control = %v, want %v", e.Control, want)
			}
		})
	}
}

func TestParseReturnsOriginAndEnd(t *testing.T) {
	two := `{"messageType":"DATA_MESSAGE","logGroup":"g","logStream":"s","logEvents":[]}`
	e, ok, next, bad := Parse([]byte(two+two), 0)
	if !ok || bad != nil || next != len(two) || string(e.LogGroup) != "g" || string(e.LogStream) != "s" {
		t.Errorf("Parse: %q, %q, ok %v, next %d, %v", e.LogGroup, e.LogStream, ok, next, bad)
	}
	for _, in := range []string{``, `x`, `[]`, two[:len(two)-1], `{"messageType":"DATA_MESSAGE","logEvents":[{"message":"\x"}]}`} {
		if _, ok, _, bad := Parse([]byte(in), 0); ok || bad == nil {
			t.Errorf("Parse(%s): ok %v, %v; want a fault", in, ok, bad)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	bomb := zipped(t, strings.Repeat("0", 10<<20))
	two := zipped(t, "one", "two")
	for _, tt := range []struct {
		name string
		in   []byte
		max  int
		want string
		bad  *jsonscan.Bad
	}{
		{"several members", two, 100, "-onetwo", nil},
		{"as large as allowed", two, 6, "-onetwo", nil},
		{"one byte too large", two, 5, "-", BadSize},
		{"bomb", bomb, 1 << 20, "-", BadSize},
		{"truncated", two[:len(two)-1], 100, "-", BadGzip},
		{"damaged checksum", append(bytes.Clone(two[:len(two)-8]), 1, 2, 3, 4, 5, 6, 7, 8), 100, "-", BadGzip},
		{"text follows", append(bytes.Clone(two), "text"...), 100, "-", BadGzip},
		{"only the magic", two[:3], 100, "-", BadGzip},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			for range 2 { // the decoder is reused
				got, bad := d.Expand([]byte("-"), tt.in, tt.max)
				if string(got) != tt.want || bad != tt.bad {
					t.Errorf("Expand = %d bytes, %v; want %q, %v", len(got), bad, tt.want, tt.bad)
				}
			}
		})
	}
}

// FuzzParse compares the events with those that encoding/json finds.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"messageType":"DATA_MESSAGE","logGroup":"g","logStream":"s","logEvents":[{"id":"1","timestamp":17,"message":"{\"a\":\"\\u00e9\"}\n"}]}`))
	f.Add([]byte(`{"logEvents":[{},null,{"message":"x","message":""}],"messageType":"CONTROL_MESSAGE"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, ok, next, bad := Parse(in, 0)
		if bad != nil || !ok {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(in[:next], &want); err != nil {
			t.Fatalf("encoding/json rejects what Parse accepts: %v", err)
		}
		if bytes.ContainsRune(in, '\\') {
			return // Parse does not decode names
		}
		events := want["logEvents"].([]any)
		if e.Control {
			events = nil
		}
		got := eventsOf(e)
		if len(got) != len(events) {
			t.Fatalf("%d events, want %d", len(got), len(events))
		}
		for i, v := range events {
			members, _ := v.(map[string]any)
			message, has := members["message"].(string)
			if got[i].Message != message || got[i].None == has {
				t.Errorf("event %d: %+v, want message %q", i, got[i], message)
			}
		}
	})
}

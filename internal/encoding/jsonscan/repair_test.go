package jsonscan

import (
	"encoding/json"
	"testing"
)

// Each fault is corrected where only one correction is possible.
func TestRepairCorrectsFaults(t *testing.T) {
	for _, tt := range []struct{ name, in, want, cause string }{
		{"raw tab and controls", "{\"ua\":\"a\tb\x01\x7f\"}", "{\"ua\":\"a\\u0009b\\u0001\x7f\"}", CauseControl},
		{"Latin-1", "{\"ua\":\"M\xfcller\"}", "{\"ua\":\"M\uFFFDller\"}", CauseUTF8},
		{"a character that was cut", "{\"ua\":\"M\xc3\"}", "{\"ua\":\"M\uFFFD\"}", CauseUTF8},
		{"JavaScript's escape", `{"ua":"M\xFAller\x22\x5c\x0a"}`, `{"ua":"Múller\"\\\u000a"}`, CauseEscape},
		{"a server's escapes of UTF-8", `{"ua":"M\xC3\xBCller \xF0\x9F\x98\x80"}`, `{"ua":"Müller 😀"}`, CauseEscape},
		{"an escaped apostrophe", `{"ua":"O\'Hara"}`, `{"ua":"O'Hara"}`, CauseEscape},
		{"other escapes", `{"ua":"C:\Program \u12","b":"\x4"}`, `{"ua":"C:\\Program \\u12","b":"\\x4"}`, CauseEscape},
		{"a bare dash", `{"bytes":-,"a":{"b": - },"c":[-]}`, `{"bytes":"-","a":{"b": "-"},"c":["-"]}`, CauseUnquoted},
		{"values without quotes", `{"ip":192.0.2.1,"method":GET,"at":10/Jul/2024:18:14:22 +0000,"n":12,"x":true}`,
			`{"ip":"192.0.2.1","method":"GET","at":"10/Jul/2024:18:14:22 +0000","n":12,"x":true}`, CauseUnquoted},
		{"missing values", `{"a":,"b":}`, `{"a":null,"b":null}`, CauseUnquoted},
		{"JSON text", `{"claims":"{"a":1,"b":["c\n"]}","d":"[]"}`, `{"claims":"{\"a\":1,\"b\":[\"c\\n\"]}","d":"[]"}`, CauseText},
		{"an error's message", `{"error":""Forbidden"","x":"","y":"-"}`, `{"error":"Forbidden","x":"","y":"-"}`, CauseMessageString},
		{"an error's message with quotes", `{"error":""no \"x\""" }`, `{"error":"no \"x\"" }`, CauseMessageString},
		{"quotes in a value", `{"ua":"a "b" c","x":"1"}`, `{"ua":"a \"b\" c","x":"1"}`, CauseQuote},
		{"a missing comma", `{"a":"1" "b":"" "c":{"d":1}"e":2}`, `{"a":"1" ,"b":"" ,"c":{"d":1},"e":2}`, CauseMissingComma},
		{"commas too many", `{"a":[1,2,],,"b":"1", }`, `{"a":[1,2 ],"b":"1"  }`, CauseExtraComma},
		{"curly quotes", `{“a”: “say "hi"”}`, `{"a": "say \"hi\""}`, CauseCurlyQuotes},
		{"single quotes", `{'a':'O'Hara','b':'"'}`, `{"a":"O'Hara","b":"\""}`, CauseSingleQuotes},
		{"a string of JSON", `"{\"a\":\"b\"}"`, `{"a":"b"}`, CauseWrapped},
		{"escaped quotes", `{\"a\":\"b\"}`, `{"a":"b"}`, CauseEscaped},
		{"quotes around it", `"{"a":"b"}"`, `{"a":"b"}`, CauseWrapped},
		{"a newline as text", `{"a":"b"}\n`, `{"a":"b"}`, CauseNewline},
		{"a web page's spaces", "{\u00a0\"a\":\u200b\"\u00a0\"}\x00", "{ \"a\": \"\u00a0\"} ", CauseSpace},
		{"several records", "{\"a\":-}{\"a\":\"\t\"}", `{"a":"-"}{"a":"\u0009"}`, CauseUnquoted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, cause := Repair([]byte(tt.in))
			if string(got) != tt.want || cause != tt.cause {
				t.Errorf("Repair(%s):\n got %s, %s\nwant %s, %s", tt.in, got, cause, tt.want, tt.cause)
			}
		})
	}
}

// What is valid, or could mean several things, is not changed.
func TestRepairDoesNotGuess(t *testing.T) {
	for _, in := range []string{
		``, `{}`, `{"a":"1"}`, `text`, `{"a":"1`, `{"a":1} tail`, `{"a":x"y"}`, `{"a":[1,{b}]`, `}`, `{"a":"1"}}`, `a,b,c`, `{a:1}`, "\xff\xfe{",
	} {
		if got, cause := Repair([]byte(in)); got != nil {
			var value any
			if json.Unmarshal(got, &value) == nil {
				t.Errorf("Repair(%s) = %s, %s; want nothing", in, got, cause)
			}
		}
	}
}

// Repair returns for any bytes, and a valid record is never changed.
func FuzzRepair(f *testing.F) {
	f.Add([]byte(`{"a":""b"","c":"{"d":1}","e":-,"f":"\xfa	"}`))
	f.Add([]byte(`{“a”:'b','c':“"”,}\n`))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, cause := Repair(in)
		if (got == nil) != (cause == "") {
			t.Fatalf("Repair(%q) = %q, %q", in, got, cause)
		}
		if got != nil && json.Valid(in) && in[0] == '{' {
			t.Fatalf("Repair(%q) = %q, but it is valid", in, got)
		}
		if len(got) > 6*len(in)+16 {
			t.Fatalf("%d bytes from %d", len(got), len(in))
		}
	})
}

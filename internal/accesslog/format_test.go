package accesslog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFindsVariables(t *testing.T) {
	for _, tt := range []struct {
		name, format string
		want         []string
	}{
		{"none", "plain text", nil},
		{"one", "$context.apiId", []string{"$context.apiId"}},
		{"nested", "$context.identity.clientCert.validity.notAfter!", []string{"$context.identity.clientCert.validity.notAfter"}},
		{"trailing dot is text", "seen $context.stage.", []string{"$context.stage"}},
		{"trailing dots are text", "$context.stage...", []string{"$context.stage"}},
		{"hyphen ends the name", "$context.authorizer.my-prop", []string{"$context.authorizer.my"}},
		{"underscore is part of the name", "$context.authorizer.my_prop", []string{"$context.authorizer.my_prop"}},
		{"side by side", "$context.stage$context.path", []string{"$context.stage", "$context.path"}},
		{"repeated", "$context.stage $context.path $context.stage", []string{"$context.stage", "$context.path"}},
		{"unknown variable", "$context.nope", []string{"$context.nope"}},
		{"no name", "$context. $context $context..x $contextual", nil},
		{"different case is text", "$Context.stage", nil},
		{"braces are text", "${context.stage}", nil},
		{"other roots are text", "$input.path $stageVariables.x", nil},
		{"preceded by a dollar", "$$context.stage", []string{"$context.stage"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := Parse(tt.format)
			if diff := cmp.Diff(tt.want, f.Variables()); diff != "" {
				t.Errorf("Parse(%q).Variables() (-want +got):\n%s", tt.format, diff)
			}
			if got := f.String(); got != tt.format {
				t.Errorf("String() = %q, want %q", got, tt.format)
			}
		})
	}
}

func TestFields(t *testing.T) {
	classic := map[string]Path{
		"$context.apiId": {"api_id"}, "$context.identity.apiKey": {"api_key"}, "$context.identity.apiKeyId": {"key_id"},
		"$context.identity.sourceIp": {"ip"}, "$context.httpMethod": {"method"}, "$context.path": {"uri"},
		"$context.responseLength": {"response_size"}, "$context.status": {"response_status"}, "$context.resourceId": {"resource_id"},
		"$context.requestId": {"request_id"}, "$context.responseLatency": {"request_latency"},
		"$context.requestTime": {"request_time"}, "$context.stage": {"stage"},
	}
	for _, tt := range []struct {
		name, format string
		want         map[string]Path
	}{
		{"classic", Classic, classic},
		{"the published format, whose records are repaired later", Seed(), classic},
		{"field names are free", `{"k":"$context.identity.apiKeyId"}`,
			map[string]Path{"$context.identity.apiKeyId": {"k"}}},
		{"without quotes", `{"code":$context.status}`, map[string]Path{"$context.status": {"code"}}},
		{"escaped name", `{"a\"b":"$context.stage"}`, map[string]Path{"$context.stage": {`a"b`}}},
		{"value with more than a variable", `{"a":"$context.stage/$context.path","b":" $context.stage"}`, map[string]Path{}},
		{"nested object", `{"a":{"b":"$context.stage"}}`, map[string]Path{"$context.stage": {"a", "b"}}},
		{"in a list", `{"a":[0,{"b":$context.stage}]}`, map[string]Path{"$context.stage": {"a", "[1]", "b"}}},
		{"first of two", `{"a":"$context.stage","b":"$context.stage"}`, map[string]Path{"$context.stage": {"a"}}},
		{"not an object", `["$context.stage"]`, map[string]Path{}},
		{"not JSON", `$context.stage $context.path`, map[string]Path{}},
		{"two objects", `{"a":"$context.stage"}{"b":"$context.path"}`, map[string]Path{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Parse(tt.format).Fields()); diff != "" {
				t.Errorf("Fields of %q (-want +got):\n%s", tt.format, diff)
			}
		})
	}
}

func TestPresetsAreValid(t *testing.T) {
	for _, name := range Presets() {
		t.Run(name, func(t *testing.T) {
			format, ok := Preset(name)
			if !ok || !strings.HasSuffix(format, "}\n") || len(format) > awsFormatBytes {
				t.Fatalf("Preset(%q) = %q, %v: want one line of at most %d bytes", name, format, ok, awsFormatBytes)
			}
			if err := ValidateAccessLogFormat(format); err != nil {
				t.Errorf("ValidateAccessLogFormat: %v", err)
			}
			for _, f := range Lint(format) {
				expected := name == "classic" && (f.Code == "api-key-in-clear" || f.Code == "no-extended-request-id")
				if f.Severity == Error || f.Severity == Warning && !expected {
					t.Errorf("Lint: %v", f)
				}
			}
			fields := Parse(format).Fields()
			if (fields[VarAPIKey] != nil) != (name == "classic") {
				t.Errorf("field of the key's value: %q", fields[VarAPIKey])
			}
			if (fields[varExtendedRequestID] == nil) != (name == "classic") {
				t.Errorf("field of the extended request id: %q", fields[varExtendedRequestID])
			}
			for variable, want := range map[string]string{VarKeyID: "key_id", VarAPIID: "api_id", VarStage: "stage", varRequestID: "request_id"} {
				if got := fields[variable].String(); got != want {
					t.Errorf("field of %s: %q, want %q", variable, got, want)
				}
			}
			for _, v := range Parse(format).Variables() {
				if _, known := Explain(v); !known {
					t.Errorf("the catalogue lacks %s", v)
				}
			}
		})
	}
	if _, ok := Preset("nope"); ok {
		t.Error("Preset(nope) returned true")
	}
}

// The fields and their order are those of the published format.
func TestClassicHasThePublishedFields(t *testing.T) {
	want := []string{"api_id", "api_key", "key_id", "ip", "method", "uri", "response_size", "response_status", "resource_id",
		"request_id", "request_latency", "request_time", "stage"}
	for name, format := range map[string]string{"Classic": Classic, "fixed Seed": fixed(Seed())} {
		if diff := cmp.Diff(want, Parse(format).Names()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func fixed(format string) string {
	text, _ := Fix(format)
	return text
}

func TestSeedIsThePublishedFormat(t *testing.T) {
	seed := Seed()
	if n := strings.Count(seed, "\u201c"); n != 26 || strings.Count(seed, "\u201d") != 26 {
		t.Errorf("Seed() has %d opening quotes, want 26 and as many closing ones", n)
	}
	for _, part := range []string{"{\u201capi_id\u201d: \u201c$context.apiId\u201d,\u201capi_key\u201d", "\u201cresponse_size\u201d:\u201c$context.responseLength\u201d",
		"\u201crequest_time\u201d:\u201c$context.requestTime\u201d,\u201cstage\u201d: \u201c$context.stage\u201d}"} {
		if !strings.Contains(seed, part) {
			t.Errorf("Seed() lacks %q", part)
		}
	}
	if strings.ContainsAny(seed, "\"\n") || len(seed) != 0x230 {
		t.Errorf("Seed() has %d bytes, want 560, no straight quote and no newline", len(seed))
	}
	if err := ValidateAccessLogFormat(seed); err != nil {
		t.Errorf("API Gateway accepts the published format; ValidateAccessLogFormat: %v", err)
	}
}

func TestValidateReturnsAWSMessages(t *testing.T) {
	const (
		empty  = "Access Log value must not be empty"
		single = "Access Log format must be single line, new line character is allowed only at end of the format"
		noID   = "Access Log format must include either $context.requestId or $context.extendedRequestId"
	)
	for _, tt := range []struct{ name, format, want string }{
		{"empty", "", empty},
		{"newline inside", "$context.requestId\n$context.stage", single},
		{"newline before", "\n$context.requestId", single},
		{"two newlines at the end", "$context.requestId\n\n", single},
		{"carriage return inside", "$context.requestId\r$context.stage", single},
		{"no id", "$context.stage\n", noID},
		{"another id", "$context.integration.requestId $context.requestIdx", noID},
		{"request id", "$context.requestId", ""},
		{"extended request id", "$context.extendedRequestId", ""},
		{"newline at the end", "$context.requestId\n", ""},
		{"CRLF at the end", "$context.requestId\r\n", ""},
		{"invalid JSON", "{“a”:$context.requestId", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := ValidateAccessLogFormat(tt.format); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("ValidateAccessLogFormat(%q) = %q, want %q", tt.format, got, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{Classic, Seed(), "$context.", "$context.a.", "$context.a..b", "$$context.x$context.x", "$context.\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		format := Parse(text)
		// A line whose values are the names of their variables equals the format.
		line := string(format.AppendLine(nil, func(v string) (string, bool) {
			if !isVariable(v) {
				t.Errorf("%q is not a variable", v)
			}
			return v, true
		}))
		if plain := strings.ReplaceAll(line, `"`+messageString+`"`, messageString); !strings.Contains(text, `"`) && plain != text {
			t.Errorf("Parse(%q) renders as %q", text, plain)
		}
		if format.Fields() == nil {
			t.Error("Fields returned nil")
		}
		if _, ok := objectOf(text, straightQuotes); ok {
			filled := format.AppendLine(nil, func(string) (string, bool) { return "0", true })
			if !strings.Contains(text, messageString) && !json.Valid(filled) {
				t.Errorf("format %q is JSON, but its line %q is not", text, filled)
			}
		}
	})
}

func TestHidesAPIKey(t *testing.T) {
	const key = "$context.identity.apiKey"
	for format, want := range map[string]bool{
		Classic: true, Usage: true, Seed(): true,
		`{"a":{"k":"` + key + `"},"b":["` + key + `",{"k":` + key + `}],"c":"key=` + key + `;"}`: true,
		`{"a":"$context.path ` + key + `"}`:     false,
		`{"a":"` + key + ` ` + key + `"}`:       false,
		`{"` + key + `":"$context.path"}`:       false,
		`{"k":"` + key + `","` + key + `":"x"}`: false,
		key + ` $context.path`:                  false,
	} {
		if got := Parse(format).HidesAPIKey(); got != want {
			t.Errorf("HidesAPIKey of %s: %v, want %v", format, got, want)
		}
	}
}

func TestSelectKeepsPlacesAndTheirPaths(t *testing.T) {
	keep := func(p Place) bool { return strings.Contains(p.Text, "$context.identity.apiKey") }
	for format, want := range map[string]string{
		Usage: `{"key_id":"$context.identity.apiKeyId"}`,
		`{“a”:{“b”: “$context.identity.apiKey”,"c":1},"d":[true,"x",{"e":$context.identity.apiKey}]}`: `{"a":{"b":"$context.identity.apiKey"},"d":["","",{"e":"$context.identity.apiKey"}]}`,
		`{"a":"\"$context.identity.apiKey\""}`: `{"a":"\"$context.identity.apiKey\""}`,
		`{"a":"$context.path"}`:                `{}`,
		`not JSON`:                             `{}`,
	} {
		if got := Parse(format).Select(keep); got != want {
			t.Errorf("Select of %s: %s, want %s", format, got, want)
		}
	}
}

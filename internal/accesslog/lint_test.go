package accesslog

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// good is a format without findings.
const good = `{"id":"$context.extendedRequestId","key":"$context.identity.apiKeyId","api":"$context.apiId","stage":"$context.stage"}` + "\n"

// body is good without braces and newline.
var body = strings.TrimSuffix(strings.TrimPrefix(good, "{"), "}\n")

func TestLintAndFix(t *testing.T) {
	curly := strings.NewReplacer(`"`, "\u201c")
	for _, tt := range []struct {
		name, format string
		want         []string // severity, code and offset
		fixed        string
	}{
		{"good", good, nil, good},
		{"empty", "", []string{"error empty 0"}, ""},
		{"spaces", " \n", []string{"error empty 0"}, " \n"},
		{"huge", strings.Repeat("x", MaxFormatBytes+1), []string{"error too-long 0"}, strings.Repeat("x", MaxFormatBytes+1)},
		{"curly quotes", curly.Replace(good), []string{"error curly-quotes 1"}, good},
		{"one curly quote", "{\"id\u201d" + good[5:], []string{"error curly-quotes 4"}, good},
		{"curly quotes as text", "{\"say\":\"\u201chi\u201d\"," + body + "}\n", nil, "{\"say\":\"\u201chi\u201d\"," + body + "}\n"},
		{"single quotes", strings.ReplaceAll(good, `"`, "'"), []string{"error single-quotes 1"}, good},
		{"no newline", strings.TrimSpace(good), []string{fmt.Sprintf("warning no-trailing-newline %d", len(good)-1)}, good},
		{"typed newline", strings.TrimSpace(good) + `\n`, []string{fmt.Sprintf("error literal-newline %d", len(good)-1)}, good},
		{"several lines", "{\n  " + strings.ReplaceAll(body, ",", ",\r\n\t") + "\n}\n", []string{"error newline-inside 1"}, good},
		{"newline in a string", "{\"a b\":\"c\nd\"," + body + "}\n", []string{"error newline-inside 9"}, "{\"a b\":\"c d\"," + body + "}\n"},
		{"newline before", "\n" + good, []string{"error newline-inside 0"}, good},
		{"byte order mark", "\ufeff" + good, []string{"error byte-order-mark 0"}, good},
		{"not UTF-8", "{\"a\":\"\xff\"," + body + "}\n", []string{"error invalid-utf8 6"}, "{\"a\":\"\ufffd\"," + body + "}\n"},
		{"in single quotes", "'" + strings.TrimSpace(good) + "'\n", []string{"error wrapped-in-quotes 0"}, good},
		{"in double quotes", `"` + strings.TrimSpace(good) + `"` + "\n", []string{"error wrapped-in-quotes 0"}, good},
		{"in curly quotes", "\u201c" + strings.TrimSpace(good) + "\u201d\n", []string{"error wrapped-in-quotes 0"}, good},
		{"as a JSON string", asJSON(good) + "\n", []string{"error wrapped-in-quotes 0", "error escaped-quotes 2", fmt.Sprintf("error literal-newline %d", len(asJSON(good))-3)}, good},
		{"quotes escaped", strings.ReplaceAll(good, `"`, `\"`), []string{"error escaped-quotes 1"}, good},
		{"no-break space", "{\u00a0" + body + "}\n", []string{"error foreign-space 1"}, "{ " + body + "}\n"},
		{"unquoted value", `{"p":$context.path,` + body + "}\n", []string{"error unquoted-value 5", "info path-only 5"}, `{"p":"$context.path",` + body + "}\n"},
		{"unquoted status", `{"s":$context.status,` + body + "}\n", nil, `{"s":$context.status,` + body + "}\n"},
		{"unquoted message string", `{"e":$context.error.messageString,` + body + "}\n", []string{"error message-string 5"}, `{"e":"$context.error.message",` + body + "}\n"},
		{"quoted message string", `{"e":"$context.error.messageString",` + body + "}\n", []string{"error message-string 6"}, `{"e":"$context.error.message",` + body + "}\n"},
		{"missing comma", `{"p":"x" ` + body + "}\n", []string{"error missing-comma 9"}, `{"p":"x" ,` + body + "}\n"},
		{"missing comma after an object", `{"p":{}` + body + "}\n", []string{"error missing-comma 7"}, `{"p":{},` + body + "}\n"},
		{"extra comma", "{" + body + " , }\n", []string{fmt.Sprintf("error extra-comma %d", len(body)+2)}, "{" + body + "  }\n"},
		{"braces", strings.ReplaceAll(good, "$context.stage", "${context.stage}"), []string{fmt.Sprintf("error not-substituted %d", strings.Index(good, "$context.stage"))}, good},
		{"wrong case of context", strings.ReplaceAll(good, "$context", "$Context"), []string{"error not-substituted 7"}, good},
		{"no request id", `{"key":"$context.identity.apiKeyId","api":"$context.apiId","stage":"$context.stage"}` + "\n", []string{"error no-request-id 83"},
			`{"key":"$context.identity.apiKeyId","api":"$context.apiId","stage":"$context.stage","extended_request_id":"$context.extendedRequestId"}` + "\n"},
		{"empty object", "{}\n", []string{"error no-request-id 1", "warning no-key-id 1", "warning no-api-id 1", "warning no-stage 1"},
			`{"extended_request_id":"$context.extendedRequestId"}` + "\n"},
		{"common log format", `$context.identity.sourceIp "$context.httpMethod" $context.requestId` + "\n", []string{"error not-json 27"},
			`$context.identity.sourceIp "$context.httpMethod" $context.requestId` + "\n"},
		{"a list", "[" + `"$context.requestId"` + "]\n", []string{"error not-json 0"}, "[" + `"$context.requestId"` + "]\n"},
		{"not repairable", `{"a" "b",` + body + "}\n", []string{"error not-json 5"}, `{"a" "b",` + body + "}\n"},
		{"unterminated object", `{"a":"$context.requestId"`, []string{"error not-json 25", "warning no-trailing-newline 25"}, `{"a":"$context.requestId"` + "\n"},
		{"key in clear", `{"k":"$context.identity.apiKey",` + body + "}\n", []string{"warning api-key-in-clear 6"}, `{"k":"$context.identity.apiKey",` + body + "}\n"},
		{"unknown variable", `{"k":"$context.identity.apikeyid",` + body + "}\n", []string{"warning unknown-variable 6"}, `{"k":"$context.identity.apikeyid",` + body + "}\n"},
		{"HTTP API variable", `{"k":"$context.routeKey",` + body + "}\n", []string{"warning unknown-variable 6"}, `{"k":"$context.routeKey",` + body + "}\n"},
		{"mapping template variable", `{"k":"$stageVariables.x",` + body + "}\n", []string{"warning not-substituted 6"}, `{"k":"$stageVariables.x",` + body + "}\n"},
		{"hyphen in a name", `{"k":"$context.authorizer.my-plan",` + body + "}\n", []string{"warning name-cut 6"}, `{"k":"$context.authorizer.my-plan",` + body + "}\n"},
		{"hyphen after a known name", `{"k":"$context.httpMethod-x",` + body + "}\n", nil, `{"k":"$context.httpMethod-x",` + body + "}\n"},
		{"colon in a claim", `{"k":"$context.authorizer.claims.custom:tenant_id",` + body + "}\n", []string{"warning name-cut 6"}, `{"k":"$context.authorizer.claims.custom:tenant_id",` + body + "}\n"},
		{"colon after a claim", `{"k":"$context.authorizer.claims.sub:$context.path",` + body + "}\n", []string{"info path-only 37"}, `{"k":"$context.authorizer.claims.sub:$context.path",` + body + "}\n"},
		{"claim in brackets", `{"k":"$context.authorizer.claims['sub']",` + body + "}\n", []string{"error bracketed-name 6"}, `{"k":"$context.authorizer.claims.sub",` + body + "}\n"},
		{"claim in escaped quotes", `{"k":"$context.authorizer.claims[\"sub\"]",` + body + "}\n", []string{"error bracketed-name 6"}, `{"k":"$context.authorizer.claims.sub",` + body + "}\n"},
		{"colon in brackets", `{"k":"$context.authorizer.claims['custom:t']",` + body + "}\n", []string{"warning name-cut 6"}, `{"k":"$context.authorizer.claims['custom:t']",` + body + "}\n"},
		{"two dollars", strings.ReplaceAll(good, "$context", "$$context"), []string{"warning double-dollar 7"}, good},
		{"canary variables", `{"c":"$context.isCanaryRequest","d":"$context.deploymentId",` + body + "}\n", nil, `{"c":"$context.isCanaryRequest","d":"$context.deploymentId",` + body + "}\n"},
		{"names that differ by case", `{"API":"x",` + body + "}\n", []string{"warning names-differ-by-case 80"}, `{"API":"x",` + body + "}\n"},
		{"nested names that differ by case", `{"o":[{"a":1,"A":2}],` + body + "}\n", []string{"warning names-differ-by-case 13"}, `{"o":[{"a":1,"A":2}],` + body + "}\n"},
		{"nested duplicate field", `{"o":{"a":1,"a":2},` + body + "}\n", []string{"error duplicate-field 12"}, `{"o":{"a":1,"a":2},` + body + "}\n"},
		{"nested", `{"id":"$context.extendedRequestId","identity":{"keyId":"$context.identity.apiKeyId"},"api":["$context.apiId",{"stage":"$context.stage"}]}` + "\n", nil,
			`{"id":"$context.extendedRequestId","identity":{"keyId":"$context.identity.apiKeyId"},"api":["$context.apiId",{"stage":"$context.stage"}]}` + "\n"},
		{"key in a text with others", `{"k":"$context.identity.apiKey $context.stage",` + body + "}\n", []string{"warning api-key-in-clear 6", "warning api-key-not-hidden 6"}, `{"k":"$context.identity.apiKey $context.stage",` + body + "}\n"},
		{"key in a name", `{"$context.identity.apiKey":1,` + body + "}\n", []string{"warning variable-as-name 1", "warning api-key-in-clear 2", "warning api-key-not-hidden 2"}, `{"$context.identity.apiKey":1,` + body + "}\n"},
		{"duplicate field", `{"api":"x",` + body + "}\n", []string{fmt.Sprintf("error duplicate-field %d", strings.Index(`{"api":"x",`+body, `"api":"$`))}, `{"api":"x",` + body + "}\n"},
		{"variable as field name", `{"$context.httpMethod":"x",` + body + "}\n", []string{"warning variable-as-name 1"}, `{"$context.httpMethod":"x",` + body + "}\n"},
		{"only the request id that clients can set", strings.ReplaceAll(good, "extendedRequestId", "requestId"), []string{fmt.Sprintf("warning no-extended-request-id %d", len(good)-10)},
			strings.ReplaceAll(good, "extendedRequestId", "requestId")},
		{"common log format time", `{"t":"$context.requestTime",` + body + "}\n", []string{"info clf-time 6"}, `{"t":"$context.requestTime",` + body + "}\n"},
		{"over the limit of AWS's guides", `{"t":"` + strings.Repeat("x", 3000) + `",` + body + "}\n", []string{"error too-long 0"}, `{"t":"` + strings.Repeat("x", 3000) + `",` + body + "}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range Lint(tt.format) {
				got = append(got, fmt.Sprintf("%s %s %d", f.Severity, f.Code, f.Offset))
				if f.Message == "" || f.Severity > Info && f.Fix == "" && f.Code != "empty" {
					t.Errorf("%v lacks a message or fix: %+v", f, f)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Lint of %.200q (-want +got):\n%s", tt.format, diff)
			}
			if diff := cmp.Diff(tt.fixed, fixed(tt.format)); diff != "" {
				t.Errorf("Fix of %.200q (-want +got):\n%s", tt.format, diff)
			}
		})
	}
}

func asJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

// The format has the errors that mail, a web page and a console introduce.
func TestFixRepairsSeveralProblems(t *testing.T) {
	format := "\ufeff'{\u201cid\u201d:\u00a0\u201c$context.extendedRequestId\u201d,\n \u201cp\u201d: $context.path \u201ckey\u201d:\u201c$context.identity.apiKeyId\u201d," +
		"\u201capi\u201d:\u201c${context.apiId}\u201d,\u201cstage\u201d:\u201c$context.stage\u201d,}\\n'"
	want := `{"id": "$context.extendedRequestId","p": "$context.path" ,"key":"$context.identity.apiKeyId","api":"$context.apiId","stage":"$context.stage"}` + "\n"
	got, findings := Fix(format)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Fix (-want +got):\n%s", diff)
	}
	for _, code := range []string{"byte-order-mark", "wrapped-in-quotes", "curly-quotes", "foreign-space", "newline-inside", "unquoted-value", "missing-comma", "not-substituted", "extra-comma", "literal-newline"} {
		if !slices.ContainsFunc(findings, func(f Finding) bool {
			return f.Code == code && f.Severity == Info && strings.HasPrefix(f.Message, "fixed: ")
		}) {
			t.Errorf("Fix does not report that it repaired %s: %v", code, findings)
		}
	}
}

// TestLintTexts compares all user-visible texts with a golden file.
func TestLintTexts(t *testing.T) {
	var b strings.Builder
	for _, format := range []string{
		Seed(), Classic,
		`'{"path":$context.path,"error":"$context.error.messageString","route":"$context.routeKey","key":"$context.identity.apikeyid",}'`,
		`$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.resourcePath" $context.status`,
		"{\n  \"id\": \"$context.requestId\",\n  \"id\": \"${context.stage}\"\n}",
	} {
		fmt.Fprintf(&b, "format: %s\n", asJSON(format))
		for _, f := range Lint(format) {
			fmt.Fprintf(&b, "  %v\n", f)
			if f.Fix != "" {
				fmt.Fprintf(&b, "    fix: %s\n", f.Fix)
			}
		}
		text, findings := Fix(format)
		fmt.Fprintf(&b, "fixed: %s\n", asJSON(text))
		for _, f := range findings {
			fmt.Fprintf(&b, "  %v\n", f)
		}
		b.WriteString("\n")
	}
	golden(t, "lint.txt", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run go test -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; run go test -update to rewrite it):\n%s", path, diff)
	}
}

func TestFindingAsJSON(t *testing.T) {
	got := ""
	if b, err := json.Marshal(Finding{Severity: Warning, Code: "x", Message: "m", Offset: 3}); err == nil {
		got = string(b)
	}
	if want := `{"severity":"warning","code":"x","message":"m","offset":3}`; got != want {
		t.Errorf("Finding as JSON is %s, want %s", got, want)
	}
}

func FuzzFix(f *testing.F) {
	for _, s := range []string{Seed(), Classic, Full, good, "'" + good + "'", asJSON(good), `{"a":$context.path "b":1,}`, "{\u201ca\u201d:'$context.x'}", `"{\"a\":1}\n"`, "{\\\"", "''{}''", "{},,}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, format string) {
		for _, finding := range Lint(format) {
			if finding.Offset < 0 || finding.Offset > len(format) {
				t.Errorf("Lint(%q): offset outside the format: %+v", format, finding)
			}
		}
		text, findings := Fix(format)
		if again, _ := Fix(text); again != text {
			t.Errorf("Fix(%q) = %q, and Fix of that = %q", format, text, again)
		}
		// A result without errors must be valid.
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error }) {
			return
		}
		if err := ValidateAccessLogFormat(text); err != nil {
			t.Errorf("Fix(%q) = %q without an error, but API Gateway rejects it: %v", format, text, err)
		}
		checkJSON(t, text)
	})
}

// checkJSON checks that lines of a format are JSON for different values.
func checkJSON(t *testing.T, format string) {
	t.Helper()
	p := Parse(format)
	for _, v := range []string{"", `"`, "1"} {
		line := p.AppendLine(nil, func(name string) (string, bool) {
			if index()[name].Always {
				return "200", true
			}
			return v, true
		})
		if !json.Valid(line) {
			t.Errorf("the format %q has no error, but renders the invalid line %q", format, line)
		}
	}
}

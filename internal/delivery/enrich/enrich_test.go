package enrich_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
)

// people is an index with a few keys. The plan Gold covers shop/prod only.
type people struct{}

func (people) Lookup(keyID, apiID, stage []byte) (plan, planID, customer string, known bool) {
	switch string(keyID) {
	case "k1":
		if string(apiID) == "shop" && string(stage) == "prod" {
			return "Gold", "p1", "Acme Corp", true
		}
		return "", "", "Acme Corp", true
	case "k2":
		return `Si"lv\er`, "p2", "Tab\tand \u00fcml\u00e4ut and \xff", true
	case "k3":
		if len(stage) == 0 {
			return "Only", "p3", "No stage", true
		}
	case "42":
		return "Numbers", "p42", "Forty-two", true
	}
	return "", "", "", false
}

func newEnricher(t testing.TB, change func(*enrich.Config)) *enrich.Enricher {
	t.Helper()
	cfg := enrich.Config{UsagePlan: "usage_plan", Customer: "customer", UsagePlanID: "usage_plan_id"}
	if change != nil {
		change(&cfg)
	}
	e, err := enrich.New(cfg, people{})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return e
}

const (
	acme    = `"usage_plan":"Gold","customer":"Acme Corp","usage_plan_id":"p1"`
	unknown = `"usage_plan":"-","customer":"-","usage_plan_id":"-"`
)

func TestAppend(t *testing.T) {
	const shop = `"api_id":"shop","stage":"prod"`
	tests := []struct{ name, in, want string }{
		{"plain", `{"key_id":"k1",` + shop + `}`, `{"key_id":"k1",` + shop + `,` + acme + "}\n"},
		{"newline after", `{"key_id":"k1",` + shop + "}\n", `{"key_id":"k1",` + shop + `,` + acme + "}\n"},
		{"space around", " \r\n\t{\"key_id\":\"k1\"," + shop + "} \r\n", `{"key_id":"k1",` + shop + `,` + acme + "}\n"},
		{"space inside stays", `{ "key_id" : "k1" , ` + shop + ` }`, `{ "key_id" : "k1" , ` + shop + ` ,` + acme + "}\n"},
		{"newlines inside become spaces", "{\n\"key_id\"\n:\r\n\"k1\",\n" + shop + ",\"a\":[1,\n2]\n}", `{ "key_id" :  "k1", ` + shop + `,"a":[1, 2] ,` + acme + "}\n"},
		{"stage is a dash", `{"key_id":"k3","api_id":"shop","stage":"-"}`, `{"key_id":"k3","api_id":"shop","stage":"-","usage_plan":"Only","customer":"No stage","usage_plan_id":"p3"}` + "\n"},
		{"empty object", `{}`, `{` + unknown + "}\n"},
		{"empty object with space", "{ }\n", `{ ` + unknown + "}\n"},
		{"bytes stay", `{"n":1.50e+03,"big":123456789012345678901234567890,"s":"\u00e9\/ü “x”","key_id":"k1",` + shop + `,"o":{"key_id":"k2","a":[{}, [ ]]},"t":true,"f":false,"z":null}`,
			`{"n":1.50e+03,"big":123456789012345678901234567890,"s":"\u00e9\/ü “x”","key_id":"k1",` + shop + `,"o":{"key_id":"k2","a":[{}, [ ]]},"t":true,"f":false,"z":null,` + acme + "}\n"},
		{"names are escaped", `{"key_id":"k2"}`,
			`{"key_id":"k2","usage_plan":"Si\"lv\\er","customer":"Tab\u0009and üml` + "ä" + `ut and ` + "\ufffd" + `","usage_plan_id":"p2"}` + "\n"},
		{"unknown key", `{"key_id":"k9"}`, `{"key_id":"k9",` + unknown + "}\n"},
		{"no plan for the stage", `{"key_id":"k1","api_id":"shop","stage":"beta"}`,
			`{"key_id":"k1","api_id":"shop","stage":"beta","usage_plan":"-","customer":"Acme Corp","usage_plan_id":"-"}` + "\n"},
		{"key id not set", `{"key_id":"-",` + shop + `}`, `{"key_id":"-",` + shop + `,` + unknown + "}\n"},
		{"key id empty", `{"key_id":""}`, `{"key_id":"",` + unknown + "}\n"},
		{"key id missing", `{"ip":"::1"}`, `{"ip":"::1",` + unknown + "}\n"},
		{"everything not set", `{"api_id":"-","api_key":"-","key_id":"-","stage":"-"}`, `{"api_id":"-","api_key":"-","key_id":"-","stage":"-",` + unknown + "}\n"},
		{"key id is a number", `{"key_id":42}`, `{"key_id":42,"usage_plan":"Numbers","customer":"Forty-two","usage_plan_id":"p42"}` + "\n"},
		{"key id is null", `{"key_id":null}`, `{"key_id":null,` + unknown + "}\n"},
		{"key id is an object", `{"key_id":{"a":"k1"}}`, `{"key_id":{"a":"k1"},` + unknown + "}\n"},
		{"key id is a list", `{"key_id":["k1"]}`, `{"key_id":["k1"],` + unknown + "}\n"},
		{"key id has escapes", `{"key_id":"\u006b1",` + shop + `}`, `{"key_id":"\u006b1",` + shop + `,` + acme + "}\n"},
		{"escapes in names", `{"k\u0065y_id":"k1","\u0061pi_id":"shop","sta\u0067e":"prod","usage\u005fplan":"-"}`,
			`{"k\u0065y_id":"k1","\u0061pi_id":"shop","sta\u0067e":"prod","usage\u005fplan":"Gold","customer":"Acme Corp","usage_plan_id":"p1"}` + "\n"},
		{"last key id is used", `{"key_id":"k9","key_id":"k1",` + shop + `}`, `{"key_id":"k9","key_id":"k1",` + shop + `,` + acme + "}\n"},
		{"last key id is used, not set", `{"key_id":"k1","key_id":"-",` + shop + `}`, `{"key_id":"k1","key_id":"-",` + shop + `,` + unknown + "}\n"},
		{"nested key id is ignored", `{"a":{"key_id":"k1"}}`, `{"a":{"key_id":"k1"},` + unknown + "}\n"},
		{"empty name", `{"":"k1"}`, `{"":"k1",` + unknown + "}\n"},

		{"existing value is kept", `{"usage_plan":"Mine","key_id":"k1",` + shop + `}`,
			`{"usage_plan":"Mine","key_id":"k1",` + shop + `,"customer":"Acme Corp","usage_plan_id":"p1"}` + "\n"},
		{"all are kept", `{"usage_plan":"a","customer":"b","usage_plan_id":"c"}`, `{"usage_plan":"a","customer":"b","usage_plan_id":"c"}` + "\n"},
		{"null is a value", `{"usage_plan":null,"customer":"","usage_plan_id":0}`, `{"usage_plan":null,"customer":"","usage_plan_id":0}` + "\n"},
		{"a dash is replaced in place", `{"usage_plan":"-","key_id":"k1",` + shop + `,"usage_plan_id" : "-" }`,
			`{"usage_plan":"Gold","key_id":"k1",` + shop + `,"usage_plan_id" : "p1" ,"customer":"Acme Corp"}` + "\n"},
		{"an escaped dash is a dash", `{"customer":"\u002d","key_id":"k1",` + shop + `}`,
			`{"customer":"Acme Corp","key_id":"k1",` + shop + `,"usage_plan":"Gold","usage_plan_id":"p1"}` + "\n"},
		{"a dash without a customer stays", `{"customer":"-","key_id":"-"}`, `{"customer":"-","key_id":"-","usage_plan":"-","usage_plan_id":"-"}` + "\n"},
		{"repeated dashes are all replaced", `{"customer":"-","customer":"-","key_id":"k1",` + shop + `}`,
			`{"customer":"Acme Corp","customer":"Acme Corp","key_id":"k1",` + shop + `,"usage_plan":"Gold","usage_plan_id":"p1"}` + "\n"},
		{"repeated and different stay", `{"customer":"-","customer":"Mine","customer":"-","key_id":"k1",` + shop + `}`,
			`{"customer":"-","customer":"Mine","customer":"-","key_id":"k1",` + shop + `,"usage_plan":"Gold","usage_plan_id":"p1"}` + "\n"},
		{"more edits than fit inline", strings.Repeat(`{"customer":"-"`+strings.Repeat(`,"customer":"-"`, 20)+`}`, 2),
			strings.Repeat(`{"customer":"-"`+strings.Repeat(`,"customer":"-"`, 20)+`,"usage_plan":"-","usage_plan_id":"-"}`+"\n", 2)},

		{"two objects, newline between", `{"key_id":"k1",` + shop + "}\n{\"key_id\":\"k9\"}\n",
			`{"key_id":"k1",` + shop + `,` + acme + "}\n" + `{"key_id":"k9",` + unknown + "}\n"},
		{"three objects, nothing between", `{"key_id":"k1",` + shop + `}{}{"key_id":"k9"}`,
			`{"key_id":"k1",` + shop + `,` + acme + "}\n{" + unknown + "}\n" + `{"key_id":"k9",` + unknown + "}\n"},

		{"curly quotes", `{“key_id”: “k1”, “api_id”:“shop”,“stage”: “prod”}`, `{"key_id": "k1", "api_id":"shop","stage": "prod",` + acme + "}\n"},
		{"curly quotes the wrong way round", `{”key_id“: ”k1“, ”api_id”:“shop“,“stage”: “prod”}`, `{"key_id": "k1", "api_id":"shop","stage": "prod",` + acme + "}\n"},
		{"curly and straight quotes", `{“key_id": "k1”, "a":"“b”"}`, ``},
		{"straight quotes inside curly ones", `{“ua”: “a "b" \"c\" ”d”, “key_id”:“k9”}`, `{"ua": "a \"b\" \"c\" ”d", "key_id":"k9",` + unknown + "}\n"},
		{"two objects in curly quotes", `{“key_id”:“k9”}{“key_id”:“-”}`, `{"key_id":"k9",` + unknown + "}\n" + `{"key_id":"-",` + unknown + "}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newEnricher(t, nil).Append([]byte("before|"), []byte(tt.in))
			if tt.want == "" {
				if err == nil {
					t.Fatalf("Append(%s) = %s, want an error", tt.in, got)
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

func TestAppendRejects(t *testing.T) {
	const (
		notJSON   = "the record is not valid JSON"
		truncated = "the record is not valid JSON: it ends too early"
		notUTF8   = "the record is not valid UTF-8"
		notObject = "the record is not a JSON object"
		deep      = "the record is nested too deeply"
		large     = "the record is larger than the limit"
		empty     = "the record is empty"
	)
	tests := []struct{ name, in, want string }{
		{"empty", "", empty},
		{"white space", " \r\n\t", empty},
		{"text", "secret", notJSON},
		{"Python", "{'a': 'secret'}", notJSON},
		{"a string", `"secret"`, notObject},
		{"a list of objects", `[{"a":"secret"}]`, notObject},
		{"a number", "12", notObject},
		{"null", "null", notObject},
		{"an object, then a number", `{"a":"secret"} 12`, notObject},
		{"an object, then text", `{"a":"secret"}secret`, notJSON},
		{"an object, then half of one", `{"a":"secret"}{"a"`, truncated},
		{"brace only", "{", truncated},
		{"cut in a name", `{"secr`, truncated},
		{"cut after a name", `{"secret"`, truncated},
		{"cut after the colon", `{"secret":`, truncated},
		{"cut in a value", `{"a":"secret`, truncated},
		{"cut in an escape", `{"a":"secret\`, truncated},
		{"cut in a unicode escape", `{"a":"secret\u00`, truncated},
		{"cut after a value", `{"a":"secret"`, truncated},
		{"cut after a comma", `{"a":"secret",`, truncated},
		{"cut in a literal", `{"a":tru`, truncated},
		{"cut in a number", `{"a":1.`, truncated},
		{"cut in a list", `{"a":[1,`, truncated},
		{"comma at the end", `{"a":"secret",}`, notJSON},
		{"two commas", `{"a":"secret",,"b":1}`, notJSON},
		{"no comma", `{"a":"secret" "b":1}`, notJSON},
		{"no colon", `{"a" "secret"}`, notJSON},
		{"unquoted name", `{a:"secret"}`, notJSON},
		{"unquoted dash", `{"a":-}`, notJSON},
		{"unquoted word", `{"a":secret}`, notJSON},
		{"literal in capitals", `{"a":True}`, notJSON},
		{"unknown escape", `{"a":"\x41"}`, notJSON},
		{"bad unicode escape", `{"a":"\u00g0"}`, notJSON},
		{"tab in a string", "{\"a\":\"sec\tret\"}", notJSON},
		{"newline in a string", "{\"a\":\"sec\nret\"}", notJSON},
		{"NUL in a string", "{\"a\":\"sec\x00ret\"}", notJSON},
		{"NUL after the object", "{\"a\":\"secret\"}\x00", notJSON},
		{"leading zero", `{"a":01}`, notJSON},
		{"plus", `{"a":+1}`, notJSON},
		{"point without digits", `{"a":1.}`, notJSON},
		{"point first", `{"a":.5}`, notJSON},
		{"exponent without digits", `{"a":1e}`, notJSON},
		{"hexadecimal", `{"a":0x1}`, notJSON},
		{"NaN", `{"a":NaN}`, notJSON},
		{"comment", `{"a":1/*secret*/}`, notJSON},
		{"closing bracket of the other kind", `{"a":[1}}`, notJSON},
		{"byte order mark", "\ufeff{}", notJSON},
		{"not UTF-8 in a value", "{\"a\":\"secret\xff\"}", notUTF8},
		{"not UTF-8 in a name", "{\"secret\xc3\":1}", notUTF8},
		{"overlong UTF-8", "{\"a\":\"\xc0\x80\"}", notUTF8},
		{"a surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", notUTF8},
		{"cut UTF-8", "{\"a\":\"secret\xe2\x82", notUTF8},
		{"deep", `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", deep},
		{"bottomless", strings.Repeat(`{"a":`, 200_000), deep},
		{"curly quotes and more", `{“a”: “secret”`, notJSON},
		{"curly quotes and an injected member", `{“key_id”:“k1”,“uri”:“/”,“key_id”:“k2”}`, notJSON},
		{"large", `{"a":"` + strings.Repeat("secret", 200_000) + `"}`, large},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEnricher(t, nil)
			got, err := e.Append([]byte("before"), []byte(tt.in))
			var bad *enrich.Bad
			if !errors.As(err, &bad) || bad.Reason != tt.want {
				t.Fatalf("Append(%.60q): error %v, want %q", tt.in, err, tt.want)
			}
			if string(got) != "before" {
				t.Errorf("Append(%.60q) left %.60q in dst, want it unchanged", tt.in, got)
			}
		})
	}
}

func TestMaxDepthIsAccepted(t *testing.T) {
	in := `{"a":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + "}"
	if _, err := newEnricher(t, nil).Append(nil, []byte(in)); err != nil {
		t.Errorf("99 lists in an object: %v", err)
	}
}

func TestAPIKeyModes(t *testing.T) {
	const tail = "," + unknown + "}\n"
	type modes = map[enrich.APIKeyMode]string
	tests := []struct {
		name, in string
		want     modes
	}{
		{"between members", `{"a":1,"api_key":"kJ8sWq2LmN4pR7tV9xZ1","b":2}`, modes{
			enrich.Mask: `{"a":1,"api_key":"****************9xZ1","b":2` + tail,
			enrich.Drop: `{"a":1,"b":2` + tail,
			enrich.Keep: `{"a":1,"api_key":"kJ8sWq2LmN4pR7tV9xZ1","b":2` + tail,
			enrich.Hash: `{"a":1,"api_key":"da52257a66558a177963611755686e16","b":2` + tail,
		}},
		{"first", `{ "api_key" : "abcdefgh" , "b":2}`, modes{enrich.Mask: `{ "api_key" : "****efgh" , "b":2` + tail, enrich.Drop: `{ "b":2` + tail}},
		{"last", `{"a":1 , "api_key":"abcdefgh" }`, modes{enrich.Mask: `{"a":1 , "api_key":"****efgh" ` + tail, enrich.Drop: `{"a":1  ` + tail}},
		{"only", `{"api_key":"abcdefgh"}`, modes{enrich.Mask: `{"api_key":"****efgh"` + tail, enrich.Drop: "{" + unknown + "}\n"}},
		{"only, with space", `{ "api_key":"abcdefgh" }`, modes{enrich.Drop: "{  " + unknown + "}\n"}},
		{"three times", `{"api_key":"abcdefgh","api_key":"ijklmnop","a":1,"api_key":"q"}`, modes{
			enrich.Mask: `{"api_key":"****efgh","api_key":"****mnop","a":1,"api_key":"*"` + tail, enrich.Drop: `{"a":1` + tail}},
		{"twice and nothing else", `{"api_key":"abcdefgh","api_key":"ijklmnop"}`, modes{enrich.Drop: "{" + unknown + "}\n"}},
		{"short", `{"api_key":"abcdefg"}`, modes{enrich.Mask: `{"api_key":"*******"` + tail}},
		{"empty", `{"api_key":""}`, modes{enrich.Mask: `{"api_key":""` + tail, enrich.Drop: "{" + unknown + "}\n"}},
		{"not set", `{"api_key":"-"}`, modes{enrich.Mask: `{"api_key":"-"` + tail, enrich.Hash: `{"api_key":"-"` + tail, enrich.Drop: "{" + unknown + "}\n"}},
		{"null", `{"api_key":null}`, modes{enrich.Mask: `{"api_key":null` + tail, enrich.Hash: `{"api_key":null` + tail}},
		{"a number", `{"api_key":1234567890}`, modes{enrich.Mask: `{"api_key":"******7890"` + tail, enrich.Drop: "{" + unknown + "}\n"}},
		{"a list", `{"api_key":["abcdefghijkl"]}`, modes{enrich.Mask: `{"api_key":"****"` + tail, enrich.Drop: "{" + unknown + "}\n"}},
		{"true", `{"api_key":true}`, modes{enrich.Mask: `{"api_key":"****"` + tail}},
		{"an escape is one character", `{"api_key":"\u0061bcd\n\"\ud83d\ude00h"}`, modes{enrich.Mask: `{"api_key":"****\n\"\ud83d\ude00h"` + tail}},
		{"letters beyond ASCII", `{"api_key":"äöüßäöüß"}`, modes{enrich.Mask: `{"api_key":"****äöüß"` + tail}},
		{"name with an escape", `{"api\u005fkey":"abcdefgh"}`, modes{enrich.Mask: `{"api\u005fkey":"****efgh"` + tail, enrich.Drop: "{" + unknown + "}\n"}},
		{"longer than the longest key", `{"api_key":"` + strings.Repeat("x", 300) + `"}`, modes{enrich.Mask: `{"api_key":"` + strings.Repeat("*", 296) + `xxxx"` + tail}},
		{"dropped next to replaced", `{"usage_plan":"-","api_key":"x","customer":"-"}`, modes{enrich.Drop: `{"usage_plan":"-","customer":"-","usage_plan_id":"-"}` + "\n"}},
	}
	for _, tt := range tests {
		for mode, want := range tt.want {
			t.Run(tt.name+"/"+string(mode), func(t *testing.T) {
				e := newEnricher(t, func(c *enrich.Config) { c.APIKey, c.HashSalt = mode, []byte("salt") })
				got, err := e.Append(nil, []byte(tt.in))
				if err != nil {
					t.Fatalf("Append(%s): %v", tt.in, err)
				}
				if diff := cmp.Diff(want, string(got)); diff != "" {
					t.Errorf("Append(%s): -want +got\n%s", tt.in, diff)
				}
			})
		}
	}
}

func TestHashDependsOnValueAndSalt(t *testing.T) {
	hash := func(in, salt string) string {
		e := newEnricher(t, func(c *enrich.Config) { c.APIKey, c.HashSalt = enrich.Hash, []byte(salt) })
		out, err := e.Append(nil, []byte(in))
		if err != nil {
			t.Fatalf("Append(%s): %v", in, err)
		}
		return strings.Split(string(out), `"`)[3]
	}
	plain := hash(`{"api_key":"abcdefgh"}`, "s1")
	if escaped := hash(`{"api_key":"\u0061bcd\u0065fgh"}`, "s1"); escaped != plain {
		t.Errorf("hash of the same value with escapes is %s, without %s", escaped, plain)
	}
	if other := hash(`{"api_key":"abcdefgh"}`, "s2"); other == plain {
		t.Error("hash does not depend on the salt")
	}
	if other := hash(`{"api_key":"abcdefgi"}`, "s1"); other == plain {
		t.Error("hash does not depend on the value")
	}
	if len(plain) != 32 {
		t.Errorf("hash %q has %d digits, want 32", plain, len(plain))
	}
}

func TestCustomFieldNames(t *testing.T) {
	e := newEnricher(t, func(c *enrich.Config) {
		c.Format = accesslog.Parse(`{"schlüssel":"$context.identity.apiKeyId","a\"b":"$context.apiId","\tstage":"$context.stage","api_key":"$context.path"}`)
		c.UsagePlan, c.Customer, c.UsagePlanID = "plan_id", `sub"scription`, ""
	})
	in := `{"schl\u00fcssel":"k1","a\"b":"shop","\tstage":"prod","api_key":"kept: not a field of this format"}`
	want := strings.TrimSuffix(in, "}") + `,"plan_id":"Gold","sub\"scription":"Acme Corp"}` + "\n"
	got, err := e.Append(nil, []byte(in))
	if err != nil {
		t.Fatalf("Append(%s): %v", in, err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("Append(%s): -want +got\n%s", in, diff)
	}
}

func TestNoOutputNames(t *testing.T) {
	e := newEnricher(t, func(c *enrich.Config) { c.UsagePlan, c.Customer, c.UsagePlanID = "", "", "" })
	for in, want := range map[string]string{`{}`: "{}\n", ` {"a":1 } `: "{\"a\":1 }\n"} {
		if got, err := e.Append(nil, []byte(in)); err != nil || string(got) != want {
			t.Errorf("Append(%s) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	e := newEnricher(t, nil)
	for _, in := range []string{`{“a”:“b”}`, `{"key_id":"k9"}`, `{"key_id":"-"}`, `{"key_id":"k8"}{"key_id":"k1"}`, `{`, `{}{`} {
		_, _ = e.Append(nil, []byte(in))
	}
	if got := e.Unknown(); got != 2 {
		t.Errorf("Unknown() = %d, want 2", got)
	}
}

func TestAppendInParallel(t *testing.T) {
	e := newEnricher(t, func(c *enrich.Config) { c.APIKey, c.HashSalt = enrich.Hash, []byte("salt") })
	in := []byte(`{"api_key":"kJ8sWq2LmN4pR7tV9xZ1","key_id":"k1","api_id":"shop","stage":"prod"}`)
	want := `{"api_key":"da52257a66558a177963611755686e16","key_id":"k1","api_id":"shop","stage":"prod",` + acme + "}\n"
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				if got, err := e.Append(nil, in); err != nil || string(got) != want {
					t.Errorf("Append = %s, %v, want %s", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNewRejects(t *testing.T) {
	tests := map[string]func(*enrich.Config){
		"unknown mode":         func(c *enrich.Config) { c.APIKey = "encrypt" },
		"hash without a salt":  func(c *enrich.Config) { c.APIKey = enrich.Hash },
		"duplicate name":       func(c *enrich.Config) { c.UsagePlan, c.Customer = "plan", "plan" },
		"input is also output": func(c *enrich.Config) { c.Customer = "key_id" },
		"negative limit":       func(c *enrich.Config) { c.MaxBytes = -1 },
	}
	for name, change := range tests {
		cfg := enrich.Config{UsagePlan: "usage_plan", Customer: "customer"}
		change(&cfg)
		if _, err := enrich.New(cfg, people{}); err == nil {
			t.Errorf("%s: New succeeded, want an error", name)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	dir, records := tenThousand()
	notJSON := []byte("not JSON")
	for _, mode := range []enrich.APIKeyMode{enrich.Mask, enrich.Hash, enrich.Drop, enrich.Keep} {
		e, err := enrich.New(enrich.Config{
			UsagePlan: "usage_plan", Customer: "customer", UsagePlanID: "usage_plan_id",
			APIKey: mode, HashSalt: []byte("salt"),
		}, dir)
		if err != nil {
			t.Fatal(err)
		}
		out, i := make([]byte, 0, 4096), 0
		allocs := testing.AllocsPerRun(1000, func() {
			out, err = e.Append(out[:0], records[i%len(records)])
			if err != nil {
				t.Fatal(err)
			}
			if _, err = e.Append(out[:0], notJSON); err == nil {
				t.Fatal("not JSON was accepted")
			}
			i++
		})
		if allocs != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations per record, want 0", mode, allocs)
		}
	}
}

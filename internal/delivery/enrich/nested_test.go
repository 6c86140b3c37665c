package enrich_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/delivery/enrich"
)

const apiKey = "kJ8sWq2LmN4pR7tV9xZ1"

// expand replaces $K, $I, $A and $S in a format with the variables that enrichment reads.
var expand = strings.NewReplacer("$K", accesslog.VarAPIKey, "$I", accesslog.VarKeyID, "$A", accesslog.VarAPIID, "$S", accesslog.VarStage).Replace

func TestHidesKeyEverywhere(t *testing.T) {
	const masked, hashed = "****************9xZ1", "da52257a66558a177963611755686e16"
	for _, tt := range []struct {
		name, format, in string
		mask, hash, drop string // "" where the input stays
	}{
		{"nested", `{"identity":{"a":1,"apiKey":"$K"},"k2":"$K"}`, `{"identity":{"a":1,"apiKey":"KEY"},"k2":"KEY"}`,
			`{"identity":{"a":1,"apiKey":"MASK"},"k2":"MASK"}`, `{"identity":{"a":1,"apiKey":"HASH"},"k2":"HASH"}`, `{"identity":{"a":1}}`},
		{"three times", `{"k1":"$K","x":1,"k2":"$K","k3":"$K"}`, `{"k1":"KEY","x":1,"k2":"KEY","k3":"KEY"}`,
			`{"k1":"MASK","x":1,"k2":"MASK","k3":"MASK"}`, `{"k1":"HASH","x":1,"k2":"HASH","k3":"HASH"}`, `{"x":1}`},
		{"inside text", `{"who":"key=$K;","end":"$K."}`, `{"who":"key=KEY;","end":"KEY."}`,
			`{"who":"key=MASK;","end":"MASK."}`, `{"who":"key=HASH;","end":"HASH."}`, `{"who":"key=-;","end":"-."}`},
		{"inside text, not set", `{"who":"key=$K;"}`, `{"who":"key=-;"}`, "", "", ""},
		{"inside text, with escapes", `{"who":"\"$K\"\u0041"}`, `{"who":"\"KEY\"\u0041"}`, `{"who":"\"MASK\"A"}`, `{"who":"\"HASH\"A"}`, `{"who":"\"-\"A"}`},
		{"other text than the format's", `{"who":"key=$K"}`, `{"who":"id=KEY"}`, `{"who":"***MASK"}`, `{"who":"f4d17fc72ba4c33f1290f3358a711d0b"}`, `{"who":"-"}`},
		{"list", `{"l":["$K","$context.path",{"k":"$K"},["$K"]]}`, `{"l":["KEY","/KEY",{"k":"KEY"},["KEY"],"KEY"]}`,
			`{"l":["MASK","/KEY",{"k":"MASK"},["MASK"],"KEY"]}`, `{"l":["HASH","/KEY",{"k":"HASH"},["HASH"],"KEY"]}`, `{"l":["-","/KEY",{},["-"],"KEY"]}`},
		{"twice in one text", `{"k":"$K $K"}`, `{"k":"KEY KEY"}`, `{"k":"*********************MASK"}`, `{"k":"fa42fc6dd1589923b148b672db8f5e0e"}`, `{}`},
		{"list without quotes", `{"l":[$K]}`, `{"l":[12345678901,null,{}]}`, `{"l":["*******8901",null,{}]}`, `{"l":["d75c8c61e824ad314432ea87c5639d4c",null,{}]}`, `{"l":["-",null,{}]}`},
		{"object instead", `{"k":"$K","o":{"k":"$K"}}`, `{"k":{"x":"KEY"},"o":["KEY"]}`, `{"k":"****","o":["KEY"]}`, `{"k":"****","o":["KEY"]}`, `{"o":["KEY"]}`},
		{"escaped names", `{"o":{"k":"$K"}}`, `{"\u006f":{"\u006b":"KEY"}}`, `{"\u006f":{"\u006b":"MASK"}}`, `{"\u006f":{"\u006b":"HASH"}}`, `{"\u006f":{}}`},
		{"classic name that the format lacks", `{"o":{"x":"$context.path"}}`, `{"api_key":"KEY"}`, `{"api_key":"MASK"}`, `{"api_key":"HASH"}`, `{}`},
		{"classic name of another variable", `{"api_key":"$context.path"}`, `{"api_key":"KEY"}`, "", "", ""},
		{"curly quotes", `{“k”:“$K”}`, `{“k”:“KEY”}`, `{"k":"MASK"}`, `{"k":"HASH"}`, `{}`},
		{"same name twice", `{"k":"$S","k":"$K"}`, `{"k":"prod","k":"KEY"}`, `{"k":"****","k":"MASK"}`, `{"k":"92eabc2141b3d09b1e9841c9ab9bf080","k":"HASH"}`, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for mode, want := range map[enrich.APIKeyMode]string{enrich.Mask: tt.mask, enrich.Hash: tt.hash, enrich.Drop: tt.drop, enrich.Keep: ""} {
				if want == "" {
					want = strings.NewReplacer("“", `"`, "”", `"`).Replace(tt.in)
				}
				e := newEnricher(t, func(c *enrich.Config) {
					c.Format, c.APIKey, c.HashSalt = accesslog.Parse(expand(tt.format)), mode, []byte("salt")
					c.UsagePlan, c.Customer, c.UsagePlanID = "", "", ""
				})
				fill := strings.NewReplacer("KEY", apiKey, "MASK", masked, "HASH", hashed).Replace
				got, err := e.Append(nil, []byte(fill(tt.in)))
				if err != nil {
					t.Fatalf("%s: %v", mode, err)
				}
				if diff := cmp.Diff(fill(want)+"\n", string(got)); diff != "" {
					t.Errorf("%s: -want +got\n%s", mode, diff)
				}
			}
		})
	}
}

func TestAttributesNestedFields(t *testing.T) {
	for format, in := range map[string]string{
		`{"identity":{"apiKeyId":"$I"},"api":{"id":"$A","stage":"$S"}}`: `{"identity":{"apiKeyId":"k1"},"api":{"id":"shop","stage":"prod"}}`,
		`{"l":[{"i":"$I"},"$A"],"stage":"$S"}`:                          `{"l":[{"i":"k1"}, "shop"],"stage":"prod"}`,
		`{"o":{"i":"$I"},"other":"$I","a":"$A"}`:                        `{"other":"k2","o":{"i":"k1"},"a":"shop","stage":"prod"}`, // the format's first; stage as in the classic format
	} {
		e := newEnricher(t, func(c *enrich.Config) { c.Format = accesslog.Parse(expand(format)) })
		want := strings.TrimSuffix(in, "}") + "," + acme + "}\n"
		if got, err := e.Append(nil, []byte(in)); err != nil || string(got) != want {
			t.Errorf("format %s:\ngot  %s, %v\nwant %s", format, got, err, want)
		}
	}
}

// TestRandomFormatsNeverShowKey renders random formats, enriches the lines, and compares the result with the
// same format rendered with the hidden key. Essential must do the same as the format.
func TestRandomFormatsNeverShowKey(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	for range 3_000 {
		text := "{" + randomMembers(random, 3) + "}"
		format := accesslog.Parse(expand(text))
		values := map[string]string{accesslog.VarAPIKey: apiKey, accesslog.VarKeyID: "k9", accesslog.VarStage: "prod"}
		line := func() []byte {
			return format.AppendLine(nil, func(v string) (string, bool) { return values[v], true })
		}
		in := line()
		values[accesslog.VarAPIKey] = "****************9xZ1"
		want := string(line()) + "\n"
		for _, f := range []*accesslog.Format{format, accesslog.Parse(enrich.Essential(format))} {
			e := newEnricher(t, func(c *enrich.Config) {
				c.Format, c.UsagePlan, c.Customer, c.UsagePlanID = f, "", "", ""
			})
			got, err := e.Append(nil, in)
			if err != nil {
				t.Fatalf("format %s, record %s: %v", text, in, err)
			}
			if !format.HidesAPIKey() {
				if strings.Contains(string(got), apiKey) || !json.Valid(got) {
					t.Fatalf("format %s, by %s: %s shows the key", text, f, got)
				}
			} else if string(got) != want {
				t.Fatalf("format %s, by %s:\ngot  %swant %s", text, f, got, want)
			}
		}
	}
}

// randomMembers returns members of an object with unique names.
func randomMembers(random *rand.Rand, depth int) string {
	var members []string
	for i := range random.IntN(5) {
		members = append(members, fmt.Sprintf(`"%c%d":%s`, 'a'+random.IntN(3), i, randomValue(random, depth)))
	}
	return strings.Join(members, ",")
}

func randomValue(random *rand.Rand, depth int) string {
	n := 9
	if depth == 0 {
		n = 7
	}
	switch random.IntN(n) {
	case 0, 1:
		return `"$K"`
	case 2:
		return `"x=$K."`
	case 3:
		return `"$S"`
	case 4:
		return `"$I"`
	case 5:
		return `"$context.path,$K"`
	case 6:
		return `7`
	case 7:
		return "{" + randomMembers(random, depth-1) + "}"
	}
	var elements []string
	for range random.IntN(4) {
		elements = append(elements, randomValue(random, depth-1))
	}
	return "[" + strings.Join(elements, ", ") + "]"
}

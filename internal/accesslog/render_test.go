package accesslog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostile holds values that clients may send to break a line.
var hostile = []string{
	"", "-", "plain", `"`, `\`, `\"`, `","customer":"me`, "\n", "a\r\nb", "\x00\x01\x1f\x7f", "\xff\xfe", "a\xc3", "\u2028\u2029",
	"</script><script>alert(1)</script>", "日本語 😀", "\xed\xa0\x80", "{\"a\":1}", "$context.stage", "\ufffd", strings.Repeat(`\`, 100),
	"%22%0a", "\u0085", "\t\b\f", "curl/8.5.0 (x86_64; \"quoted\") \\o/",
}

func TestAppendValuesRendersLikeAPIGateway(t *testing.T) {
	for _, tt := range []struct {
		name, format string
		values       []string
		want         string
	}{
		{"value", `{"s":"$context.stage"}`, []string{"prod"}, `{"s":"prod"}`},
		{"no value", `{"s":"$context.stage"}`, []string{""}, `{"s":"-"}`},
		{"values missing", `{"s":"$context.stage","p":"$context.path"}`, nil, `{"s":"-","p":"-"}`},
		{"newline only where the format has it", "$context.stage\n", []string{"prod"}, "prod\n"},
		{"same variable twice", "$context.stage $context.path $context.stage", []string{"a", "b"}, "a b a"},
		{"quotes", `{"p":"$context.path"}`, []string{`/a"b\c`}, `{"p":"/a\"b\\c"}`},
		{"control characters", "$context.path", []string{"a\nb\tc\x00\x7f"}, `a\nb\tc\u0000\u007f`},
		{"invalid UTF-8", "$context.path", []string{"a\xffb"}, "a\ufffdb"},
		{"line separators", "$context.path", []string{"a\u2028b\u2029"}, `a\u2028b\u2029`},
		{"markup", "$context.path", []string{"</script>"}, `\u003c/script>`},
		{"a value is not a format", "$context.path", []string{"$context.stage"}, "$context.stage"},
		{"message string in its quotes", `{"e":$context.error.messageString}`, []string{`bad "x"`}, `{"e":"bad \"x\""}`},
		{"message string without value", `{"e":$context.error.messageString}`, []string{""}, `{"e":-}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := Parse(tt.format)
			if got := string(f.AppendValues([]byte(">"), tt.values)); got != ">"+tt.want {
				t.Errorf("AppendValues(%q) of %q = %q, want %q", tt.values, tt.format, got, ">"+tt.want)
			}
			byName := map[string]string{}
			for i, v := range tt.values {
				byName[f.Variables()[i]] = v
			}
			value := func(name string) (string, bool) { v, ok := byName[name]; return v, ok }
			if got := string(f.AppendLine(nil, value)); got != tt.want {
				t.Errorf("AppendLine of %q = %q, want %q", tt.format, got, tt.want)
			}
		})
	}
}

func TestHostileValuesStayInTheirField(t *testing.T) {
	for _, name := range Presets() {
		format, _ := Preset(name)
		for _, v := range hostile {
			checkLine(t, format, v)
		}
	}
}

// checkLine renders a JSON format with v for every variable, and checks that the result is one line of JSON with exactly v in
// every field.
func checkLine(t *testing.T, format, v string) {
	t.Helper()
	f := Parse(format)
	values := make([]string, len(f.Variables()))
	for i := range values {
		values[i] = v
	}
	line := f.AppendValues(nil, values)
	if i := bytes.IndexByte(line, '\n'); i != len(line)-1 {
		t.Fatalf("value %q: newline at byte %d of %d in %q", v, i, len(line), line)
	}
	if bytes.ContainsRune(line, '\u2028') || bytes.ContainsRune(line, '\u2029') || bytes.Contains(line, []byte("</")) {
		t.Errorf("value %q: the line contains the end of a JavaScript line or of a script element: %q", v, line)
	}
	var got map[string]string
	dec := json.NewDecoder(bytes.NewReader(line))
	if err := dec.Decode(&got); err != nil || dec.More() {
		t.Fatalf("value %q: the line is not one JSON object (%v): %q", v, err, line)
	}
	want := string([]rune(v)) // each invalid UTF-8 byte becomes U+FFFD
	if v == "" {
		want = "-"
	}
	wanted := map[string]string{}
	for _, m := range Parse(format).Names() {
		wanted[m] = want
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("value %q (-want +got):\n%s", v, diff)
	}
}

func FuzzRender(f *testing.F) {
	for _, v := range hostile {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) { checkLine(t, Full, v) })
}

func benchValues(f *Format) []string {
	values := make([]string, len(f.Variables()))
	for i, name := range f.Variables() {
		v, _ := Explain(name)
		values[i] = v.Example
	}
	return values
}

func TestAppendValuesAllocatesNothing(t *testing.T) {
	f := Parse(Full)
	values := benchValues(f)
	values[5] = `/prod/"quoted"\` + "\n\xff\u2028<"
	buf := make([]byte, 0, 8<<10)
	if n := testing.AllocsPerRun(100, func() { buf = f.AppendValues(buf[:0], values) }); n != 0 {
		t.Errorf("AppendValues: %v allocations per line, want 0", n)
	}
}

func BenchmarkAppendValues(b *testing.B) {
	for _, name := range Presets() {
		b.Run(name, func(b *testing.B) {
			format, _ := Preset(name)
			f := Parse(format)
			values := benchValues(f)
			buf := f.AppendValues(nil, values)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = f.AppendValues(buf[:0], values)
			}
		})
	}
}

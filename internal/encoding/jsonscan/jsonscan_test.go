package jsonscan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// document parses b as one value with white space around it.
func document(b []byte) *Bad {
	end, bad := ValueEnd(b, SpaceEnd(b, 0), 0)
	if bad == nil && SpaceEnd(b, end) != len(b) {
		return BadJSON
	}
	return bad
}

func TestValueEndReasons(t *testing.T) {
	for _, tt := range []struct {
		json string
		want *Bad
	}{
		{`{}`, nil}, {`[]`, nil}, {` { "a" : [ 1 , true , null , "x" ] } `, nil},
		{`0`, nil}, {`-0.5e+10`, nil}, {`1E400`, nil}, {`12345678901234567890123`, nil},
		{`"\u00e9\ud83d\ude00\b\f\n\r\t\/\\\""`, nil}, {`"\ud800"`, nil}, {"\"\u2028\x7f\"", nil},
		{``, BadTruncated}, {`  `, BadTruncated}, {`{`, BadTruncated}, {`{"a"`, BadTruncated}, {`{"a":`, BadTruncated}, {`{"a":1`, BadTruncated}, {`{"a":1,`, BadTruncated},
		{`[1`, BadTruncated}, {`[1,`, BadTruncated}, {`"a`, BadTruncated}, {`"a\`, BadTruncated}, {`"\u00e`, BadTruncated},
		{`-`, BadTruncated}, {`1.`, BadTruncated}, {`1e`, BadTruncated}, {`1e+`, BadTruncated}, {`tru`, BadTruncated}, {`nul`, BadTruncated},
		{`-a`, BadJSON}, {`+1`, BadJSON}, {`01`, BadJSON}, {`1.a`, BadJSON}, {`.5`, BadJSON}, {`0x10`, BadJSON}, {`NaN`, BadJSON}, {`True`, BadJSON}, {`trux`, BadJSON},
		{`{a:1}`, BadJSON}, {`{'a':1}`, BadJSON}, {`{"a" 1}`, BadJSON}, {`{"a":1,}`, BadJSON}, {`{"a":1 "b":2}`, BadJSON}, {`{,}`, BadJSON}, {`{"a":1]`, BadJSON},
		{`[1,]`, BadJSON}, {`[1 2]`, BadJSON}, {`[}`, BadJSON}, {`{} {}`, BadJSON}, {`1 2`, BadJSON}, {`/* */ 1`, BadJSON}, {"\ufeff{}", BadJSON},
		{`"\x"`, BadJSON}, {`"\u00g0"`, BadJSON}, {"\"a\nb\"", BadJSON}, {"\"\x00\"", BadJSON}, {"\"\x1f\"", BadJSON},
		{"\"\xff\"", BadUTF8}, {"\"\xc0\xaf\"", BadUTF8}, {"\"\xed\xa0\x80\"", BadUTF8}, {"\"\xe2\x80", BadUTF8}, {"\"12345678\x80\"", BadUTF8},
		{strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), nil},
		{strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), BadDepth},
		{strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth), nil},
		{strings.Repeat(`{"a":`, MaxDepth+1) + "1" + strings.Repeat("}", MaxDepth+1), BadDepth},
	} {
		if got := document([]byte(tt.json)); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.json, got, tt.want)
		}
		checkAgainstEncodingJSON(t, []byte(tt.json))
	}
}

// TestPlainEndFindsEachSpecialByte tests every byte at every position within and after groups of eight.
func TestPlainEndFindsEachSpecialByte(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			b := bytes.Repeat([]byte("x"), 20)
			b[at] = byte(c)
			want := len(b)
			if c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
				want = at
			}
			for from := range at + 1 {
				if got := PlainEnd(b, from); got != want {
					t.Fatalf("PlainEnd from %d with %#x at %d = %d, want %d", from, c, at, got, want)
				}
			}
		}
	}
}

func TestMembersStopsAtBad(t *testing.T) {
	rec := []byte(`x{"a":1, "b\u0041" : {"c":[2,3]} ,"a":"z"} rest`)
	var got []string
	next, bad := Members(rec, 1, func(name []byte, escaped bool, value []byte) *Bad {
		text := string(name) + "=" + string(value)
		if escaped {
			text = "escaped " + text
		}
		got = append(got, text)
		return nil
	})
	if diff := cmp.Diff([]string{"a=1", `escaped b\u0041={"c":[2,3]}`, `a="z"`}, got); diff != "" || bad != nil || string(rec[next:]) != " rest" {
		t.Errorf("Members ended before %q with %v (-want +got):\n%s", rec[next:], bad, diff)
	}

	calls := 0
	if _, bad := Members(rec, 1, func([]byte, bool, []byte) *Bad { calls++; return BadDepth }); bad != BadDepth || calls != 1 {
		t.Errorf("function that returns a Bad: %d calls and %v, want 1 and its Bad", calls, bad)
	}
	for broken, want := range map[string]*Bad{`{`: BadTruncated, `{"a":1,`: BadTruncated, `{1:2}`: BadJSON, `{"a" 1}`: BadJSON, `{"a":01}`: BadJSON, "{\"\xff\":1}": BadUTF8} {
		if _, bad := Members([]byte(broken), 0, func([]byte, bool, []byte) *Bad { return nil }); bad != want {
			t.Errorf("Members of %q: %v, want %v", broken, bad, want)
		}
	}
}

func TestUnescapeAppends(t *testing.T) {
	dst := append(make([]byte, 0, 64), "kept "...)
	if got := string(Unescape(dst, []byte(`a\/\u00e9\ud83d\ude00\ud800\u0041`))); got != "kept a/é😀\ufffdA" {
		t.Errorf("Unescape = %q", got)
	}
}

func TestFixQuotes(t *testing.T) {
	for _, tt := range []struct{ name, rec, want string }{
		{"straight quotes only", `{"a":"b"}`, ""},
		{"all curly", `{“a”: “b”,„c‟:＂d＂}`, `{"a": "b","c":"d"}`},
		{"a curly quote inside a value", `{“a”:“b”c”}`, `{"a":"b”c"}`},
		{"a straight quote inside a value", `{“a”:“say "x"”}`, `{"a":"say \"x\""}`},
		{"an escape is kept", `{“a”:“x\n\"y”}`, `{"a":"x\n\"y"}`},
		{"curly inside straight ones", `{"a":"“b”",“c”:1}`, `{"a":"“b”","c":1}`},
	} {
		if got := FixQuotes([]byte(tt.rec)); string(got) != tt.want || (got == nil) != (tt.want == "") {
			t.Errorf("%s: FixQuotes(%s) = %s, want %s", tt.name, tt.rec, got, tt.want)
		}
	}
}

func TestRepeats(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"` + strings.Repeat("x", i+1) + `":1`)
		}
		return "{" + b.String()[1:] + "}"
	}
	for rec, want := range map[string]bool{
		`{}`: false, `{"a":1,"b":2}`: false, `{"a":{"a":1}}`: false, `{"a":1}{"a":1}`: false, ` {"a":1} {"b":2} `: false,
		`{"a":1,"b":2,"a":3}`: true, `{"a":1,"\u0061":2}`: true, `{"a":1} {"b":1,"b":2}`: true,
		many(maxMembers): false, many(maxMembers + 1): true,
	} {
		if got := Repeats([]byte(rec)); got != want {
			t.Errorf("Repeats(%.60s) = %v, want %v", rec, got, want)
		}
	}
}

// depthOf returns the nesting depth of a valid document.
func depthOf(t *testing.T, b []byte) int {
	t.Helper()
	depth, deepest := 0, 0
	for dec := json.NewDecoder(bytes.NewReader(b)); ; {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
			deepest = max(deepest, depth)
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
}

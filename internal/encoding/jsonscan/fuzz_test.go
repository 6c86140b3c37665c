package jsonscan

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzAgainstEncodingJSON compares every function with the standard library's JSON.
func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{"requestId":"r1","key_id":"k1","status":200,"latency":1.5e-3,"nested":{"a":[1,true,null,"x"]},"empty":{},"none":[]}`,
		`"\u00e9\ud83d\ude00\ud800x\udc00\ud800\u0041\b\f\n\r\t\/\\\""`, "\"\xff\"", `[[[[[]]]]]`, `-0.0e-0`, `01`, `{"a":1,"\u0061":2}`, ` {"a":1} {"b":2} `,
		`{“a”: “b "c" ” d”}`, "{\"a\u201c\":\"\u00e9\"}", "\"\x7f\u2028\"", `{"a":1,}`, `nul`, "\ufeff{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		checkAgainstEncodingJSON(t, data)
		if repaired := FixQuotes(data); repaired != nil {
			checkAgainstEncodingJSON(t, repaired)
		}
		if !bytes.Equal(before, data) {
			t.Fatalf("%q was changed to %q", before, data)
		}
	})
}

// checkAgainstEncodingJSON checks the contract: a document is accepted if and only if it is valid according to the standard
// library, valid UTF-8 and not too deep; and its content is the same as in the standard library.
func checkAgainstEncodingJSON(t *testing.T, data []byte) {
	t.Helper()
	bad, valid := document(data), json.Valid(data)
	switch {
	case bad == nil && !(valid && utf8.Valid(data)):
		t.Fatalf("%q is accepted; valid according to encoding/json: %v; valid UTF-8: %v", data, valid, utf8.Valid(data))
	case bad == nil:
		if depth := depthOf(t, data); depth > MaxDepth {
			t.Fatalf("%q is accepted, with %d levels of nesting", data, depth)
		}
		checkPrefixes(t, data)
		checkContent(t, data)
	case valid && !(bad == BadUTF8 && !utf8.Valid(data) || bad == BadDepth && depthOf(t, data) > MaxDepth):
		t.Fatalf("%q is rejected (%v), but accepted by encoding/json", data, bad)
	case bad == BadUTF8 && utf8.Valid(data):
		t.Fatalf("%q is rejected with %v, but is valid UTF-8", data, bad)
	}
}

// checkPrefixes checks that a truncated document is reported as such.
func checkPrefixes(t *testing.T, data []byte) {
	t.Helper()
	for n := range min(len(data), 300) {
		part := data[:n]
		bad := document(part)
		if !utf8.Valid(part) && bad == BadUTF8 || bad == BadTruncated || bad == nil && json.Valid(part) {
			continue
		}
		t.Fatalf("%q, a prefix of a valid document: %v, want %v", part, bad, BadTruncated)
	}
}

// checkContent compares the strings and members of a valid document with the standard library's.
func checkContent(t *testing.T, data []byte) {
	t.Helper()
	at := SpaceEnd(data, 0)
	switch data[at] {
	case '"':
		checkString(t, data[at:])
	case '{':
		checkMembers(t, data, at)
	}
}

// checkString compares the string at the start of b with the standard library's, and returns its value.
func checkString(t *testing.T, b []byte) string {
	t.Helper()
	end, escaped, bad := StringEnd(b, 1)
	if bad != nil {
		t.Fatalf("StringEnd(%q): %v", b, bad)
	}
	raw := b[1:end]
	var want string
	if err := json.Unmarshal(b[:end+1], &want); err != nil {
		t.Fatalf("%q is not a string: %v", b[:end+1], err)
	}
	if got := string(Unescape(nil, raw)); got != want || escaped != bytes.Contains(raw, []byte(`\`)) {
		t.Fatalf("string %q = %q (escaped: %v), want %q", raw, got, escaped, want)
	}
	return want
}

func checkMembers(t *testing.T, data []byte, at int) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var names []string
	repeated := false
	next, bad := Members(data, at, func(raw []byte, escaped bool, value []byte) *Bad {
		name := checkString(t, slices.Concat([]byte(`"`), raw, []byte(`"`)))
		token, err := dec.Token()
		if err != nil || token != name || escaped != bytes.Contains(raw, []byte(`\`)) {
			t.Fatalf("%q: member %q (escaped: %v), want %v (%v)", data, name, escaped, token, err)
		}
		var want json.RawMessage
		if err := dec.Decode(&want); err != nil || !bytes.Equal(want, value) {
			t.Fatalf("%q: value of %q = %q, want %q (%v)", data, name, value, want, err)
		}
		if value[0] == '"' {
			checkString(t, value)
		}
		repeated = repeated || slices.Contains(names, name)
		names = append(names, name)
		return nil
	})
	if bad != nil || SpaceEnd(data, next) != len(data) || dec.More() {
		t.Fatalf("Members(%q) ended at %d with %v; encoding/json has more: %v", data, next, bad, dec.More())
	}
	if got, want := Repeats(data), repeated || len(names) > maxMembers; got != want {
		t.Fatalf("Repeats(%q) = %v, want %v", data, got, want)
	}
}

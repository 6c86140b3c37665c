package enrich_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/delivery/enrich"
)

// member is one member of an object, read by encoding/json.
type member struct {
	Name  string
	Value string // raw, with newlines between tokens as spaces
}

// FuzzAppend compares Append with encoding/json: input that is a sequence of objects becomes valid
// JSON, one line each, with the same members and bytes except for the enrichment; other input is
// rejected.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{
		`{"key_id":"k1","api_id":"shop","stage":"prod"}`, `{}`, `{"a":1}{"b":[true,null,-0.5e-7]}` + "\n",
		`{"api_key":"kJ8sWq2LmN4pR7tV9xZ1","a":"\ud83d\ude00 \u002d"}`, `{"usage_plan":"-","customer":"x","customer":"-","api_key":null}`,
		"{ \"k\\u0065y_id\" :\r\n \"k2\" , \"api_key\":[1,\n{}] }", `{"usage_plan_id":"\u002d","api_key":"-","api_key":12345678}`,
		`{"api_key":"\ud800\udc00\ud800\u0041bcdefg"}`, `{"key_id":42,"a":"é“”"}`, `[`, `{"a":tru`, "{\"a\":\"\xff\"}", `{“a”:“b”}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		if bytes.ContainsAny(rec, "\u201c\u201d\u201e\u201f\uff02") && !json.Valid(rec) {
			_, _ = newEnricher(t, nil).Append(nil, rec) // must not panic; repairs are tested elsewhere
			return
		}
		if mayWrap.Match(rec) {
			return // FuzzUnwrap's
		}
		for _, mode := range []enrich.APIKeyMode{enrich.Mask, enrich.Drop, enrich.Keep, enrich.Hash} {
			checkRecord(t, mode, rec)
		}
	})
}

// mayWrap matches records that may wrap lines.
var mayWrap = regexp.MustCompile(`"(@?message|log|messageType)"|\d\d-\d\dT\d\d|^\x1f`)

// FuzzUnwrap compares the lines of a wrapped text with those of the bare text, and looks for an API key.
func FuzzUnwrap(f *testing.F) {
	const line = `{"key_id":"k1","api_id":"shop","stage":"prod","api_key":"` + apiKey + `"}`
	for form := range uint8(8) {
		for _, text := range []string{line, line + "\n" + line, `{"log":"` + inJSON(line) + `","a":"` + apiKey + `"}`, "key=" + apiKey, line[:60], `{“key_id”:“k1”}`, control, "{}", ""} {
			f.Add([]byte(text), form)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, form uint8) {
		if !utf8.Valid(text) {
			return // encoding/json would change it
		}
		wrapped := []byte(inJSON(string(text)))
		switch form % 8 {
		case 0:
			wrapped = []byte(zipped(envelope(string(text), line)))
		case 1:
			wrapped = []byte(envelope(string(text)))
		case 2:
			wrapped = []byte(envelope(`{"log":"` + string(wrapped) + `"}`))
		case 3:
			wrapped = []byte(`{"log":"` + string(wrapped) + `"}`)
		case 4:
			wrapped = []byte(`{"@message":"` + string(wrapped) + `","c":"` + string(wrapped) + `"}`)
		case 5:
			wrapped = append([]byte("2026-11-28T08:30:00.000Z "), text...)
		case 6:
			wrapped = []byte(zipped(string(text)))
		case 7:
			wrapped = text
		}
		e := newEnricher(t, nil)
		bare, bareErr := e.Append(nil, text)
		out, err := e.Append([]byte("|"), wrapped)
		if err != nil {
			if string(out) != "|" {
				t.Fatalf("Append(%q) = %q, %v, want dst unchanged", wrapped, out, err)
			}
			return
		}
		out = out[1:]
		for got := range bytes.Lines(out) {
			if !json.Valid(got) || got[0] != '{' {
				t.Fatalf("Append(%q) = %q, which is not a line of JSON", wrapped, got)
			}
		}
		if bareErr == nil && (form%8 < 2 || form%8 == 6) && !bytes.Contains(out, bare) {
			t.Errorf("Append(%q) = %q, want the lines %q", wrapped, out, bare)
		}
		if !bytes.Contains(bare, []byte(apiKey)) && bytes.Contains(out, []byte(apiKey)) {
			t.Errorf("Append(%q) = %q, which has the key; of the bare text it is %q", wrapped, out, bare)
		}
	})
}

// TestAnyOrderOfMembers makes the same checks with objects of a few relevant members in any order,
// repeated, with and without white space.
func TestAnyOrderOfMembers(t *testing.T) {
	pool := []string{
		`"a":1`, `"api_key":"kJ8sWq2LmN4pR7tV9xZ1"`, `"api_key" : null`, `"api_key":"-"`, `"key_id":"k1"`, `"key_id":"-"`,
		`"api_id":"shop"`, `"stage":"prod"`, `"usage_plan":"-"`, `"usage_plan":"Mine"`, `"customer":"-"`, `"usage_plan_id" :"\u002d"`,
	}
	spaces := []string{"", "", " ", "\n", "\t "}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		var b strings.Builder
		for range 1 + random.IntN(2) {
			b.WriteString("{" + spaces[random.IntN(len(spaces))])
			for i := range random.IntN(7) {
				if i > 0 {
					b.WriteString("," + spaces[random.IntN(len(spaces))])
				}
				b.WriteString(pool[random.IntN(len(pool))] + spaces[random.IntN(len(spaces))])
			}
			b.WriteString("}")
		}
		mode := []enrich.APIKeyMode{enrich.Mask, enrich.Drop, enrich.Keep, enrich.Hash}[random.IntN(4)]
		checkRecord(t, mode, []byte(b.String()))
	}
}

// checkRecord compares the result of Append with that of encoding/json.
func checkRecord(t *testing.T, mode enrich.APIKeyMode, rec []byte) {
	t.Helper()
	objects, ok := readObjects(rec)
	e := newEnricher(t, func(c *enrich.Config) { c.APIKey, c.HashSalt = mode, []byte("salt") })
	out, err := e.Append(nil, rec)
	if !ok {
		var bad *enrich.Bad
		if !errors.As(err, &bad) || len(out) != 0 {
			t.Fatalf("%s: Append(%q) = %q, %v, want only a *Bad", mode, rec, out, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: Append(%q): %v", mode, rec, err)
	}
	lines := bytes.SplitAfter(out, []byte("\n"))
	if last := len(lines) - 1; len(lines[last]) != 0 || last != len(objects) {
		t.Fatalf("%s: Append(%q) = %q, want %d lines", mode, rec, out, len(objects))
	}
	for i, object := range objects {
		checkLine(t, mode, object, lines[i])
	}
}

// readObjects returns the objects of a record, or false if it contains anything else.
func readObjects(rec []byte) (objects []json.RawMessage, ok bool) {
	if !utf8.Valid(rec) {
		return nil, false
	}
	for dec := json.NewDecoder(bytes.NewReader(rec)); ; {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			return objects, len(objects) > 0
		} else if err != nil || raw[0] != '{' || depth(raw) > 100 {
			return nil, false
		}
		objects = append(objects, raw)
	}
}

func depth(raw []byte) (deepest int) {
	now := 0
	for dec := json.NewDecoder(bytes.NewReader(raw)); ; {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

func readMembers(t *testing.T, object []byte) (all []member) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		t.Fatalf("%q is not an object: %v", object, err)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			t.Fatalf("%q: %v", object, err)
		}
		all = append(all, member{name.(string), onLine(raw)})
	}
	return all
}

var onLineReplacer = strings.NewReplacer("\n", " ", "\r", " ")

func onLine(raw []byte) string { return onLineReplacer.Replace(string(raw)) }

// checkLine compares one enriched line with the one expected for the object's members.
func checkLine(t *testing.T, mode enrich.APIKeyMode, object, line []byte) {
	t.Helper()
	if !json.Valid(line) {
		t.Fatalf("%s: %q became %q, which is not valid JSON", mode, object, line)
	}
	in := readMembers(t, object)
	var key, api, stage any
	for _, m := range in {
		var v any
		_ = json.Unmarshal([]byte(m.Value), &v)
		if _, ok := v.(float64); ok {
			v = m.Value
		}
		switch m.Name {
		case "key_id":
			key = v
		case "api_id":
			api = v
		case "stage":
			stage = v
		}
	}
	values := map[string]string{"usage_plan": "-", "customer": "-", "usage_plan_id": "-"}
	if id, ok := key.(string); ok {
		a, _ := api.(string)
		s, _ := stage.(string)
		for name, v := range named(people{}.Lookup([]byte(id), []byte(a), []byte(s))) {
			if v != "" {
				values[name] = v
			}
		}
	}

	want, edited := expected(mode, in, values)
	if diff := cmp.Diff(plainKeys(want), plainKeys(readMembers(t, line))); diff != "" {
		t.Fatalf("%s: %q became %q: -want +got\n%s", mode, object, line, diff)
	}
	if !edited && !strings.HasPrefix(string(line), onLine(object[:len(object)-1])) {
		t.Fatalf("%s: %q became %q, want it to begin with the same bytes", mode, object, line)
	}
}

func named(plan, planID, customer string, _ bool) map[string]string {
	return map[string]string{"usage_plan": plan, "customer": customer, "usage_plan_id": planID}
}

// expected returns the members of the output. edited reports whether any of the input's changed.
func expected(mode enrich.APIKeyMode, in []member, values map[string]string) (want []member, edited bool) {
	present, taken := map[string]bool{}, map[string]bool{}
	isDash := func(m member) bool {
		var s string
		return m.Value != "null" && json.Unmarshal([]byte(m.Value), &s) == nil && s == "-"
	}
	for _, m := range in {
		present[m.Name] = true
		taken[m.Name] = taken[m.Name] || !isDash(m)
	}
	for _, m := range in {
		before := m.Value
		switch _, out := values[m.Name]; {
		case out && !taken[m.Name]:
			m.Value = quote(values[m.Name])
		case m.Name == "api_key" && mode == enrich.Drop:
			edited = true
			continue
		case m.Name == "api_key" && mode != enrich.Keep && !isDash(m) && m.Value != "null":
			m.Value = hidden(mode, m.Value)
		}
		edited = edited || m.Value != before
		want = append(want, m)
	}
	for _, name := range []string{"usage_plan", "customer", "usage_plan_id"} {
		if !present[name] {
			want = append(want, member{name, quote(values[name])})
		}
	}
	return want, edited
}

// hidden returns the replacement of an API key's value, as a JSON string without needless escapes.
func hidden(mode enrich.APIKeyMode, value string) string {
	var s string
	composite := false
	if json.Unmarshal([]byte(value), &s) != nil {
		s = value
		composite = value[0] != '-' && (value[0] < '0' || value[0] > '9')
	}
	switch {
	case composite:
		s = "****"
	case mode == enrich.Hash:
		mac := hmac.New(sha256.New, []byte("salt"))
		mac.Write([]byte(s))
		s = hex.EncodeToString(mac.Sum(nil)[:16])
	default:
		r := []rune(s)
		for i := range r {
			if len(r) < 8 || i < len(r)-4 {
				r[i] = '*'
			}
		}
		s = string(r)
	}
	return quote(s)
}

// quote returns s as a JSON string, escaped like the output.
func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return strings.NewReplacer(`\\`, `\\`, `\t`, `\u0009`, `\ufffd`, "\ufffd").Replace(strings.TrimSuffix(b.String(), "\n"))
}

// plainKeys rewrites API keys that are strings without needless escapes, so that they compare.
func plainKeys(all []member) []member {
	for i, m := range all {
		var s string
		if m.Name == "api_key" && m.Value != "null" && json.Unmarshal([]byte(m.Value), &s) == nil {
			all[i].Value = quote(s)
		}
	}
	return all
}

package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonicalComparesMeaning(t *testing.T) {
	const base = `{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}`
	tests := []struct {
		name string
		text string
		same bool
	}{
		{"itself", base, true},
		{"URL-encoded", url.PathEscape(base), true},
		{"URL-encoded, after an empty line", "%0A" + url.PathEscape(base), true},
		{"another order", strings.ReplaceAll(base, `["s3:GetObject","s3:ListBucket"]`, `["s3:ListBucket","s3:GetObject"]`), true},
		{"another Sid", strings.ReplaceAll(base, `"Sid":"A",`, ""), true},
		{"account as a number", strings.ReplaceAll(base, "arn:aws:iam::111122223333:root", "111122223333"), true},
		{"other case of the action", strings.ReplaceAll(base, "s3:GetObject", "S3:getobject"), true},
		{"bool instead of string", strings.ReplaceAll(base, `"aws:SecureTransport":"true"`, `"aws:securetransport":[true]`), true},
		{"no version", strings.ReplaceAll(base, `"Version":"2012-10-17",`, ""), true},
		{"each action in its own statement", `{"Statement":[
			{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":"true"}}},
			{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:ListBucket","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}`, true},
		{"missing resource", strings.ReplaceAll(base, `["arn:aws:s3:::b","arn:aws:s3:::b/*"]`, `"arn:aws:s3:::b"`), false},
		{"additional action", strings.ReplaceAll(base, `"s3:ListBucket"]`, `"s3:ListBucket","s3:PutObject"]`), false},
		{"denied", strings.ReplaceAll(base, "Allow", "Deny"), false},
		{"public", strings.ReplaceAll(base, `{"AWS":"arn:aws:iam::111122223333:root"}`, `"*"`), false},
		{"role of the account", strings.ReplaceAll(base, ":root", ":role/x"), false},
		{"no condition", strings.ReplaceAll(base, `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`, ""), false},
		{"another condition", strings.ReplaceAll(base, `"aws:SecureTransport":"true"`, `"aws:SecureTransport":"false"`), false},
		{"NotAction", strings.ReplaceAll(base, `"Action"`, `"NotAction"`), false},
		{"NotResource", strings.ReplaceAll(base, `"Resource"`, `"NotResource"`), false},
		{"other case of a resource", strings.ReplaceAll(base, "arn:aws:s3:::b/*", "arn:aws:s3:::B/*"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := canonicalText(tt.text) == canonicalText(base); got != tt.same {
				t.Errorf("equal: %v, want %v:\n%s\n\n%s", got, tt.same, canonicalText(tt.text), canonicalText(base))
			}
		})
	}
	whole, err := Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if got := whole.ShowOther(tt.text) == whole.Show(); got != tt.same {
			t.Errorf("%s: ShowOther equals Show: %v, want %v:\n%s\n\n%s", tt.name, got, tt.same, whole.ShowOther(tt.text), whole.Show())
		}
	}
	if !strings.Contains(whole.Show(), "s3:GetObject") {
		t.Errorf("Show changed the case of actions: %s", whole.Show())
	}
	if a, b := canonicalText(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}`),
		canonicalText(`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}`); a == b {
		t.Error("the version changes the meaning of variables, but the canonical forms are equal")
	}
}

// A value may contain the words that separate the parts of a line.
func TestCanonicalQuotesAmbiguousValues(t *testing.T) {
	when := func(condition string) string {
		return `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":` + condition + `}}`
	}
	pairs := [][2]string{
		{when(`{"StringEquals":{"k":["a","b"]}}`), when(`{"StringEquals":{"k":"a or b"}}`)},
		{when(`{"StringEquals":{"k":"a","l":"b"}}`), when(`{"StringEquals":{"k":"a and StringEquals l b"}}`)},
		{when(`{"StringEquals":{"k":[]}}`), when(`{"StringEquals":{"k":""}}`)},
		{`{"Statement":{"Effect":"Deny","NotAction":["s3:A","s3:B"],"Resource":"*"}}`, `{"Statement":{"Effect":"Deny","NotAction":"s3:A, s3:B","Resource":"*"}}`},
		{`{"Statement":{"Effect":"Allow","Action":"s3:A","Resource":["x","y"]}}`, `{"Statement":{"Effect":"Allow","Action":"s3:A","Resource":"x\nAllow s3:a on y"}}`},
	}
	for _, p := range pairs {
		if a, b := canonicalText(p[0]), canonicalText(p[1]); a == b {
			t.Errorf("%s and %s have the same canonical form: %s", p[0], p[1], a)
		}
	}
}

// The sizes of a statement's lists multiply: a policy of S3's size must not block a plan.
func TestCanonicalOfLongLists(t *testing.T) {
	long := Statement{Effect: "Allow"}
	for i := range 1500 {
		n := fmt.Sprint(i)
		long.Actions, long.Resources = append(long.Actions, "s3:"+n), append(long.Resources, "r"+n)
		long.Principal.AWS = append(long.Principal.AWS, "p"+n)
	}
	turned := long
	turned.Resources = slices.Clone(long.Resources)
	slices.Reverse(turned.Resources)
	other := long
	other.Resources = append(slices.Clone(long.Resources), "more")
	text := func(s Statement) string { return Document{Version: Version, Statements: []Statement{s}}.Canonical() }
	if got := len(text(long)); got > 64<<10 {
		t.Errorf("the canonical form has %d bytes", got)
	}
	if text(long) != text(turned) {
		t.Error("the canonical form depends on the order")
	}
	if text(long) == text(other) {
		t.Error("an additional resource does not change the canonical form")
	}
}

func TestDocumentRoundTrip(t *testing.T) {
	for name, d := range map[string]Document{
		"Firehose": firehose, "function": function, "trust": FirehoseTrust(account),
		"bucket": Bucket(BucketPermissions{Partition: "aws", Bucket: "b", Prefix: "logs/", Private: []string{"logs/errors/"}, Readers: []string{"111122223333", "444455556666"}}),
	} {
		got, err := Parse(d.JSON())
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, d.JSON())
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestForeignStatementsAreKept(t *testing.T) {
	theirs, err := Parse(`{"Version":"2008-10-17","Id":"x","Statement":[
		{"Sid":"Theirs","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/public/*"},
		{"Sid":"StagelogReaderGet","Effect":"Allow","Principal":{"AWS":"999999999999"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	own := Bucket(BucketPermissions{Partition: "aws", Bucket: "b", Prefix: "logs/", Readers: []string{"111122223333"}})
	both := theirs.With(own)
	if diff := cmp.Diff(own.Statements, both.Own().Statements); diff != "" {
		t.Errorf("own statements (-want +got):\n%s", diff)
	}
	if o := both.Others(); both.ID != "x" || both.Version != "2008-10-17" || len(o.Statements) != 1 || o.Statements[0].Sid != "Theirs" {
		t.Errorf("foreign statements: got %+v", o)
	}
	named := Document{Statements: []Statement{{Sid: "StagelogAthena", Effect: "Allow", Actions: []string{"s3:GetObject"}}}}
	if o := named.With(own).Others(); len(o.Statements) != 1 || o.Statements[0].Sid != "StagelogAthena" {
		t.Errorf("a foreign statement whose Sid only starts like ours: With kept %+v", o)
	}
	theirs.Version = "" // without a version, ${aws:username} is plain text
	if with := theirs.With(own); with.Version != "" {
		t.Errorf("With changed the Version of a foreign policy to %s, want none", with.Version)
	}
	if alone := (Document{}).With(own); alone.Version != Version {
		t.Errorf("With on an empty document: got Version %q, want %s", alone.Version, Version)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"curly quotes", "{\n  “Version”: \"2012-10-17\"}", "line 2, column 3 of the policy: curly quotes"},
		{"truncated", "{\n\"Statement\": [", "line 2, column 15"},
		{"wrong type", "{\"Statement\":\n [{\"Effect\": 3}]}", "Statement.Effect in the policy cannot be a number"},
		{"unknown effect", `{"Statement":[{"Effect":"Allow"},{"Effect":"allow"}]}`, `statement 2 of the policy has the Effect "allow"`},
		{"plain principal", `{"Statement":{"Effect":"Allow","Principal":"111122223333"}}`, `"111122223333"`},
		{"object as a value", `{"Statement":{"Effect":"Allow","Condition":{"Bool":{"k":{}}}}}`, "condition's value"},
		{"too long", `{"Id":"` + strings.Repeat("x", maxBytes) + `"}`, "more than AWS allows"},
		{"bad URL encoding", "%7B%", "URL encoding"},
		{"curly quote after a straight one", "{\"Statement\": [\n{\"Sid”: 1}]}", "line 2, column 6 of the policy: curly quotes"},
		{"empty", "", "policy"},
	}
	for _, tt := range tests {
		if _, err := Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if got := canonicalText(" {“} "); got != "{“}" {
		t.Errorf("canonicalText of an invalid policy: got %q, want it unchanged", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(firehose.JSON())
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":["*","1"]},"NotAction":"*","NotResource":[],"Condition":{"Null":{"a":[true,1]}}}}`)
	f.Add("%7B%22Statement%22%3A%5B%5D%7D")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(d.JSON())
		if err != nil {
			t.Fatalf("the parsed policy is written as %s, which cannot be parsed: %v", d.JSON(), err)
		}
		if got, want := again.Canonical(), d.Canonical(); got != want {
			t.Errorf("the round trip changed the meaning: got %q, want %q", got, want)
		}
	})
}

// canonicalText returns the canonical form of a policy's text, or the text itself if it is invalid.
func canonicalText(text string) string {
	d, err := Parse(text)
	if err != nil {
		return strings.TrimSpace(text)
	}
	return d.Canonical()
}

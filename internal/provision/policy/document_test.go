package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonicalIsEqualWhenTheMeaningIs(t *testing.T) {
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
		{"the account as a number", strings.ReplaceAll(base, "arn:aws:iam::111122223333:root", "111122223333"), true},
		{"another case of the action", strings.ReplaceAll(base, "s3:GetObject", "S3:getobject"), true},
		{"a bool and not a string", strings.ReplaceAll(base, `"aws:SecureTransport":"true"`, `"aws:securetransport":[true]`), true},
		{"no version", strings.ReplaceAll(base, `"Version":"2012-10-17",`, ""), true},
		{"each action in its own statement", `{"Statement":[
			{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":"true"}}},
			{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:ListBucket","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}`, true},
		{"one resource less", strings.ReplaceAll(base, `["arn:aws:s3:::b","arn:aws:s3:::b/*"]`, `"arn:aws:s3:::b"`), false},
		{"one action more", strings.ReplaceAll(base, `"s3:ListBucket"]`, `"s3:ListBucket","s3:PutObject"]`), false},
		{"denied", strings.ReplaceAll(base, "Allow", "Deny"), false},
		{"everybody", strings.ReplaceAll(base, `{"AWS":"arn:aws:iam::111122223333:root"}`, `"*"`), false},
		{"a role of the account", strings.ReplaceAll(base, ":root", ":role/x"), false},
		{"without the condition", strings.ReplaceAll(base, `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`, ""), false},
		{"another condition", strings.ReplaceAll(base, `"aws:SecureTransport":"true"`, `"aws:SecureTransport":"false"`), false},
		{"all actions but these", strings.ReplaceAll(base, `"Action"`, `"NotAction"`), false},
		{"all resources but these", strings.ReplaceAll(base, `"Resource"`, `"NotResource"`), false},
		{"a resource of another case", strings.ReplaceAll(base, "arn:aws:s3:::b/*", "arn:aws:s3:::B/*"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := canonicalText(tt.text) == canonicalText(base); got != tt.same {
				t.Errorf("the same: %v, want %v:\n%s\n\n%s", got, tt.same, canonicalText(tt.text), canonicalText(base))
			}
		})
	}
	whole, err := Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if got := whole.ShowOther(tt.text) == whole.Show(); got != tt.same {
			t.Errorf("%s: shown alike: %v, want %v:\n%s\n\n%s", tt.name, got, tt.same, whole.ShowOther(tt.text), whole.Show())
		}
	}
	if !strings.Contains(whole.Show(), "s3:GetObject") {
		t.Errorf("what is shown has lost its case: %s", whole.Show())
	}
	if a, b := canonicalText(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}`),
		canonicalText(`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}`); a == b {
		t.Error("the version makes a difference where there are variables, and the normal form does not show it")
	}
}

// A value may have the words of a line in it: it is still another one.
func TestCanonicalTellsValuesFromTheirList(t *testing.T) {
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
			t.Errorf("%s and %s have one normal form: %s", p[0], p[1], a)
		}
	}
}

// Lists of a statement multiply: a policy of S3's size must not stop a plan.
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
		t.Errorf("the normal form has %d bytes", got)
	}
	if text(long) != text(turned) {
		t.Error("in another order it is another policy")
	}
	if text(long) == text(other) {
		t.Error("with one resource more it is the same policy")
	}
}

func TestADocumentSurvivesItsText(t *testing.T) {
	for name, d := range map[string]Document{
		"Firehose's": firehose, "the function's": function, "a trust": FirehoseTrust(account),
		"a bucket's": Bucket(BucketPermissions{Partition: "aws", Bucket: "b", Prefix: "logs/", Private: []string{"logs/errors/"}, Readers: []string{"111122223333", "444455556666"}}),
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

func TestOthersStatementsStay(t *testing.T) {
	theirs, err := Parse(`{"Version":"2008-10-17","Id":"x","Statement":[
		{"Sid":"Theirs","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/public/*"},
		{"Sid":"StagelogReaderGet","Effect":"Allow","Principal":{"AWS":"999999999999"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	own := Bucket(BucketPermissions{Partition: "aws", Bucket: "b", Prefix: "logs/", Readers: []string{"111122223333"}})
	both := theirs.With(own)
	if diff := cmp.Diff(own.Statements, both.Own().Statements); diff != "" {
		t.Errorf("our statements (-want +got):\n%s", diff)
	}
	if o := both.Others(); both.ID != "x" || both.Version != "2008-10-17" || len(o.Statements) != 1 || o.Statements[0].Sid != "Theirs" {
		t.Errorf("their statements are %+v", o)
	}
	named := Document{Statements: []Statement{{Sid: "StagelogAthena", Effect: "Allow", Actions: []string{"s3:GetObject"}}}}
	if o := named.With(own).Others(); len(o.Statements) != 1 || o.Statements[0].Sid != "StagelogAthena" {
		t.Errorf("of a statement whose Sid only begins as ours do, With kept %+v", o)
	}
	theirs.Version = "" // in which ${aws:username} stands for itself
	if with := theirs.With(own); with.Version != "" {
		t.Errorf("with ours their policy has Version %s, and had none", with.Version)
	}
	if alone := (Document{}).With(own); alone.Version != Version {
		t.Errorf("ours alone has Version %q, want %s", alone.Version, Version)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	tests := []struct{ name, text, says string }{
		{"curly quotes", "{\n  “Version”: \"2012-10-17\"}", "line 2, column 3 of the policy: curly quotes"},
		{"cut off", "{\n\"Statement\": [", "line 2, column 15"},
		{"another type", "{\"Statement\":\n [{\"Effect\": 3}]}", "Statement.Effect in the policy cannot be a number"},
		{"no effect", `{"Statement":[{"Effect":"Allow"},{"Effect":"allow"}]}`, `statement 2 of the policy has the Effect "allow"`},
		{"a principal of no kind", `{"Statement":{"Effect":"Allow","Principal":"111122223333"}}`, `"111122223333"`},
		{"an object as a value", `{"Statement":{"Effect":"Allow","Condition":{"Bool":{"k":{}}}}}`, "condition's value"},
		{"too long", `{"Id":"` + strings.Repeat("x", maxBytes) + `"}`, "more than AWS takes"},
		{"bad URL encoding", "%7B%", "URL encoding"},
		{"curly quotes behind a straight one", "{\"Statement\": [\n{\"Sid”: 1}]}", "line 2, column 6 of the policy: curly quotes"},
		{"nothing", "", "policy"},
	}
	for _, tt := range tests {
		if _, err := Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
	if got := canonicalText(" {“} "); got != "{“}" {
		t.Errorf("the normal form of what cannot be read is %q", got)
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
			t.Fatalf("what was read is written as %s, which cannot be read: %v", d.JSON(), err)
		}
		if got, want := again.Canonical(), d.Canonical(); got != want {
			t.Errorf("the meaning changed on the way: %q, want %q", got, want)
		}
	})
}

// canonicalText returns the canonical form of a policy's text; one that cannot be read is its own.
func canonicalText(text string) string {
	d, err := Parse(text)
	if err != nil {
		return strings.TrimSpace(text)
	}
	return d.Canonical()
}

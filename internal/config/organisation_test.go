package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTagsAreRead(t *testing.T) {
	p := mustParse(t, minimal+"aws:\n  tags: {cost-center: 0042, \"acme:team\": \"logs @ eu\", Empty: }\n")
	want := map[string]string{"cost-center": "0042", "acme:team": "logs @ eu", "Empty": ""}
	if diff := cmp.Diff(want, p.AWS.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestOrganisationProblems(t *testing.T) {
	var many strings.Builder
	for i := range MaxTags + 1 {
		fmt.Fprintf(&many, "    k%d: v\n", i)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no mapping", "  tags: [a]\n", "stagelog.yaml:4:9: aws.tags: expected a mapping, found a list"},
		{"reserved for AWS", "  tags: {AWS:team: a}\n", "stagelog.yaml:4:20: aws.tags.\"AWS:team\": AWS reserves keys that begin with aws:"},
		{"stagelog's own", "  tags: {stagelog: a}\n", "stagelog.yaml:4:20: aws.tags.stagelog: stagelog marks its resources with this key; choose another"},
		{"stagelog's list", "  tags: {Stagelog-Tags: a}\n", "stagelog.yaml:4:25: aws.tags.Stagelog-Tags: stagelog marks its resources with this key; choose another"},
		{"long key", "  tags:\n    " + strings.Repeat("k", 129) + ": v\n", "…: the key of a tag has at most 128 characters"},
		{"long value", "  tags: {a: " + strings.Repeat("v", 257) + "}\n", "the value of a tag has at most 256 characters"},
		{"characters", "  tags: {\"a&b\": c}\n", "stagelog.yaml:4:17: aws.tags.a&b: the key of a tag may contain letters, digits, spaces and _ . : / = + - @ only"},
		{"characters of a value", "  tags: {a: \"b*\"}\n", "stagelog.yaml:4:13: aws.tags.a: b*: the value of a tag may contain letters"},
		{"space", "  tags: {\" a\": b}\n", "the key of a tag must not be empty, and must not begin or end with a space"},
		{"differs by case", "  tags: {Team: a, team: b}\n", "stagelog.yaml:4:25: aws.tags.team: the key differs from Team only by case, which IAM does not accept; remove one of them"},
		{"twice", "  tags: {a: 1, a: 2}\n", "stagelog.yaml:4:19: aws.tags.a: duplicate key, first set on line 4"},
		{"too many", "  tags:\n" + many.String(), "too many tags: 33, at most 32 are allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("stagelog.yaml", []byte(minimal+"aws:\n"+tt.text), env)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse:\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

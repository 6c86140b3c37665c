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

func TestOrganisationIsRead(t *testing.T) {
	p := mustParse(t, minimal+`aws:
  permissions_boundary: arn:aws-us-gov:iam::111122223333:policy/team/boundary
  role_path: /delivery/eu/
  function_role: arn:aws:iam::111122223333:role/shared/function
  firehose_role: arn:aws:iam::111122223333:role/firehose
  kms_key: none
  log_days: keep
`)
	want := Organisation{
		PermissionsBoundary: "arn:aws-us-gov:iam::111122223333:policy/team/boundary", RolePath: "/delivery/eu/",
		FunctionRole: "arn:aws:iam::111122223333:role/shared/function", FirehoseRole: "arn:aws:iam::111122223333:role/firehose", LogKey: None,
	}
	if diff := cmp.Diff(want, p.AWS.Organisation); diff != "" || p.AWS.LogDays != 0 {
		t.Errorf("log_days %d, want 0 for keep; the others (-want +got):\n%s", p.AWS.LogDays, diff)
	}
	if warnings := fmt.Sprint(p.Warnings()); !strings.Contains(warnings, "role_path: it has no effect") || !strings.Contains(warnings, "permissions_boundary: it has no effect") {
		t.Errorf("warnings: %s, want those about keys without effect", warnings)
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
		{"boundary", "  permissions_boundary: boundary\n", "stagelog.yaml:4:25: aws.permissions_boundary: expected the ARN of a policy, like arn:aws:iam::123456789012:policy/NAME, or none, found boundary"},
		{"path", "  role_path: delivery\n", "stagelog.yaml:4:14: aws.role_path: expected a path that begins and ends with /, like /delivery/, found delivery"},
		{"role", "  function_role: stagelog-acme\n", "stagelog.yaml:4:18: aws.function_role: expected the ARN of a role, like arn:aws:iam::123456789012:role/NAME, found stagelog-acme"},
		{"role of another account", "  firehose_role: arn:aws:iam::111122223333:role/a\naccount: \"444455556666\"\n",
			"stagelog.yaml:4:18: aws.firehose_role: the role is in account 111122223333, but a service can only use a role of its own account; name a role of account 444455556666"},
		{"alias of a key", "  kms_key: alias/logs\n", "stagelog.yaml:4:12: aws.kms_key: alias/logs: expected the ARN of a KMS key, like arn:aws:kms:eu-west-1:123456789012:key/ID, or none"},
		{"retention", "  log_days: kept\n", "stagelog.yaml:4:13: aws.log_days: expected a whole number from 1 to 3653, found kept"},
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

package rights_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/provision/rights"
)

var update = flag.Bool("update", false, "rewrite docs/permissions.md")

// resourcesOf returns the resources of a pipeline with more lines in stagelog.yaml.
func resourcesOf(t *testing.T, more string) *desired.Resources {
	t.Helper()
	p, err := config.Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-api-logs\nregion: eu-west-1\n"+more), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	d, err := desired.New(&desired.Spec{Pipeline: p, Partition: "aws", Region: p.Region, Account: "123456789012", Architecture: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// docs/permissions.md has the policies for an example between lines with the commands' names.
func TestPermissionsPageIsCurrent(t *testing.T) {
	const page = "../../../docs/permissions.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "## Policies\n"
	intro, _, ok := strings.Cut(string(text), mark)
	if !ok {
		t.Fatalf("%s has no line %q", page, mark)
	}
	want := intro + mark + `
For the pipeline ` + "`acme`" + ` with the bucket ` + "`acme-api-logs`" + ` and one stage, in eu-west-1 of account 123456789012, with records in Parquet files.
`
	d := resourcesOf(t, "readers: [\"111122223333\"]\nstages: [{api: a1b2c3d4e5, stage: prod}]\ndeliver: {format: parquet}\n")
	for by := rights.Init; by <= rights.Report; by <<= 1 {
		want += fmt.Sprintf("\n### `stagelog %s`\n\n```json\n%s\n```\n", names[by], rights.Of(d, by, rights.Options{}).Policy.JSON())
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(text) != want && !*update {
		t.Errorf("%s is not current: run go test ./internal/provision/rights -run TestPermissionsPageIsCurrent -update", page)
	}
}

// IAM accepts a Sid once per policy, of letters and digits, and no more characters than it allows.
func TestPoliciesFitIAM(t *testing.T) {
	var many strings.Builder
	for api := range 5 {
		for stage := range 40 {
			fmt.Fprintf(&many, "  - {api: a1b2c3d4e%d, stage: stage%d}\n", api, stage)
		}
	}
	for name, more := range map[string]string{"no stage": "", "one stage": "stages: [{api: a1b2c3d4e5, stage: prod}]\n", "200 stages": "stages:\n" + many.String()} {
		all := rights.Deploy | rights.Doctor | rights.Destroy
		got := rights.Of(resourcesOf(t, more+"deliver: {format: parquet}\n"), all, rights.Options{DeleteBucket: true})
		var sids []string
		for _, s := range got.Policy.Statements {
			if strings.ContainsFunc(s.Sid, func(r rune) bool { return r < '0' || r > '9' && r < 'A' || r > 'z' }) || slices.Contains(sids, s.Sid) {
				t.Errorf("%s: Sid %q of %q", name, s.Sid, sids)
			}
			sids = append(sids, s.Sid)
			if len(s.Resources) == 0 || len(s.Actions) == 0 {
				t.Errorf("%s: statement %+v without actions or resources", name, s)
			}
		}
		if size := len(strings.Join(strings.Fields(got.Policy.JSON()), "")); size > 6144 {
			t.Errorf("%s: the policy has %d characters, more than a managed policy may have", name, size)
		}
		allowed, _ := policy.Evaluate([]policy.Document{got.Policy}, policy.Request{Action: "apigateway:PATCH", Resource: "arn:aws:apigateway:eu-west-1::/restapis/a1b2c3d4e0/stages/other"})
		if wide := slices.ContainsFunc(got.Notes, func(n string) bool { return strings.Contains(n, "all stages of the APIs") }); wide != (name == "200 stages") || wide != (allowed == policy.Allow) {
			t.Errorf("%s: the policy allows all stages: %v, noted: %v", name, allowed == policy.Allow, got.Notes)
		}
	}
}

func TestWritesOfRemainingSteps(t *testing.T) {
	d := resourcesOf(t, "stages: [{api: a1b2c3d4e5, stage: prod}]\n")
	for _, tt := range []struct {
		name string
		by   rights.Command
		left []rights.Step
		want string
	}{
		{"none", rights.Deploy, nil, ""},
		{"new role", rights.Deploy, []rights.Step{{Kind: "IAM role", Creates: true}}, "iam:CreateRole iam:PutRolePolicy iam:TagRole"},
		{"changed role", rights.Deploy, []rights.Step{{Kind: "IAM role"}}, "iam:PutRolePolicy iam:TagRole iam:UntagRole iam:UpdateAssumeRolePolicy"},
		{"new stream, then a stage", rights.Deploy, []rights.Step{{Kind: "Firehose delivery stream", Creates: true}, {Kind: "API stage", Creates: true}},
			"apigateway:PATCH firehose:CreateDeliveryStream firehose:TagDeliveryStream iam:CreateServiceLinkedRole iam:PassRole s3:DeleteObject s3:PutObject"},
		{"kept bucket", rights.Destroy, []rights.Step{{Kind: "S3 bucket"}}, "s3:DeleteObject s3:DeleteObjectVersion"},
		{"deleted bucket", rights.Destroy, []rights.Step{{Kind: "S3 bucket", Empties: true}}, "s3:AbortMultipartUpload s3:DeleteBucket s3:DeleteObject s3:DeleteObjectVersion"},
	} {
		if got := strings.Join(rights.Writes(d, tt.by, tt.left), " "); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

package provision

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/policy"
)

// A foreign statement that stops delivery is a warning of plan, with its cause and what to add.
func TestForeignDenyStopsDelivery(t *testing.T) {
	const (
		bucket  = `"arn:aws:s3:::acme-api-logs"`
		objects = `"arn:aws:s3:::acme-api-logs/*"`
		exempt  = `add to its conditions: "ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/`
	)
	s := streamSpec(t)
	firehose, function := s.FirehoseRole(), s.FunctionRole()
	deny := func(sid, action, resource, condition string) string {
		return `{"Sid":"` + sid + `","Effect":"Deny","Principal":"*","Action":` + action + `,"Resource":` + resource + `,"Condition":` + condition + `}`
	}
	for _, tt := range []struct {
		name, statement string
		want            []string
	}{
		{"TLS", deny("TLS", `"s3:*"`, objects, `{"Bool":{"aws:SecureTransport":"false"}}`), nil},
		{"exempt", deny("Exempt", `"s3:PutObject"`, objects, `{"ArnNotLike":{"aws:PrincipalArn":["arn:aws:iam::123456789012:role/`+firehose+`","arn:aws:iam::123456789012:role/`+function+`"]}}`), nil},
		{"elsewhere", deny("Reports", `"s3:PutObject"`, `"arn:aws:s3:::acme-api-logs/reports/*"`, `{}`), nil},
		{"own account", deny("Org", `"s3:*"`, objects, `{"StringNotEquals":{"aws:PrincipalAccount":"123456789012"}}`), nil},
		{"header", deny("Encrypted", `"s3:PutObject"`, objects, `{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}`), []string{
			"Encrypted denies s3:PutObject to the delivery stream's role " + firehose + ", so nothing is delivered, and the records are lost after 24 hours: it requires an encryption header (s3:x-amz-server-side-encryption), which Firehose sends only when the stream itself has a KMS key; the bucket's default encryption does not count here; " + exempt + firehose + `"}`,
			"Encrypted denies s3:PutObject to the function's role " + function + ", so the function's instances cannot share what they know of keys: its condition (s3:x-amz-server-side-encryption) matches the function's calls; " + exempt + function + `"}`,
		}},
		{"VPC endpoint", deny("Vpce", `["s3:GetObject","s3:PutObject"]`, `"arn:aws:s3:::acme-api-logs/logs/*"`, `{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`), []string{
			"Vpce denies s3:PutObject to the delivery stream's role " + firehose + ", so nothing is delivered, and the records are lost after 24 hours: it allows only one VPC or VPC endpoint (aws:SourceVpce), and Firehose uses none; " + exempt + firehose + `"}`,
		}},
		{"error output", deny("Errors", `"s3:PutObject"`, `"arn:aws:s3:::acme-api-logs/errors/*"`, `{}`), []string{
			"Errors denies s3:PutObject to the delivery stream's role " + firehose + ", so records that fail are lost: it has no condition, and its principal covers the role; " + exempt + firehose + `"}`,
		}},
		{"listing", deny("List", `"s3:ListBucket"`, bucket, `{}`), []string{
			"List denies s3:ListBucket to the delivery stream's role " + firehose + ", so delivery may fail: it has no condition, and its principal covers the role; " + exempt + firehose + `"}`,
		}},
	} {
		d, err := policy.Parse(`{"Version":"2012-10-17","Statement":[` + tt.statement + `]}`)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, denials(s, d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	s.Pipeline.AWS.KMSKey = "arn:aws:kms:eu-west-1:123456789012:key/1"
	d, err := policy.Parse(`{"Version":"2012-10-17","Statement":[` + deny("Encrypted", `"s3:PutObject"`, `"arn:aws:s3:::acme-api-logs/logs/*"`, `{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}`) + `]}`)
	if got := denials(s, d); err != nil || len(got) > 0 {
		t.Errorf("with a key of its own, the stream is denied: %v, %s", err, strings.Join(got, "\n"))
	}
}

func TestForeignDenyInPlan(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	a.setPolicy(`{"Sid":"DenyAll","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::acme-api-logs/*"}`)
	found := readOf(t, a.policyResource(nil))
	if len(found.Warnings) != 2 || !strings.HasPrefix(found.Warnings[0], "DenyAll denies s3:PutObject to the delivery stream's role") {
		t.Errorf("warnings of Read: %q", found.Warnings)
	}
	if step := makeStep(a.policyResource(nil), found, nil); len(step.Warnings) != 2 {
		t.Errorf("warnings of the step: %q", step.Warnings)
	}
}

package desired

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
)

// spec returns the spec of a pipeline with additional settings in YAML.
func spec(t *testing.T, more string) *Spec {
	t.Helper()
	p, err := config.Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-logs\nstages: [a1b2c3d4e5/prod]\n"+more), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return &Spec{Pipeline: p, Partition: "aws", Region: "eu-west-1", Account: "123456789012", Architecture: "arm64"}
}

// New returns equal resources for equal pipelines, and does not modify its argument.
func TestNewIsPure(t *testing.T) {
	for _, more := range []string{"", "deliver: {format: parquet}\n", "api_key: hash\nformat: '{\"id\":\"$context.requestId\",\"k\":\"$context.identity.apiKeyId\"}'\n"} {
		s := spec(t, more)
		first, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		second, err := New(spec(t, more))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Errorf("New twice (-first +second):\n%s", diff)
		}
		if (first.Table != nil) != s.Pipeline.Deliver.Parquet || (first.Database != nil) != s.Pipeline.Deliver.Parquet {
			t.Errorf("with %q: got database %v and table %v", more, first.Database, first.Table)
		}
	}
}

func TestBuiltinFunctionNeedsNoSalt(t *testing.T) {
	s := spec(t, "api_key: hash\n")
	drawn, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Builtin = true
	derived, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	if !drawn.Function.Salted || derived.Function.Salted {
		t.Errorf("Salted: got %v with a zip and %v built in, want true and false", drawn.Function.Salted, derived.Function.Salted)
	}
}

func TestFunctionGetsFieldsOfCustomFormat(t *testing.T) {
	s := spec(t, `format: '{"path":"$context.path","o":{"k":"$context.identity.apiKey"},"i":"$context.identity.apiKeyId","a":"$context.apiId","s":"$context.stage","r":"$context.requestId"}'`)
	const want = `{"o":{"k":"$context.identity.apiKey"},"i":"$context.identity.apiKeyId","a":"$context.apiId","s":"$context.stage"}`
	if r, err := New(s); err != nil || r.Function.Environment["STAGELOG_FORMAT"] != want {
		t.Errorf("STAGELOG_FORMAT = %s, %v, want %s", r.Function.Environment["STAGELOG_FORMAT"], err, want)
	}
}

func TestForeignBucketHasUnknownAccount(t *testing.T) {
	s := spec(t, "")
	s.ForeignBucket = true
	d, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	if d.Bucket.Account != "" || aws.ToString(d.Destination.BucketARN) != "arn:aws:s3:::acme-logs" {
		t.Errorf("ForeignBucket: got account %q, ARN %s, want no account", d.Bucket.Account, aws.ToString(d.Destination.BucketARN))
	}
}

func TestBucketExpiry(t *testing.T) {
	for _, tt := range []struct {
		name                string
		prefix, errorPrefix string
		days, errorDays     int
		refused, note       string
	}{
		{"nothing expires", "", "", 0, 0, "", ""},
		{"everything would expire", "", "errors/", 400, 0, "expire_days", ""},
		{"stagelog's own objects would expire", "s", "errors/", 400, 0, "expire_days", ""},
		{"errors at the top of the bucket", "logs/", "!{firehose:error-output-type}/", 0, 30, "error_days", ""},
		{"errors below logs", "logs/", "logs/bad/", 30, 90, "", "logs/bad/ is below logs/"},
		{"errors below logs, shorter", "logs/", "logs/bad/", 90, 30, "", ""},
		{"logs below errors", "a/logs/", "a/", 90, 30, "", "a/logs/ is below a/"},
		{"default error prefix", "logs/", "", 30, 0, "", "logs/processing-failed/ is below logs/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := spec(t, "")
			s.Pipeline.Deliver.Prefix, s.Pipeline.Deliver.ErrorPrefix = tt.prefix, tt.errorPrefix
			s.Pipeline.AWS.ExpireDays, s.Pipeline.AWS.ErrorDays = tt.days, tt.errorDays
			d, err := New(s)
			if (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Fatalf("New() = %v, want an error with %q", err, tt.refused)
			}
			if err != nil {
				return
			}
			if notes := strings.Join(d.Bucket.Notes, "\n"); !strings.HasPrefix(notes, tt.note) || tt.note == "" && notes != "" {
				t.Errorf("Bucket.Notes = %q, want %q", notes, tt.note)
			}
		})
	}
}

// Names of roles are unique in an account: they depend on the Region, and no name is cut off without a hash.
func TestRoleNamesAreUniqueInAccount(t *testing.T) {
	seen := map[string]string{}
	long := strings.Repeat("a", 45)
	for _, region := range []string{"eu-west-1", "us-east-1", "us-isof-south-1"} {
		for _, name := range []string{"acme", "acme-function", "acme-eu-west-1", "eu-west-1-acme", long + "b", long + "c"} {
			s := spec(t, "")
			s.Region, s.Pipeline.Name = region, name
			for _, role := range append(s.OldRoles(), s.FunctionRole(), s.FirehoseRole()) {
				owner, old := s.Owner(), slices.Contains(s.OldRoles(), role)
				if old {
					owner = name
				}
				if other := seen[role]; other != "" && other != owner {
					t.Errorf("%s is a role of %s and of %s", role, other, owner)
				}
				seen[role] = owner
				if len(role) > maxRoleName || !old && !strings.HasSuffix(role, "."+region) {
					t.Errorf("role %s (%d characters), want one with the Region of at most %d", role, len(role), maxRoleName)
				}
			}
			const unknown = "\uE002" // as in an export, which does not know the Region
			elsewhere := *s
			elsewhere.Region = unknown
			if role := strings.Replace(elsewhere.FirehoseRole(), unknown, region, 1); role != s.FirehoseRole() {
				t.Errorf("without its Region %s is named %s", s.FirehoseRole(), role)
			}
			s.KeptRoles = s.OldRoles()[:1]
			if role := s.FunctionRole(); role != "stagelog-"+name+"-function" {
				t.Errorf("a kept role is named %s", role)
			}
			if role := s.FirehoseRole(); !strings.HasSuffix(role, "."+region) {
				t.Errorf("beside a kept role, the other is named %s", role)
			}
		}
	}
}

// The statements for the owners of a bucket and of a key name the roles that the pipeline uses: given ones, or those of an earlier version.
func TestOwnersStatementsNameRolesInUse(t *testing.T) {
	const more = "region: eu-west-1\naccount: \"123456789012\"\naws: {bucket_account: \"111122223333\", encryption: kms:arn:aws:kms:eu-west-1:111122223333:key/1"
	given := spec(t, more+", function_role: arn:aws:iam::123456789012:role/x/f, firehose_role: arn:aws:iam::123456789012:role/x/h}\n")
	kept := spec(t, more+"}\n")
	kept.KeptRoles = kept.OldRoles()
	for _, tt := range []struct {
		s    *Spec
		want []string
	}{
		{spec(t, more+"}\n"), []string{"role/stagelog-acme-function.eu-west-1", "role/stagelog-acme-firehose.eu-west-1"}},
		{given, []string{"role/x/f", "role/x/h"}},
		{kept, []string{"role/stagelog-acme-function", "role/stagelog-acme-firehose"}},
	} {
		d, err := New(tt.s)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{d.BucketPolicy.JSON(), d.KeyPolicy.JSON()} {
			for _, role := range tt.want {
				if !strings.Contains(text, role+`"`) {
					t.Errorf("no statement names %s:\n%s", role, text)
				}
			}
		}
	}
}

package export

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/config"
	"github.com/stagelog/stagelog/internal/provision"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

const top = "name: acme_eu\nbucket: acme-api-logs\n"

// pipelines cover all variants of the exported text.
var pipelines = map[string]string{
	"small": top,
	"all": top + `readers: ["111122223333", "444455556666"]
stages: [{api: a1b2c3d4e5, stage: prod}, {api: f6g7h8i9j0, stage: beta}]
format: full
deliver: {interval: 300s, size: 64MiB, compression: none, prefix: "logs/!{timestamp:yyyy/MM/dd}/", error_prefix: "errors/!{firehose:error-output-type}/"}
aws: {architecture: x86_64, memory: 1024, expire_days: 400, error_days: 14, log_days: 60, dashboard: true}
`,
	"apiable with short interval": top + `preset: apiable
readers: ["111122223333"]
deliver: {interval: 15s, size: 1MiB}
`,
	"Parquet": top + "deliver: {format: parquet, compression: gzip}\naws: {alarm_topic: \"arn:aws:sns:eu-west-1:111122223333:on-call\"}\n",
	"organisation": top + `aws:
  tags: {cost-center: "42", team: platform}
  permissions_boundary: arn:aws:iam::123456789012:policy/boundary
  role_path: /delivery/
  kms_key: arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab
`,
	"existing roles": top + `aws:
  function_role: arn:aws:iam::123456789012:role/shared/function
  firehose_role: arn:aws:iam::123456789012:role/firehose
  log_days: keep
`,
	"hashed keys": top + "format: classic\napi_key: hash\naws: {alarms: false}\n",
	"custom format": top + `format: '{"k":"$context.identity.apiKeyId","a":"$context.apiId","s":"$context.stage","id":"$context.requestId","odd":"it''s ${x} %{y} \\ #{z} é < > &"}'
names: {customer: who, usage_plan: "", usage_plan_id: ""}
`,
}

// bucketPipelines have buckets that others own or set up. They are checked by the tools of the languages and by
// TestBucketsOfOthersInExports.
var bucketPipelines = map[string]string{
	"KMS key": top + `readers: ["111122223333"]
aws: {encryption: "kms:arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", expire_days: 30}
`,
	"settings kept": top + "aws: {encryption: keep, versioning: keep, expire_days: 30}\n",
	"bucket of another account": top + `account: "123456789012"
region: eu-west-1
readers: ["111122223333"]
aws: {bucket_account: "999988887777"}
`,
}

// everyPipeline returns pipelines and bucketPipelines.
func everyPipeline() map[string]string {
	all := maps.Clone(pipelines)
	maps.Copy(all, bucketPipelines)
	return all
}

func load(t *testing.T, yaml string) *desired.Spec {
	t.Helper()
	p, err := config.Parse("stagelog.yaml", []byte(yaml), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	arch := p.AWS.Architecture
	if arch == "" {
		arch = config.DefaultArchitecture
	}
	return &desired.Spec{Pipeline: p, Partition: "aws", Region: moto.Region, Account: moto.Account, Zip: []byte("PK"), Architecture: arch}
}

func exported(t *testing.T, write func(*desired.Spec) ([]byte, error), s *desired.Spec) string {
	t.Helper()
	text, err := write(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var languages = map[string]func(*desired.Spec) ([]byte, error){"terraform": Terraform, "cloudformation": CloudFormation}

func TestTextIsIndependentOfAccount(t *testing.T) {
	for language, write := range languages {
		here := load(t, pipelines["all"])
		there := *here
		there.Account, there.Partition = "999988887777", "aws-cn"
		if d := cmp.Diff(exported(t, write, here), exported(t, write, &there)); d != "" {
			t.Errorf("%s: different text for another account and partition:\n%s", language, d)
		}
		text := exported(t, write, here)
		for _, not := range []string{moto.Account, "arn:aws:", partition, region, account} {
			if strings.Contains(text, not) {
				t.Errorf("%s contains %q", language, not)
			}
		}
	}
}

func TestHeaderContainsCommands(t *testing.T) {
	// printf PK | sha256sum
	const sum = "fcab7fcc2b4cffd9bb45003bfc2e468a04ef6f77ca8200a7341f027631584d25"
	for language, wants := range map[string][]string{
		"terraform": {"terraform init", "terraform apply", "terraform output -raw access_log_patch", "access_log_settings {", "stagelog export zip --arch x86_64 --out stagelog-enricher.zip"},
		"cloudformation": {"aws s3 cp stagelog-enricher.zip s3://CODE_BUCKET/stagelog-enricher-" + sum[:16] + ".zip",
			"aws cloudformation deploy --region eu-west-1 --stack-name stagelog-acme-eu ", "--capabilities CAPABILITY_NAMED_IAM", "stagelog export zip --arch x86_64"},
	} {
		text := exported(t, languages[language], load(t, pipelines["all"]))
		for _, want := range append(wants, "is "+sum+".",
			"aws apigateway update-stage --region eu-west-1 --rest-api-id a1b2c3d4e5 --stage-name prod",
			"aws apigateway update-stage --region eu-west-1 --rest-api-id f6g7h8i9j0 --stage-name beta") {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", language, want, text)
			}
		}
	}
}

func TestHashSaltIsParameter(t *testing.T) {
	for language, wants := range map[string][]string{
		"terraform":      {`variable "hash_salt"`, "sensitive ", "STAGELOG_HASH_SALT     = var.hash_salt", "TF_VAR_hash_salt"},
		"cloudformation": {"NoEcho: true", "STAGELOG_HASH_SALT: !Ref HashSalt", "HashSalt="},
	} {
		text, without := exported(t, languages[language], load(t, pipelines["hashed keys"])), exported(t, languages[language], load(t, top))
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s with hashed keys lacks %q:\n%s", language, want, text)
			}
			if strings.Contains(without, want) {
				t.Errorf("%s without hashed keys contains %q", language, want)
			}
		}
	}
}

func TestBucketsOfOthersInExports(t *testing.T) {
	const key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	for _, tt := range []struct {
		pipeline, language string
		want, lacks        []string
	}{
		{"KMS key", "terraform", []string{`sse_algorithm     = "aws:kms"`, `kms_master_key_id = "` + key + `"`, `kms_key_arn         = "` + key + `"`, `"kms:GenerateDataKey",`}, nil},
		{"KMS key", "cloudformation", []string{"SSEAlgorithm: aws:kms", "KMSMasterKeyID: " + key, "AWSKMSKeyARN: " + key, "- kms:GenerateDataKey"}, nil},
		{"settings kept", "terraform", []string{"noncurrent_version_expiration {"}, []string{"sse_algorithm", "aws_s3_bucket_versioning"}},
		{"settings kept", "cloudformation", []string{"NoncurrentVersionExpiration:"}, []string{"SSEAlgorithm", "VersioningConfiguration"}},
		{"bucket of another account", "terraform", []string{`#       "Resource": "arn:aws:s3:::acme-api-logs",`, "stagelog/123456789012/eu-west-1/acme_eu/directory.json"}, []string{`resource "aws_s3_`}},
		{"bucket of another account", "cloudformation", []string{`#       "Resource": "arn:aws:s3:::acme-api-logs",`, "stagelog/123456789012/eu-west-1/acme_eu/directory.json"}, []string{"Type: AWS::S3::"}},
	} {
		text := exported(t, languages[tt.language], load(t, bucketPipelines[tt.pipeline]))
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s, %s: the export does not contain %s:\n%s", tt.pipeline, tt.language, want, text)
			}
		}
		for _, other := range tt.lacks {
			if strings.Contains(text, other) {
				t.Errorf("%s, %s: the export contains %s", tt.pipeline, tt.language, other)
			}
		}
	}
}

func TestExportRejectsInvalidPipeline(t *testing.T) {
	tests := []struct {
		name string
		spec func() *desired.Spec
		want string
	}{
		{"no zip", func() *desired.Spec { s := load(t, top); s.Zip = nil; return s }, provision.ErrNoZip.Error()},
		{"rule that deletes the snapshot", func() *desired.Spec {
			return load(t, top+"deliver: {prefix: \"\"}\naws: {expire_days: 3}\n")
		}, "would delete all objects"},
		{"private use characters", func() *desired.Spec {
			return load(t, top+"deliver: {prefix: \"logs\uE003/\"}\n")
		}, "private use"},
	}
	for _, tt := range tests {
		for language, write := range languages {
			text, err := write(tt.spec())
			if err == nil || !strings.Contains(err.Error(), tt.want) || text != nil {
				t.Errorf("%s, %s: %d bytes and %v, want an error with %q", tt.name, language, len(text), err, tt.want)
			}
		}
	}
}

// tool runs a program. It skips the test if the program is not installed.
func tool(t *testing.T, stdin string, name string, args ...string) (output string, err error) {
	t.Helper()
	testenv.NeedTool(t, name, name, "--version")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	noSettings := filepath.Join(t.TempDir(), "terraformrc")
	if err := os.WriteFile(noSettings, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Env = testenv.Environ(t.TempDir(), "TF_CLI_CONFIG_FILE="+noSettings, "CHECKPOINT_DISABLE=1")
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), err
}

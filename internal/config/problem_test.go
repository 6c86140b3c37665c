package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const wrongFile = `nmae: acme
bucket: Acme_Logs
readers: [111122223333, "12345"]
api_key: masked
deliver:
  interval: 20m
  size: 5MB
local:
  apis:
    - {id: shop, upstream: "127.0.0.1:9000", stages: [prod]}
  usage_plans:
    - name: Gold
      throttle: {rate: fast}
      stages: [shop/prd]
      customers: [{name: Acme Corp, key: env:NOT_SET}]
`

func TestParseFindsEveryProblemAtOnce(t *testing.T) {
	_, err := Parse("stagelog.yaml", []byte(wrongFile), env)
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("Parse = %v, want Problems", err)
	}
	var got []string
	for _, m := range problems {
		got = append(got, fmt.Sprintf("%d:%d %s", m.Line, m.Column, m.Path))
	}
	want := []string{
		"1:1 nmae",
		"1:1 name",
		"2:9 bucket",
		"3:25 readers[1]",
		"4:10 api_key",
		"6:13 deliver.interval",
		"7:9 deliver.size",
		"10:28 local.apis[0].upstream",
		"13:24 local.usage_plans[0].throttle.rate",
		"14:16 local.usage_plans[0].stages[0]",
		"15:42 local.usage_plans[0].customers[0].key",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s\n%v", diff, err)
	}
	golden(t, "problems.txt", err.Error()+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update rewrites it):\n%s", path, diff)
	}
}

// plans returns a file with one API and the given usage plans.
func plans(text string) string {
	return minimal + "local:\n  apis: [{id: shop, upstream: \"http://127.0.0.1:1\", stages: [prod, test]}]\n  usage_plans:\n" + text
}

func manyReaders(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "- %012d\n", i)
	}
	return b.String()
}

func TestProblemMessages(t *testing.T) {
	const key1, key2 = "key: aaaaaaaaaaaaaaaaaaaa", "key: bbbbbbbbbbbbbbbbbbbb"
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "stagelog.yaml: the file is empty; `stagelog init` writes an example"},
		{"comments alone", "# nothing\n", "stagelog.yaml: the file is empty; `stagelog init` writes an example"},
		{"null", "---\n~\n", "stagelog.yaml: the file is empty; `stagelog init` writes an example"},
		{"a list", "- a\n", "stagelog.yaml:1:1: expected a mapping (name, bucket, readers, preset, region, account, stages, format, api_key, names, deliver, aws, local), found a list"},
		{"a word", "acme\n", "stagelog.yaml:1:1: expected a mapping (name, bucket, readers, preset, region, account, stages, format, api_key, names, deliver, aws, local), found a single value"},
		{"two documents", minimal + "---\n" + minimal, "stagelog.yaml:3:1: expected one document, found a second"},
		{"tab", "name: acme\nbucket: acme-logs\nlocal:\n\tapis: []\n", "stagelog.yaml:4:1: not YAML: the line is indented with a tab; indent with spaces"},
		{"not YAML", "name: acme\nbucket: [\n", "stagelog.yaml:2:1: not YAML: did not find expected node content"},
		{"missing", "{}", "stagelog.yaml:1:1: name: required key is missing\nstagelog.yaml:1:1: bucket: required key is missing"},
		{"no value", "name:\nbucket: acme-logs\n", "stagelog.yaml:1:1: name: value is missing"},
		{"empty text", "name: \"\"\nbucket: acme-logs\n", "stagelog.yaml:1:7: name: value is missing"},
		{"nothing in a list", minimal + "readers: [~]\n", "stagelog.yaml:3:11: readers[0]: expected a value, found nothing"},
		{"no customer", plans("    - name: G\n      customers:\n        -\n"), "stagelog.yaml:8:10: local.usage_plans[0].customers[0]: expected a value, found nothing"},
		{"customer without a name", plans("    - {name: G, customers: [{name: \"\", " + key1 + "}]}\n"), "stagelog.yaml:6:36: local.usage_plans[0].customers[0].name: value is missing"},
		{"customer called like none", plans("    - {name: G, customers: [{name: \"-\", " + key1 + "}]}\n"), "stagelog.yaml:6:36: local.usage_plans[0].customers[0].name: -: - is reserved: in records it stands for a missing name"},
		{"customer of two lines", plans("    - {name: G, customers: [{name: \"a\\nb\", " + key1 + "}]}\n"), "stagelog.yaml:6:36: local.usage_plans[0].customers[0].name: \"a\\nb\": a name must be one line of text without leading or trailing spaces"},
		{"twice", minimal + "name: other\n", "stagelog.yaml:3:7: name: duplicate key, first set on line 1"},
		{"unknown key merged", minimal + "local: {apis: [{<<: {idd: b}, id: a, upstream: \"http://b\", stages: [p]}]}\n", "stagelog.yaml:3:22: local.apis[0].idd: unknown key in the merged mapping; did you mean id?"},
		{"merge of no mapping", minimal + "local: {apis: [{<<: b, id: a, upstream: \"http://b\", stages: [p]}]}\n", "stagelog.yaml:3:21: local.apis[0]: expected a mapping to merge"},
		{"merge into itself", minimal + "deliver: &d {<<: *d, interval: 60s}\n", "stagelog.yaml:3:18: deliver: expected a mapping to merge"},
		{"unknown, and so twice once", minimal + "readres: []\n", "stagelog.yaml:3:1: readres: unknown key; did you mean readers?"},
		{"unknown, and nothing near", minimal + "deliver: {zzz: 1}\n", "stagelog.yaml:3:11: deliver.zzz: unknown key; expected one of: interval, size, format, compression, prefix, error_prefix"},
		{"key that is no word", minimal + "[a]: b\n", "stagelog.yaml:3:6: expected a name before the colon, found a list"},
		{"mapping for a text", "name: {a: b}\nbucket: acme-logs\n", "stagelog.yaml:1:7: name: expected a single value, found a mapping"},
		{"text for a list", minimal + "readers: \"111122223333\"\n", "stagelog.yaml:3:10: readers: expected a list, found a single value"},
		{"tag", "name: !!binary YWNtZQ==\nbucket: acme-logs\n", "stagelog.yaml:1:7: name: expected a plain value, found the tag !!binary"},
		{"long name", "name: " + strings.Repeat("a", 47) + "\nbucket: acme-logs\n", "stagelog.yaml:1:7: name: " + strings.Repeat("a", 47) +
			": the name has 47 characters, at most 46 are allowed: the stream is named amazon-apigateway-NAME, and stream names have at most 64"},
		{"name with a dot", "name: a.b\nbucket: acme-logs\n", "stagelog.yaml:1:7: name: a.b: expected letters, digits, - and _, beginning with a letter or a digit"},
		{"short bucket", "name: a\nbucket: ab\n", "stagelog.yaml:2:9: bucket: ab: expected a bucket name of 3 to 63 characters, found 2"},
		{"bucket with an upper-case letter", "name: a\nbucket: aBc\n", "stagelog.yaml:2:9: bucket: aBc: a bucket name consists of lower-case letters, digits, - and ., and begins and ends with a letter or a digit"},
		{"bucket with two dots", "name: a\nbucket: a..b\n", "stagelog.yaml:2:9: bucket: a..b: a bucket name must not have two dots in a row"},
		{"bucket like an address", "name: a\nbucket: 192.168.0.1\n", "stagelog.yaml:2:9: bucket: 192.168.0.1: a bucket name must not be an IP address"},
		{"bucket with S3's prefix", "name: a\nbucket: xn--abc\n", "stagelog.yaml:2:9: bucket: xn--abc: S3 reserves names that begin with xn--"},
		{"bucket with S3's suffix", "name: a\nbucket: abc--x-s3\n", "stagelog.yaml:2:9: bucket: abc--x-s3: S3 reserves names that end in --x-s3"},
		{"reader twice", minimal + "readers: [\"111122223333\", 111122223333]\n", "stagelog.yaml:3:27: readers[1]: duplicate item"},
		{"reader that is the owner", minimal + "readers: [\"111122223333\"]\naccount: \"111122223333\"\n", "stagelog.yaml:3:11: readers[0]: 111122223333 is the pipeline's own account, which can already read everything"},
		{"reader as a number with a point", minimal + "readers: [1.1e11]\n", "stagelog.yaml:3:11: readers[0]: expected an AWS account: 12 digits, found 1.1e11"},
		{"more readers than a policy holds", minimal + "readers:\n" + manyReaders(121), "stagelog.yaml:124:3: readers[120]: too many readers: a bucket policy (at most 20 KB) can hold 120"},
		{"unknown encryption", minimal + "aws: {encryption: kmss}\n", "stagelog.yaml:3:19: aws.encryption: expected keep, s3 or kms: and the ARN of a key, found kmss; did you mean kms?"},
		{"encryption with an alias", minimal + "aws: {encryption: \"kms:arn:aws:kms:eu-west-1:111122223333:alias/logs\"}\n",
			"stagelog.yaml:3:19: aws.encryption: expected the ARN of a key after kms:, not of an alias, found \"kms:arn:aws:kms:eu-west-1:111122223333:alias/logs\"; `aws kms describe-key --key-id ALIAS` shows the key's ARN"},
		{"encryption with a key's id", minimal + "aws: {encryption: \"kms:1234abcd\"}\n",
			"stagelog.yaml:3:19: aws.encryption: expected the ARN of a key after kms:, found \"kms:1234abcd\"; write it like kms:arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
		{"key of another Region", minimal + "region: us-east-1\naws: {encryption: \"kms:arn:aws:kms:eu-west-1:111122223333:key/1234abcd\"}\n",
			"stagelog.yaml:4:19: aws.encryption: the key is in eu-west-1, and S3 accepts only keys in the bucket's Region, us-east-1; use a key in us-east-1"},
		{"versioning", minimal + "aws: {versioning: on}\n", "stagelog.yaml:3:19: aws.versioning: unknown value on; expected one of: keep, off"},
		{"bucket's account without the pipeline's", minimal + "region: eu-west-1\naws: {bucket_account: \"111122223333\"}\n",
			"stagelog.yaml:4:23: aws.bucket_account: with bucket_account, the file must have account: and region: too; `aws sts get-caller-identity` and `aws configure get region` show them"},
		{"bucket's account among the readers", minimal + placed + "readers: [\"111122223333\"]\naws: {bucket_account: \"111122223333\"}\n",
			"stagelog.yaml:6:23: aws.bucket_account: 111122223333 owns the bucket, so it can already read everything; remove it from readers"},
		{"lifecycle of another account's bucket", minimal + placed + "aws: {bucket_account: \"111122223333\", error_days: 30}\n",
			"stagelog.yaml:5:51: aws.error_days: the lifecycle of a bucket in another account (bucket_account) can only be set by that account; remove it, and let that account set the rule"},
		{"alarms", minimal + "aws: {alarms: yes}\n", "stagelog.yaml:3:15: aws.alarms: unknown value yes; expected one of: true, false"},
		{"alarm topic", minimal + "aws: {alarm_topic: on-call}\n", "stagelog.yaml:3:20: aws.alarm_topic: expected the ARN of a standard SNS topic, such as arn:aws:sns:eu-west-1:111122223333:on-call, found on-call"},
		{"alarm topic in another Region", minimal + "region: us-east-1\naws: {alarm_topic: \"arn:aws:sns:eu-west-1:111122223333:on-call\"}\n",
			"stagelog.yaml:4:20: aws.alarm_topic: the topic is in eu-west-1, but CloudWatch alarms can only notify topics in their own Region, us-east-1; use a topic in us-east-1"},
		{"region", minimal + "region: Frankfurt\n", "stagelog.yaml:3:9: region: expected an AWS Region like eu-west-1, found Frankfurt"},
		{"preset", minimal + "preset: apiabel\n", "stagelog.yaml:3:9: preset: unknown value apiabel; did you mean apiable?"},
		{"stage without an API", minimal + "stages: [prod]\n", "stagelog.yaml:3:10: stages[0]: expected a stage as api/stage, found prod; write it like shop/prod"},
		{"stage twice", minimal + "stages: [a/b, {api: a, stage: b}]\n", "stagelog.yaml:3:15: stages[1]: duplicate item"},
		{"format by a wrong name", minimal + "format: clasic\n", "stagelog.yaml:3:9: format: clasic is neither the name of a format nor a format; did you mean classic?"},
		{"format from the environment", minimal + "format: env:ACME_KEY\n", "stagelog.yaml:3:9: format: env:NAME is only allowed for names, accounts, upstreams and keys; write the value itself"},
		{"interval without a unit", minimal + "deliver: {interval: 60}\n", "stagelog.yaml:3:21: deliver.interval: expected a duration with a unit, found 60; write 60s for seconds"},
		{"interval too long", minimal + "deliver: {interval: 901s}\n", "stagelog.yaml:3:21: deliver.interval: expected a duration from 0s to 900s, found 901s"},
		{"interval below zero", minimal + "deliver: {interval: -1s}\n", "stagelog.yaml:3:21: deliver.interval: expected a duration from 0s to 900s, found -1s"},
		{"interval of a part of a second", minimal + "deliver: {interval: 1500ms}\n", "stagelog.yaml:3:21: deliver.interval: expected whole seconds, found 1500ms"},
		{"invalid interval", minimal + "deliver: {interval: soon}\n", "stagelog.yaml:3:21: deliver.interval: expected a duration, found soon; write it like 60s or 2m"},
		{"size without a unit", minimal + "deliver: {size: 5}\n", "stagelog.yaml:3:17: deliver.size: expected a size in MiB, found 5; write 5MiB"},
		{"size in the wrong unit", minimal + "deliver: {size: 5MB}\n", "stagelog.yaml:3:17: deliver.size: expected a size in MiB, found 5MB; write 5MiB"},
		{"size too large", minimal + "deliver: {size: 129MiB}\n", "stagelog.yaml:3:17: deliver.size: expected a size from 1MiB to 128MiB, found 129MiB"},
		{"no size", minimal + "deliver: {size: 0MiB}\n", "stagelog.yaml:3:17: deliver.size: expected a size from 1MiB to 128MiB, found 0MiB"},
		{"size not whole", minimal + "deliver: {size: 1.5MiB}\n", "stagelog.yaml:3:17: deliver.size: expected a size in whole MiB, found 1.5MiB; write it like 5MiB"},
		{"format of objects", minimal + "deliver: {format: parket}\n", "stagelog.yaml:3:19: deliver.format: unknown object format parket; did you mean parquet?"},
		{"Parquet's size", minimal + "deliver: {format: parquet, size: 5MiB}\n", "stagelog.yaml:3:34: deliver.size: expected at least 64MiB, Firehose's minimum with format parquet, found 5MiB"},
		{"Parquet's compression", minimal + "deliver: {format: parquet, compression: zip}\n", "stagelog.yaml:3:41: deliver.compression: expected snappy, gzip or none with format parquet, found zip"},
		{"columns of one name", minimal + "format: '{\"IP\":\"$context.identity.sourceIp\",\"ip\":\"$context.status\",\"requestId\":\"$context.requestId\"}'\ndeliver: {format: parquet}\n", "stagelog.yaml:4:19: deliver.format: the format's fields IP and ip are the same column: column names are case-insensitive; rename one"},
		{"no name for a column", minimal + "names: {customer: the.customer}\ndeliver: {format: parquet}\n", "stagelog.yaml:4:19: deliver.format: the format's field the.customer cannot be a column name; use letters, digits and _"},
		{"the partitions' column", minimal + "names: {customer: date}\ndeliver: {format: parquet}\n", "stagelog.yaml:4:19: deliver.format: the format's field date has the name of the table's partition column; rename it"},
		{"compression", minimal + "deliver: {compression: gz}\n", "stagelog.yaml:3:24: deliver.compression: unknown compression gz; did you mean gzip?"},
		{"names alike", minimal + "names: {customer: usage_plan}\n", "stagelog.yaml:3:19: names.customer: usage_plan and customer have the same name usage_plan"},
		{"name that the format has", minimal + "names: {customer: ip}\n", "stagelog.yaml:3:19: names.customer: the format already has a field ip, with $context.identity.sourceIp; choose another name in names"},
		{"name of an object of the format", minimal + "format: '{\"customer\":{\"id\":\"$context.authorizer.id\"},\"requestId\":\"$context.requestId\"}'\n", "stagelog.yaml:3:9: format: the format already has a field customer, with other fields in it; choose another name in names"},
		{"default name that the format has", minimal + "format: '{\"customer\":\"$context.status\",\"requestId\":\"$context.requestId\"}'\n", "stagelog.yaml:3:9: format: the format already has a field customer, with $context.status; choose another name in names"},
		{"invalid name", minimal + "names: {customer: \"a b\"}\n", "stagelog.yaml:3:19: names.customer: expected a field name of letters, digits, _, - and ., found \"a b\""},
		{"upstream without a scheme", minimal + "local: {apis: [{id: a, upstream: localhost, stages: [p]}]}\n", "stagelog.yaml:3:34: local.apis[0].upstream: localhost: expected a URL like http://127.0.0.1:9000, or mock"},
		{"upstream with a password", minimal + "local: {apis: [{id: a, upstream: \"http://u:" + secret + "@b\", stages: [p]}]}\n", "stagelog.yaml:3:34: local.apis[0].upstream: expected a URL without user and password"},
		{"upstream with a query", minimal + "local: {apis: [{id: a, upstream: \"http://b?c\", stages: [p]}]}\n", "stagelog.yaml:3:34: local.apis[0].upstream: \"http://b?c\": expected a URL without ? and #"},
		{"API twice", minimal + "local: {apis: [&a {id: a, upstream: \"http://b\", stages: [p]}, *a]}\n", "stagelog.yaml:3:63: local.apis[1].id: duplicate API id"},
		{"API without stages", minimal + "local: {apis: [{id: a, upstream: \"http://b\", stages: []}]}\n", "stagelog.yaml:3:54: local.apis[0].stages: expected at least one stage"},
		{"rate", plans("    - {name: G, throttle: {rate: 0}}\n"), "stagelog.yaml:6:34: local.usage_plans[0].throttle.rate: expected requests per second, above 0 and up to 1000000, found 0"},
		{"burst", plans("    - {name: G, throttle: {rate: 1, burst: 0.5}}\n"), "stagelog.yaml:6:44: local.usage_plans[0].throttle.burst: expected a whole number from 1 to 1000000, found 0.5"},
		{"period", plans("    - {name: G, quota: {limit: 1, period: month}}\n"), "stagelog.yaml:6:43: local.usage_plans[0].quota.period: unknown value month; did you mean MONTH?"},
		{"offset", plans("    - {name: G, quota: {limit: 1, period: DAY, offset: 1}}\n"), "stagelog.yaml:6:56: local.usage_plans[0].quota.offset: expected a whole number from 0 to 0, found 1"},
		{"plan twice", plans("    - {name: G}\n    - {name: G}\n"), "stagelog.yaml:7:7: local.usage_plans[1]: duplicate usage plan name"},
		{"unknown stage", plans("    - {name: G, stages: [shop/prdo]}\n"), "stagelog.yaml:6:26: local.usage_plans[0].stages[0]: local.apis has no stage shop/prdo; did you mean shop/prod?"},
		{"short key", plans("    - {name: G, customers: [{name: a, key: tiny-secret}]}\n"), "stagelog.yaml:6:44: local.usage_plans[0].customers[0].key: expected an API key of 20 to 128 characters, found 11 characters"},
		{"long key", plans("    - {name: G, customers: [{name: a, key: " + strings.Repeat("k", 129) + "}]}\n"), "stagelog.yaml:6:44: local.usage_plans[0].customers[0].key: expected an API key of 20 to 128 characters, found 129 characters"},
		{"key with a space", plans("    - {name: G, customers: [{name: a, key: aaaaaaaaaa aaaaaaaaaa}]}\n"), "stagelog.yaml:6:44: local.usage_plans[0].customers[0].key: expected printable ASCII without spaces, found another character at position 11"},
		{"same key, other customer", plans("    - {name: G, customers: [{name: a, " + key1 + "}, {name: b, " + key1 + "}]}\n"),
			"stagelog.yaml:6:67: local.usage_plans[0].customers[1]: another customer has the same key on line 6"},
		{"customer twice in a plan", plans("    - {name: G, customers: [{name: a, " + key1 + "}, {name: a, " + key1 + "}]}\n"),
			"stagelog.yaml:6:67: local.usage_plans[0].customers[1]: the usage plan already has this customer on line 6"},
		{"key in two plans of one stage", plans("    - {name: G, stages: [shop/prod, shop/test], customers: [{name: a, " + key1 + "}]}\n    - {name: H, stages: [shop/test], customers: [{name: a, " + key1 + "}]}\n"),
			"stagelog.yaml:7:50: local.usage_plans[1].customers[0]: the key already has a usage plan for this stage on line 6: a key can have only one plan per stage"},
		{"id of two keys", plans("    - {name: G, customers: [{name: a, id: x, " + key1 + "}, {name: b, id: x, " + key2 + "}]}\n"),
			"stagelog.yaml:6:74: local.usage_plans[0].customers[1]: another key has the same id on line 6"},
		{"text for a customer", plans("    - {name: G, customers: [" + secret + "]}\n"), "stagelog.yaml:6:29: local.usage_plans[0].customers[0]: expected a mapping (name, key, id), found a single value"},
		{"faults", minimal + "local: {faults: {page_size: 501}}\n", "stagelog.yaml:3:29: local.faults.page_size: expected a whole number from 1 to 500, found 501"},
		{"variable without a name", minimal + "readers: [\"env:\"]\n", "stagelog.yaml:3:11: readers[0]: expected the name of an environment variable after env:; write env:NAME"},
		{"variable's value is never shown", minimal + "readers: [env:ACME_KEY]\n", "stagelog.yaml:3:11: readers[0]: expected an AWS account: 12 digits, found the value of environment variable ACME_KEY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse("stagelog.yaml", []byte(tt.text), env)
			if err == nil {
				t.Fatalf("Parse of\n%s\n= %+v, want a problem", tt.text, p)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("Parse of\n%s\n(-want +got):\n%s", tt.text, diff)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error contains the secret: %v", err)
			}
		})
	}
}

func TestFormatsAreLinted(t *testing.T) {
	_, err := Parse("stagelog.yaml", []byte(minimal+"format: '{\"a\": $context.path}'\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "stagelog.yaml:3:9: format: byte 6: $context.path is not quoted") || !strings.Contains(err.Error(), "[no-request-id]") {
		t.Errorf("Parse of a wrong format: %v", err)
	}
	p := mustParse(t, minimal+"format: classic\n")
	if w := p.Warnings(); len(w) != 2 || w[0].Line != 3 || !strings.Contains(w[0].String(), "[api-key-in-clear]") {
		t.Errorf("warnings about classic: %v", w)
	}
	p = mustParse(t, minimal+"format: |\n  {\"id\":\"$context.extendedRequestId\",\"k\":\"$context.identity.apiKeyId\",\"a\":\"$context.apiId\",\"s\":\"$context.stage\"}\n")
	if len(p.Warnings()) > 0 || p.FormatName != "custom" || !strings.HasSuffix(p.Format, "}\n") {
		t.Errorf("a format of one's own gives %q %q, %v", p.FormatName, p.Format, p.Warnings())
	}
}

func TestPrefixes(t *testing.T) {
	const reader = "readers: [\"111122223333\"]\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no such namespace", "deliver: {prefix: \"logs/!{time:yyyy}/\"}\n",
			"stagelog.yaml:3:19: deliver.prefix: Namespace to the left of colon (time) is an invalid keyword!; write it like logs/!{timestamp:yyyy/MM/dd/HH}/"},
		{"type in the prefix", "deliver: {prefix: \"logs/!{firehose:error-output-type}/\"}\n",
			"stagelog.yaml:3:19: deliver.prefix: Prefix must not contain any occurrence of !{firehose:error-output-type}; write it like logs/!{timestamp:yyyy/MM/dd/HH}/"},
		{"error prefix without the type", "deliver: {error_prefix: \"errors/!{timestamp:yyyy}/\"}\n",
			"stagelog.yaml:3:25: deliver.error_prefix: ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}; write it like errors/!{firehose:error-output-type}/"},
		{"expressions and no error prefix", "deliver: {prefix: \"logs/!{timestamp:yyyy}/\", error_prefix: \"\"}\n",
			"stagelog.yaml:3:60: deliver.error_prefix: ErrorOutputPrefix cannot be null or empty when Prefix contains expressions; write it like errors/!{firehose:error-output-type}/"},
		{"partition keys", "deliver: {prefix: \"logs/!{partitionKeyFromLambda:customer}/\"}\n",
			"stagelog.yaml:3:19: deliver.prefix: partition keys need dynamic partitioning, which the pipeline's stream does not have; remove them"},
		{"long", "deliver: {prefix: \"" + strings.Repeat("x", 1025) + "\"}\n", "stagelog.yaml:3:19: deliver.prefix: expected a prefix of at most 1024 characters, found 1025"},
		{"long once evaluated", "deliver: {prefix: \"" + strings.Repeat("x", 512) + "\"}\n",
			"stagelog.yaml:3:19: deliver.prefix: Length of evaluated prefix cannot be greater than 512; write it like logs/!{timestamp:yyyy/MM/dd/HH}/"},
		{"from the environment", "deliver: {prefix: env:UPSTREAM}\n",
			"stagelog.yaml:3:19: deliver.prefix: env:NAME is only allowed for names, accounts, upstreams and keys; write the value itself"},
		{"readers could get the error output", reader + "deliver: {prefix: \"logs/\", error_prefix: \"logs/errors/\"}\n",
			"stagelog.yaml:4:42: deliver.error_prefix: readers can read every object below \"logs/\", which would include error objects with unmodified records; use prefixes that begin differently, like logs/ and errors/"},
		{"readers could get all", reader + "deliver: {prefix: \"!{timestamp:yyyy}/\"}\n",
			"stagelog.yaml:4:10: deliver: readers can read every object below \"\", which would include error objects with unmodified records; use prefixes that begin differently, like logs/ and errors/"},
		{"error output below the prefix by default", reader + "deliver: {error_prefix: \"\"}\n",
			"stagelog.yaml:4:25: deliver.error_prefix: readers can read every object below \"logs/\", which would include error objects with unmodified records; use prefixes that begin differently, like logs/ and errors/"},
		{"wildcard in what readers may get", reader + "deliver: {prefix: \"*/\"}\n",
			"stagelog.yaml:4:19: deliver.prefix: *, ? and ${ are wildcards in a bucket policy: readers could read objects outside the prefix"},
		{"no readers, no matter", "deliver: {prefix: \"logs/\", error_prefix: \"logs/errors/\"}\n", ""},
		{"expressions", reader + "deliver: {prefix: \"logs/!{timestamp:yyyy/MM/dd}/!{firehose:random-string}/\"}\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if _, err := Parse("stagelog.yaml", []byte(minimal+tt.text), env); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse of\n%s\n(-want +got):\n%s", minimal+tt.text, diff)
			}
		})
	}
	p := mustParse(t, minimal+"deliver: {prefix: \"/logs/!{timestamp:YYYY/MM/dd}/\"}\n")
	if w := p.Warnings().Error(); !strings.Contains(w, "week-based year") || !strings.Contains(w, "begins with /") {
		t.Errorf("warnings: %s", w)
	}
}

func TestSectionsMayBeCommentedOut(t *testing.T) {
	got := mustParse(t, minimal+"readers:\nstages:\nnames:\ndeliver:\n  # interval: 60s\nlocal:\npreset:\nformat:\n")
	if diff := cmp.Diff(mustParse(t, minimal), got, cmp.AllowUnexported(Pipeline{})); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestAccountsKeepTheirZeros(t *testing.T) {
	p := mustParse(t, minimal+"readers: [012345678901, 000000000000, 111122223333]\naccount: 012345670123\n")
	if diff := cmp.Diff([]string{"012345678901", "000000000000", "111122223333"}, p.Readers); diff != "" || p.Account != "012345670123" {
		t.Errorf("readers (-want +got):\n%s\naccount %s", diff, p.Account)
	}
}

func TestWarnings(t *testing.T) {
	p := mustParse(t, plans("    - {name: G, customers: [{name: a, key: aaaaaaaaaaaaaaaaaaaa}, {name: a, key: bbbbbbbbbbbbbbbbbbbb}]}\n")+"deliver: {prefix: logs}\n")
	want := "stagelog.yaml:6:67: local.usage_plans[0].customers[1]: a customer of the same name has another key on line 6: both count as one customer; give each key its own name\n" +
		"stagelog.yaml:7:19: deliver.prefix: the date is appended without a slash: objects go to logs2026/07/13/14/; end the prefix with /"
	if diff := cmp.Diff(want, p.Warnings().Error()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestLongErrorsAreShortened(t *testing.T) {
	_, err := Parse("stagelog.yaml", []byte(minimal+"stages: ["+strings.Repeat("x, ", 500)+"]\n"), nil)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 500 {
		t.Fatalf("Parse finds %d problems, want 500", len(problems))
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 100+1 || lines[100] != "stagelog.yaml: and 400 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// checkMasked checks that no way of printing values shows the secret.
func checkMasked(t *testing.T, values ...any) {
	t.Helper()
	for _, v := range values {
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%T", "%60s", "%c"} {
			fmt.Fprintf(&b, verb, v)
		}
		if err := json.NewEncoder(&b).Encode(v); err != nil {
			t.Errorf("JSON: %v", err)
		}
		y, err := yaml.Marshal(v)
		if err != nil {
			t.Errorf("YAML: %v", err)
		}
		b.Write(y)
		if strings.Contains(b.String(), secret) || strings.Contains(b.String(), fmt.Sprintf("%x", secret)) {
			t.Errorf("a %T shows its secret: %s", v, b.String())
		}
	}
}

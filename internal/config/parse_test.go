package config

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/record"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const secret = "a-secret-not-to-be-shown"

// env returns two variables.
func env(name string) string {
	return map[string]string{"ACME_KEY": secret, "UPSTREAM": "http://127.0.0.1:9000"}[name]
}

func mustParse(t *testing.T, text string) *Pipeline {
	t.Helper()
	p, err := Parse("stagelog.yaml", []byte(text), env)
	if err != nil {
		t.Fatalf("Parse: %v\nof\n%s", err, text)
	}
	return p
}

// minimal is the smallest valid file.
const minimal = "name: acme\nbucket: acme-logs\n"

func TestParseReadsAllKeys(t *testing.T) {
	got := mustParse(t, `
name: acme
bucket: acme-api-logs
readers: ["111122223333"]
preset: apiable
stages:
  - {api: a1b2c3d4e5, stage: prod}
  - a1b2c3d4e5/test
format: classic
api_key: hash
region: eu-west-1
account: "012345678901"
deliver: {interval: 90s, size: 64MiB, compression: none, prefix: "logs/", error_prefix: "errors/!{firehose:error-output-type}/"}
aws: {architecture: x86_64, memory: 512, expire_days: 400, error_days: 30, log_days: 14, encryption: "kms:arn:aws:kms:eu-west-1:111122223333:key/1234abcd", versioning: keep, alarms: false, alarm_topic: "arn:aws:sns:eu-west-1:012345678901:on-call", dashboard: true}
local:
  apis:
    - {id: shop, upstream: env:UPSTREAM, stages: [prod, test]}
    - {id: open, name: Open API, upstream: "https://example.com/v1", stages: [prod], api_key_required: false}
  usage_plans:
    - name: Gold
      id: gold1
      throttle: {rate: 99.5}
      quota: {limit: 100000, period: MONTH, offset: 3}
      stages: [shop/prod, {api: open, stage: prod}]
      customers: [{name: Acme Corp, key: env:ACME_KEY, id: acmekey}]
    - name: Free
      throttle: {rate: 1, burst: 7}
      stages: [shop/test]
      customers: [{name: Acme Corp, key: env:ACME_KEY, id: acmekey}]
  faults: {page_size: 3, throttle_every: 5, delay: 20ms, new_key_after: 2s}
`)
	want := &Pipeline{
		Name: "acme", Bucket: "acme-api-logs", Readers: []string{"111122223333"}, Preset: "apiable", Region: "eu-west-1", Account: "012345678901", RegionGiven: true, AccountGiven: true,
		Stages: []record.StageRef{{API: "a1b2c3d4e5", Stage: "prod"}, {API: "a1b2c3d4e5", Stage: "test"}},
		Format: accesslog.Classic, FormatName: "classic", APIKey: "hash",
		Names:   OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"},
		Deliver: Deliver{Interval: 90 * time.Second, Size: 64 << 20, Compression: "UNCOMPRESSED", Prefix: "logs/", ErrorPrefix: "errors/!{firehose:error-output-type}/"},
		AWS: AWS{Architecture: "x86_64", Memory: 512, ExpireDays: 400, ErrorDays: 30, LogDays: 14,
			BucketSettings: BucketSettings{KMSKey: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd", KeepVersioning: true},
			Monitoring:     Monitoring{AlarmTopic: "arn:aws:sns:eu-west-1:012345678901:on-call", Dashboard: true}},
		Local: &Local{
			APIs: []API{
				{ID: "shop", Name: "shop", Upstream: "http://127.0.0.1:9000", Stages: []string{"prod", "test"}, APIKeyRequired: true},
				{ID: "open", Name: "Open API", Upstream: "https://example.com/v1", Stages: []string{"prod"}, APIKeyRequired: false},
			},
			UsagePlans: []UsagePlan{
				{Name: "Gold", ID: "gold1", Throttle: Throttle{Rate: 99.5, Burst: 100}, Quota: Quota{Limit: 100000, Period: "MONTH", Offset: 3},
					Stages: []record.StageRef{{API: "shop", Stage: "prod"}, {API: "open", Stage: "prod"}}, Customers: []Customer{{Name: "Acme Corp", Key: secret, ID: "acmekey"}}},
				{Name: "Free", Throttle: Throttle{Rate: 1, Burst: 7}, Stages: []record.StageRef{{API: "shop", Stage: "test"}},
					Customers: []Customer{{Name: "Acme Corp", Key: secret, ID: "acmekey"}}},
			},
			Faults: &Faults{PageSize: 3, ThrottleEvery: 5, Delay: 20 * time.Millisecond, NewKeyAfter: 2 * time.Second},
		},
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "warnings" }, cmp.Ignore())); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if got.Stream() != "amazon-apigateway-acme" || got.Function() != "stagelog-acme" {
		t.Errorf("Stream and Function are %s and %s", got.Stream(), got.Function())
	}
}

// placed gives a minimal file an account and a Region.
const placed = "account: \"444455556666\"\nregion: eu-west-1\n"

func TestBucketSettings(t *testing.T) {
	for text, want := range map[string]BucketSettings{
		"encryption: s3, versioning: off":                  {},
		"encryption: keep, versioning: keep":               {KeepEncryption: true, KeepVersioning: true},
		"bucket_account: \"012345678901\", expire_days: 0": {BucketAccount: "012345678901"},
	} {
		if got := mustParse(t, minimal+placed+"aws: {"+text+"}\n").AWS.BucketSettings; got != want {
			t.Errorf("aws: {%s} is %+v, want %+v", text, got, want)
		}
	}
}

func TestKeyThatCannotBeHiddenIsRefused(t *testing.T) {
	const format = "format: '{\"k\":\"$context.identity.apiKey $context.path\",\"id\":\"$context.extendedRequestId\"}'\n"
	var problems Problems
	if _, err := Parse("stagelog.yaml", []byte(minimal+format), nil); !errors.As(err, &problems) || len(problems) != 1 || problems[0].Path != "format" ||
		!strings.Contains(err.Error(), "api_key: keep") {
		t.Errorf("Parse = %v, want one problem of format that offers api_key: keep", err)
	}
	mustParse(t, minimal+format+"api_key: keep\n")
}

func TestDefaults(t *testing.T) {
	got := mustParse(t, minimal)
	want := Bare()
	want.Name, want.Bucket = "acme", "acme-logs"
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Pipeline{})); diff != "" {
		t.Errorf("Parse of a minimal file (-want +got):\n%s", diff)
	}
	if got.Format != accesslog.Usage || got.APIKey != "mask" || got.Deliver.Interval != time.Minute || got.Deliver.Size != 5<<20 || got.Deliver.Compression != "GZIP" {
		t.Errorf("defaults are %+v", got)
	}
	apiable := mustParse(t, minimal+"preset: apiable\n")
	if apiable.Format != accesslog.Apiable || apiable.Names != (OutputNames{UsagePlan: "plan_id", Customer: "subscription_id"}) ||
		apiable.Deliver.Prefix != "apiable/aws/logs/" || !strings.HasPrefix(apiable.Deliver.ErrorPrefix, "apiable/aws/errors/") {
		t.Errorf("preset apiable reads as %+v", apiable)
	}
	if none := mustParse(t, minimal+"preset: none\n"); none.Preset != "" || none.FormatName != "usage" {
		t.Errorf("preset none reads as %+v", none)
	}
}

func TestExampleIsValidWithoutWarnings(t *testing.T) {
	for _, name := range []string{"acme", "true", "0123", "a_b-C"} {
		data := Example(name, "acme-api-logs")
		p, err := Parse("stagelog.yaml", data, nil)
		if err != nil {
			t.Fatalf("Parse(Example(%q)): %v", name, err)
		}
		if len(p.Warnings()) > 0 {
			t.Errorf("warnings: %v", p.Warnings())
		}
		if p.Name != name || p.Bucket != "acme-api-logs" || p.Local == nil || len(p.Local.UsagePlans) != 2 {
			t.Errorf("Example(%q) reads as %+v", name, p)
		}
	}
	for _, name := range []string{"", "a: b", "x\ny: z", `"`, "a #b", strings.Repeat("a", 47)} {
		var problems Problems
		if _, err := Parse("stagelog.yaml", Example(name, "acme-api-logs"), nil); !errors.As(err, &problems) || len(problems) != 1 || problems[0].Path != "name" {
			t.Errorf("Parse(Example(%q)) = %v, want one problem about the name", name, err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stagelog.yaml")
	if _, err := Load(path, env); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of no file: %v, want fs.ErrNotExist", err)
	}
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(path, env); err != nil || p.Name != "acme" {
		t.Errorf("Load = %+v, %v", p, err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("#", MaxBytes+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, env); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Load of a huge file: %v", err)
	}
}

func TestAnchorsAliasesAndMergeKeys(t *testing.T) {
	p := mustParse(t, minimal+`
local:
  apis:
    - &api {id: shop, upstream: "http://127.0.0.1:1", stages: &stages [prod, test]}
    - {<<: *api, id: other}
    - {id: third, upstream: "http://127.0.0.1:2", stages: *stages}
`)
	var got []string
	for _, s := range p.Local.Stages() {
		got = append(got, s.String())
	}
	if diff := cmp.Diff([]string{"shop/prod", "shop/test", "other/prod", "other/test", "third/prod", "third/test"}, got); diff != "" {
		t.Errorf("Stages (-want +got):\n%s", diff)
	}
}

// Aliases of aliases multiply the values of a small file.
func TestBillionLaughsAreRefusedSoon(t *testing.T) {
	var b strings.Builder
	b.WriteString(minimal + "x0: &x0 [a, b, c, d, e, f, g, h, i, j]\n")
	last := "x0"
	for i := 1; i < 12; i++ {
		next := "x" + string(rune('a'+i))
		b.WriteString(next + ": &" + next + " [" + strings.TrimSuffix(strings.Repeat("*"+last+", ", 10), ", ") + "]\n")
		last = next
	}
	b.WriteString("readers: *" + last + "\n")
	checkRefusedSoon(t, b.String())

	b.Reset()
	b.WriteString(minimal + "local:\n  apis:\n    - {id: shop, upstream: \"http://127.0.0.1:1\", stages: [prod]}\n  usage_plans:\n    - name: first\n      customers: &all\n")
	for range 3000 {
		b.WriteString("        - {name: a}\n")
	}
	for range 3000 {
		b.WriteString("    - {name: b, customers: *all}\n")
	}
	checkRefusedSoon(t, b.String())
	checkRefusedSoon(t, "name: acme\nbucket: &a [*a]\nreaders: &r\n  - *r\n")
}

func checkRefusedSoon(t *testing.T, text string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := Parse("laughs.yaml", []byte(text), nil)
		done <- err
	}()
	select {
	case err := <-done:
		var problems Problems
		if !errors.As(err, &problems) || len(err.Error()) > 1<<20 {
			t.Errorf("Parse = %.200v, want problems", err)
		}
	case <-time.After(time.Minute): // a thousand times what it takes
		t.Fatal("Parse has not returned after a minute")
	}
}

func TestSecretsAreAlwaysMasked(t *testing.T) {
	checkMasked(t, Secret(secret))
	p := mustParse(t, minimal+"local: {usage_plans: [{name: Gold, customers: [{name: Acme, key: env:ACME_KEY}]}]}\n")
	checkMasked(t, p.Local.UsagePlans[0].Customers[0], *p.Local)
	if got := p.Local.UsagePlans[0].Customers[0].Key; string(got) != secret {
		t.Errorf("the key itself is %q", string(got))
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{minimal, string(Example("acme", "acme-logs")), wrongFile, "a: &a [*a]", "<<: [*x]", "- - -", "\t", "name: !!binary aGk=",
		"? [a]\n: b", "readers: &x [*x, *x]", "local: {usage_plans: [{customers: [{key: env:ACME_KEY}]}]}", "{<<: {<<: {name: a}}}", "---\na: b\n---\nc: d\n", "%YAML 1.1\n---\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("stagelog.yaml", data, env)
		if err == nil {
			if checkName(p.Name) != "" || checkBucket(p.Bucket) != "" || p.Deliver.Size%mebibyte != 0 || p.Deliver.Size == 0 {
				t.Errorf("Parse(%q) accepts %+v", data, p)
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 || p != nil {
			t.Fatalf("Parse(%q) = %v, %v", data, p, err)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("Parse(%q): the error contains the secret: %v", data, err)
		}
		if strings.Count(err.Error(), "\n") > min(len(problems), 100+1)-1 {
			t.Errorf("Parse(%q): a problem is not one line: %q", data, err)
		}
	})
}

func TestConsoleHosts(t *testing.T) {
	const yaml = "name: acme\nbucket: acme-logs\nlocal:\n  console_hosts: [logs.example.com, 192.0.2.1]\n  apis: [{id: shop, upstream: 'http://localhost:1', stages: [prod]}]\n"
	p, err := Parse("stagelog.yaml", []byte(yaml), func(string) string { return "" })
	if err != nil || !slices.Equal(p.Local.ConsoleHosts, []string{"logs.example.com", "192.0.2.1"}) {
		t.Errorf("Parse: %v, want both hosts", err)
	}
	if _, err := Parse("stagelog.yaml", []byte(strings.Replace(yaml, "192.0.2.1", "'http://x'", 1)), func(string) string { return "" }); err == nil {
		t.Error("Parse accepts a URL as a host")
	}
}

func TestRegionsOfAllPartitions(t *testing.T) {
	for _, region := range []string{"eu-west-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-isob-east-1", "eu-isoe-west-1"} {
		p, err := Parse("stagelog.yaml", []byte("name: acme\nbucket: acme-logs\nregion: "+region+"\n"), func(string) string { return "" })
		if err != nil || p.Region != region {
			t.Errorf("region: %s: %v", region, err)
		}
	}
}

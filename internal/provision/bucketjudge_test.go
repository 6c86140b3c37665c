package provision

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// locked creates a bucket with Object Lock, and with a default retention of days unless 0.
func (a *bucketAccount) locked(days int32) {
	a.t.Helper()
	_, err := a.c.CreateBucket(a.t.Context(), &s3.CreateBucketInput{Bucket: a.name, ObjectLockEnabledForBucket: aws.Bool(true),
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
	a.ok(err)
	if days == 0 {
		return
	}
	_, err = a.c.PutObjectLockConfiguration(a.t.Context(), &s3.PutObjectLockConfigurationInput{Bucket: a.name, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled,
		Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeCompliance, Days: aws.Int32(days)}}}})
	a.ok(err)
}

// replicated creates a versioned bucket that is replicated to another one.
func (a *bucketAccount) replicated() {
	a.t.Helper()
	other := aws.String("acme-copies")
	_, err := a.c.CreateBucket(a.t.Context(), &s3.CreateBucketInput{Bucket: other, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
	a.ok(err)
	a.create()
	for _, name := range []*string{a.name, other} {
		_, err := a.c.PutBucketVersioning(a.t.Context(), &s3.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
		a.ok(err)
	}
	_, err = a.c.PutBucketReplication(a.t.Context(), &s3.PutBucketReplicationInput{Bucket: a.name, ReplicationConfiguration: &types.ReplicationConfiguration{
		Role: aws.String("arn:aws:iam::123456789012:role/copy"),
		Rules: []types.ReplicationRule{{ID: aws.String("all"), Status: types.ReplicationRuleStatusEnabled, Priority: aws.Int32(1), Filter: &types.ReplicationRuleFilter{Prefix: aws.String("")},
			DeleteMarkerReplication: &types.DeleteMarkerReplication{Status: types.DeleteMarkerReplicationStatusDisabled},
			Destination:             &types.Destination{Bucket: aws.String("arn:aws:s3:::acme-copies")}}}}})
	a.ok(err)
}

// A bucket that cannot become as wanted is refused by plan and by Apply, and neither changes anything.
func TestRefusedBucketUnchanged(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	a := newBucketAccount(t)
	for _, tt := range []struct {
		name string
		by   func()
		want string
	}{
		{"Object Lock", func() { a.locked(0) }, "the bucket has Object Lock, so its versioning cannot be suspended: set versioning: keep under aws: in stagelog.yaml, or choose another bucket:"},
		{"replication", a.replicated, "the bucket is replicated, so its versioning cannot be suspended: set versioning: keep under aws: in stagelog.yaml, or choose another bucket:"},
		{"ACL", func() {
			a.create()
			_, err := a.c.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: a.name, ACL: types.BucketCannedACLPublicRead})
			a.ok(err)
		}, "the bucket's ACL grants access to others, which BucketOwnerEnforced does not allow: check it with `aws s3api get-bucket-acl --bucket acme-api-logs`, then remove the grants with `aws s3api put-bucket-acl --bucket acme-api-logs --acl private`"},
	} {
		a.Reset()
		tt.by()
		a.put("theirs.txt")
		a.ok(a.encrypt("arn:aws:kms:eu-west-1:123456789012:key/1"))
		counted := &counter{next: http.DefaultTransport}
		cfg := a.Config(counted)
		if _, err := MakePlan(t.Context(), a.s, NewClients(cfg), []Flag{AdoptFlag}); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: MakePlan: %v, want %q", tt.name, err, tt.want)
		}
		r := a.resource(counted)
		found := readOf(t, r)
		if err := r.Apply(t.Context(), found, quiet); err == nil || err.Error() != tt.want {
			t.Errorf("%s: Apply: %v, want %q", tt.name, err, tt.want)
		}
		step := makeStep(r, found, []Flag{AdoptFlag})
		if _, err := step.apply(t.Context(), []Flag{AdoptFlag}, Event{}, func(Event) {}); err == nil {
			t.Errorf("%s: a step was executed", tt.name)
		}
		if len(counted.writes) > 0 {
			t.Errorf("%s: refused with the calls %v, want none", tt.name, counted.writes)
		}
		if found.Changed() == nil || !found.Exists {
			t.Errorf("%s: Read = %+v, want the differences", tt.name, found)
		}
	}
}

// Settings that S3 refuses although Read could not see why are tried before anything else is changed.
func TestVersioningRefusedFirst(t *testing.T) {
	a := newBucketAccount(t)
	for message, want := range map[string]string{
		"A replication configuration is present on this bucket, so you cannot change the versioning state.":  "the bucket is replicated",
		"An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.": "the bucket has Object Lock",
		"Something else": "usually because of Object Lock or replication",
	} {
		a.Reset()
		a.create()
		a.put("theirs.txt")
		a.ok(a.version(types.BucketVersioningStatusEnabled))
		a.ok(a.encrypt("arn:aws:kms:eu-west-1:123456789012:key/1"))
		counted := &counter{next: roundTrip(func(req *http.Request) (*http.Response, error) {
			switch query := req.URL.Query(); {
			case query.Has("object-lock"), query.Has("replication"):
				return xmlAnswer(req, http.StatusForbidden, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`), nil
			case query.Has("versioning") && req.Method == http.MethodPut:
				return xmlAnswer(req, http.StatusConflict, `<Error><Code>InvalidBucketState</Code><Message>`+message+`</Message></Error>`), nil
			}
			return http.DefaultTransport.RoundTrip(req)
		})}
		r := a.resource(counted)
		found := readOf(t, r)
		if notes := strings.Join(found.Notes, "\n"); !strings.Contains(notes, "whether the bucket has Object Lock is unknown: these credentials lack s3:GetBucketObjectLockConfiguration") ||
			!strings.Contains(notes, "whether the bucket is replicated is unknown: these credentials lack s3:GetReplicationConfiguration") {
			t.Errorf("notes without permission: %s", notes)
		}
		if err := r.Apply(t.Context(), found, quiet); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "versioning: keep") {
			t.Errorf("Apply with %q: %v, want %q", message, err, want)
		}
		if diff := cmp.Diff([]string{"PUT /acme-api-logs?versioning="}, counted.writes); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	}
}

func xmlAnswer(r *http.Request, status int, body string) *http.Response {
	res := jsonAnswer(r, status, body)
	res.Header.Set("Content-Type", "application/xml")
	return res
}

// With keep, Object Lock, replication and another encryption stay, and plan describes what they mean.
func TestBucketKeepsSettings(t *testing.T) {
	a := newBucketAccount(t)
	a.s.Pipeline.AWS.KeepEncryption, a.s.Pipeline.AWS.KeepVersioning = true, true
	for _, tt := range []struct {
		name        string
		by          func()
		warns, says string
	}{
		{"Object Lock", func() { a.locked(0) }, "objects with a retention period or a legal hold cannot be deleted", ""},
		{"default retention", func() { a.locked(30) }, "Object Lock keeps each new object for 30 days (COMPLIANCE): no lifecycle rule and no destroy deletes it before, and each version of stagelog/directory.json is kept as long", ""},
		{"replication", a.replicated, "", "objects below logs/, errors/, stagelog/ are replicated to s3://acme-copies by the rule all"},
	} {
		a.Reset()
		tt.by()
		a.ok(a.encrypt(""))
		found := a.read()
		if warnings := strings.Join(found.Warnings, "\n"); !strings.Contains(warnings, tt.warns) || !strings.Contains(warnings, "the AWS managed key aws/s3, which only the bucket's account can use, so 111122223333 cannot use them") {
			t.Errorf("%s: warnings %s", tt.name, warnings)
		}
		if notes := strings.Join(found.Notes, "\n"); !strings.Contains(notes, tt.says) {
			t.Errorf("%s: notes %s", tt.name, notes)
		}
		a.deploy()
		if found := a.read(); len(found.Changed()) > 0 || found.Refusal != nil {
			t.Errorf("%s: Read after Apply differs in %v, %v", tt.name, found.Changed(), found.Refusal)
		}
		versioning, err := a.c.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: a.name})
		a.ok(err)
		encryption, err := a.resource(nil).encryption(t.Context())
		if err != nil || versioning.Status != types.BucketVersioningStatusEnabled || encryption != "aws:kms, key aws/s3" {
			t.Errorf("%s: after Apply versioning is %s, encryption %q, %v", tt.name, versioning.Status, encryption, err)
		}
	}
}

func TestForeignRulesReported(t *testing.T) {
	days := func(n int32) *types.LifecycleExpiration { return &types.LifecycleExpiration{Days: &n} }
	prefix := func(p string) *types.LifecycleRuleFilter { return &types.LifecycleRuleFilter{Prefix: &p} }
	rule := func(id string, f *types.LifecycleRuleFilter, e *types.LifecycleExpiration, to ...types.Transition) types.LifecycleRule {
		return types.LifecycleRule{ID: &id, Status: types.ExpirationStatusEnabled, Filter: f, Expiration: e, Transitions: to}
	}
	disabled := rule("disabled", prefix(""), days(1))
	disabled.Status = types.ExpirationStatusDisabled
	tagged := &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("logs/"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}}
	large := &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("logs/2026/"), ObjectSizeGreaterThan: aws.Int64(1)}}
	got := RuleWarnings([]types.LifecycleRule{
		rule("all", prefix(""), days(90)),
		rule("archive", prefix("logs/"), nil, types.Transition{Days: aws.Int32(30), StorageClass: types.TransitionStorageClassDeepArchive}),
		rule("dated", large, &types.LifecycleExpiration{Date: aws.Time(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))}),
		rule("elsewhere", prefix("reports/"), days(1)),
		rule("tagged", tagged, days(1)),
		rule("versions", prefix(""), nil),
		rule("stagelog-expire", prefix("logs/"), days(400)),
		disabled,
		{ID: aws.String("old form"), Status: types.ExpirationStatusEnabled, Prefix: aws.String("stagelog/"), Expiration: days(7)},
	}, []string{"logs/", "errors/", "stagelog/"})
	want := []string{
		`the lifecycle rule "all", which is not stagelog's, also applies to objects below logs/, errors/, stagelog/: it deletes them after 90 days`,
		`the lifecycle rule "archive", which is not stagelog's, also applies to objects below logs/: it moves them to DEEP_ARCHIVE after 30 days, where readers, reports and destroy cannot read them until they are restored`,
		`the lifecycle rule "dated", which is not stagelog's, also applies to objects below logs/: it deletes them from 2027-01-01 on`,
		`the lifecycle rule "old form", which is not stagelog's, also applies to objects below stagelog/: it deletes them after 7 days`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// A bucket with the settings that deploy made needs no permission that an older stagelog did not need.
func TestJudgeMakesNoFurtherCalls(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	var queries []string
	r := a.resource(roundTrip(func(req *http.Request) (*http.Response, error) {
		for _, q := range []string{"object-lock", "replication", "acl", "abac"} {
			if req.URL.Query().Has(q) || req.Header.Get("X-Amz-Target") != "" {
				queries = append(queries, req.URL.String())
			}
		}
		return http.DefaultTransport.RoundTrip(req)
	}))
	if found := readOf(t, r); len(queries) > 0 || len(found.Warnings) > 0 || len(found.Notes) > 0 {
		t.Errorf("Read made the calls %v and has %q, %q", queries, found.Warnings, found.Notes)
	}
}

// Names in an account's own namespace are created there, and those of another account or Region are refused.
func TestAccountRegionalBucket(t *testing.T) {
	a := newBucketAccount(t)
	create := func(name string) (namespace string, err error) {
		a.s = a.s.WithBucket(name)
		r := a.resource(roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPut && req.URL.RawQuery == "" {
				namespace = req.Header.Get("X-Amz-Bucket-Namespace")
			}
			return http.DefaultTransport.RoundTrip(req)
		}))
		return namespace, errors.Join(readOf(t, r).Refusal, func() error {
			err := r.Apply(context.WithoutCancel(t.Context()), readOf(t, r), quiet)
			return err
		}())
	}
	for _, tt := range []struct{ name, namespace, refusal string }{
		{"logs-123456789012-eu-west-1-an", "account-regional", ""},
		{"logs-123456789012-eu-west-1", "", ""},
		{"logs-123456789012-us-east-1-an", "", "can only be created by account 123456789012 in us-east-1, and the pipeline is in account 123456789012 in eu-west-1"},
		{"logs-111122223333-eu-west-1-an", "", "can only be created by account 111122223333 in eu-west-1"},
	} {
		namespace, err := create(tt.name)
		if namespace != tt.namespace || (err == nil) != (tt.refusal == "") || err != nil && !strings.Contains(err.Error(), tt.refusal) {
			t.Errorf("%s was created in the namespace %q: %v, want %q, %q", tt.name, namespace, err, tt.namespace, tt.refusal)
		}
	}
}

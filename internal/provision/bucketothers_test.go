package provision

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/provision/policy"
	"github.com/stagelog/stagelog/internal/record"
)

const archive = "999988887777" // the account of a central bucket

// newArchive returns an account whose pipeline delivers to a bucket of the account archive.
func newArchive(t *testing.T) *bucketAccount {
	a := newBucketAccount(t)
	a.s.Pipeline.AWS.ExpireDays, a.s.Pipeline.AWS.ErrorDays = 0, 0
	a.s.Pipeline.Account, a.s.Pipeline.Region, a.s.Pipeline.AWS.BucketAccount = moto.Account, moto.Region, archive
	return a
}

// A bucket of another account is used as it is: deploy changes nothing in it, and plan prints what its owner must allow.
func TestBucketOfAnotherAccount(t *testing.T) {
	a := newArchive(t)
	statements := wantOf(a.s).BucketPolicy.StatementsJSON()
	counted := &counter{next: http.DefaultTransport}
	r := a.resource(counted)
	if _, err := r.Read(t.Context()); !errors.Is(err, ErrElsewhere) || !strings.HasSuffix(err.Error(), "account 999988887777, which is its bucket_account: in stagelog.yaml, must create it in eu-west-1, with a policy that has these statements:\n"+statements) {
		t.Errorf("Read without the bucket: %v", err)
	}
	a.create()
	plan, err := MakePlan(t.Context(), a.s, NewClients(a.Config(counted)), nil)
	a.ok(err)
	if kinds := actions(plan); kinds[0] != "no-op S3 bucket" || slices.Contains(kinds, "create S3 bucket policy") {
		t.Errorf("plan: %v", kinds)
	}
	if notes := strings.Join(plan.Steps[0].Notes, "\n"); !strings.Contains(notes, "it belongs to account 999988887777, so deploy does not change it; its policy, which only that account can read, must have these statements:\n"+statements) {
		t.Errorf("notes: %s", notes)
	}
	applyTo(t, r)
	if len(counted.writes) > 0 {
		t.Errorf("the bucket of another account was changed with the calls %v", counted.writes)
	}
	own := "stagelog/123456789012/eu-west-1/acme/"
	a.put(own+"directory.json", own+"former/abc/prod.json", "stagelog/directory.json", "logs/1")
	did, err := r.Destroy(t.Context(), readOf(t, r), quiet)
	if diff := cmp.Diff([]string{"logs/1", own + "former/abc/prod.json", "stagelog/directory.json"}, a.keys()); diff != "" || err != nil || did != "kept: it belongs to account 999988887777" {
		t.Errorf("Destroy = %q, %v; left (-want +got):\n%s", did, err, diff)
	}
	if key := a.s.PreviousLoggingKey(record.StageRef{API: "abc", Stage: "prod"}); key != own+"former/abc/prod.json" {
		t.Errorf("previous logging is stored in %s", key)
	}
}

// Without access, plan names the causes and prints the statements. What cannot be read is unknown.
func TestOthersBucketDenied(t *testing.T) {
	a := newArchive(t)
	a.create()
	denied := roundTrip(func(req *http.Request) (*http.Response, error) {
		if strings.HasPrefix(req.URL.Path, "/"+a.s.Bucket()) && req.Method == http.MethodHead {
			return xmlAnswer(req, http.StatusForbidden, ""), nil
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	if _, err := a.resource(denied).Read(t.Context()); !errors.Is(err, ErrElsewhere) || !strings.Contains(err.Error(), "it does not belong to account 999988887777") || !strings.Contains(err.Error(), `"Sid": "StagelogFirehoseObjects"`) {
		t.Errorf("Read without access: %v", err)
	}
	unreadable := roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet {
			return xmlAnswer(req, http.StatusForbidden, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`), nil
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	a.s.Pipeline.AWS.KeepEncryption = true
	found := readOf(t, a.resource(unreadable))
	for _, want := range []string{
		"whether the bucket has versioning and Object Lock is unknown: these credentials lack s3:GetBucketVersioning",
		"whether lifecycle rules delete or archive the pipeline's objects is unknown: these credentials lack s3:GetLifecycleConfiguration",
		"how the bucket encrypts objects is unknown: these credentials lack s3:GetEncryptionConfiguration",
	} {
		if !slices.ContainsFunc(found.Notes, func(n string) bool { return n == want }) {
			t.Errorf("the notes lack %q: %q", want, found.Notes)
		}
	}
}

// The statements for the owner allow what the pipeline and the readers need, and no more.
func TestOwnersStatements(t *testing.T) {
	s := newArchive(t).s
	d := wantOf(s).BucketPolicy
	firehose, function, user := s.RoleARN(s.FirehoseRole()), s.RoleARN(s.FunctionRole()), "arn:aws:iam::123456789012:role/deployer"
	bucket, own := s.BucketARN(), s.BucketARN()+"/stagelog/123456789012/eu-west-1/acme/"
	for _, tt := range []struct {
		who, action, resource string
		want                  policy.Decision
	}{
		{firehose, "s3:PutObject", bucket + "/logs/2026/object", policy.Allow},
		{firehose, "s3:PutObjectAcl", bucket + "/errors/processing-failed/object", policy.Allow},
		{firehose, "s3:ListBucketMultipartUploads", bucket, policy.Allow},
		{firehose, "s3:PutObject", bucket + "/reports/object", policy.NoMatch},
		{function, "s3:PutObject", own + "directory.json", policy.Allow},
		{function, "s3:PutObject", bucket + "/stagelog/directory.json", policy.NoMatch},
		{function, "s3:PutObject", bucket + "/logs/object", policy.NoMatch},
		{user, "s3:PutObject", own + "former/abc/prod.json", policy.Allow},
		{user, "s3:GetObject", bucket + "/logs/object", policy.Allow},
		{user, "s3:PutObject", bucket + "/logs/object", policy.NoMatch},
		{user, "s3:PutBucketPolicy", bucket, policy.NoMatch},
		{"arn:aws:iam::111122223333:root", "s3:GetObject", bucket + "/logs/object", policy.Allow},
		{"arn:aws:iam::111122223333:root", "s3:GetObject", own + "directory.json", policy.NoMatch},
		{"arn:aws:iam::444455556666:root", "s3:GetObject", bucket + "/logs/object", policy.NoMatch},
	} {
		use := BucketCalls{Role: tt.who, Account: strings.Split(tt.who, ":")[4], Others: true}
		if got, _ := policy.Evaluate([]policy.Document{d}, policy.Request{Principal: tt.who, Action: tt.action, Resource: tt.resource, Context: use.PutContext()}); got != tt.want {
			t.Errorf("%s %s on %s: %v, want %v", tt.who, tt.action, tt.resource, got, tt.want)
		}
	}
	for _, role := range []desired.Role{wantOf(s).FirehoseRole, wantOf(s).FunctionRole} {
		if text := role.Permissions.JSON(); !strings.Contains(text, `"aws:ResourceAccount": "999988887777"`) || strings.Contains(text, `"aws:ResourceAccount": "123456789012"`) {
			t.Errorf("the role %s is not limited to the bucket's account: %s", role.Name, text)
		}
	}
}

package provision

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/policy"
)

const (
	theirAllow = `{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::acme-api-logs"}`
	theirDeny  = `{"Sid":"DenyGet","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::acme-api-logs/*"}`
)

func (a *bucketAccount) policyResource(through http.RoundTripper) *bucketPolicy {
	cfg := a.Config(through)
	cfg.RetryMaxAttempts = 1
	return newBucketPolicy(wantOf(a.s), NewClients(cfg))
}

// withTLS returns the policy with an https endpoint. Its requests are sent to moto without TLS.
func (a *bucketAccount) withTLS() *bucketPolicy {
	cfg := a.Config(roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Scheme = "http"
		return http.DefaultTransport.RoundTrip(r)
	}))
	cfg.BaseEndpoint = aws.String(strings.Replace(a.URL, "http://", "https://", 1))
	return newBucketPolicy(wantOf(a.s), NewClients(cfg))
}

// setPolicy sets the bucket policy without stagelog.
func (a *bucketAccount) setPolicy(statements ...string) {
	a.t.Helper()
	_, err := a.c.PutBucketPolicy(a.t.Context(), &s3.PutBucketPolicyInput{Bucket: a.name,
		Policy: aws.String(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)})
	a.ok(err)
}

func (a *bucketAccount) statements() (names []string) {
	a.t.Helper()
	d, err := a.policyResource(nil).read(a.t.Context())
	a.ok(err)
	return sids(d)
}

func TestBucketPolicyLifecycle(t *testing.T) {
	a := newBucketAccount(t)
	r := a.policyResource(nil)
	if found := readOf(t, r); found.Exists || len(found.Changed()) != 1 {
		t.Fatalf("without a bucket Read = %+v", found)
	}
	a.deploy()
	if found := readOf(t, r); found.Exists {
		t.Fatalf("without a policy Read = %+v", found)
	}
	counted := &counter{next: http.DefaultTransport}
	applyTo(t, a.policyResource(counted))
	settled := readOf(t, r)
	if !settled.Exists || settled.RequiredFlag != NoFlag || len(settled.Changed()) > 0 || len(counted.writes) != 1 {
		t.Fatalf("after creation with the calls %v Read = %+v", counted.writes, settled)
	}
	for _, tt := range []struct {
		name   string
		by     func()
		exists bool
	}{
		{"it was deleted", func() {
			_, err := a.c.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: a.name})
			a.ok(err)
		}, false},
		{"others replaced it", func() { a.setPolicy(theirAllow) }, false},
		{"a statement was removed", func() { a.setPolicy(strings.Replace(theirAllow, "Theirs", "StagelogReaderList", 1)) }, true},
		{"a reader was added", func() { a.s.Pipeline.Readers = append(a.s.Pipeline.Readers, "444455556666") }, true},
		{"all readers were removed", func() { a.s.Pipeline.Readers = nil }, true},
		{"a reader was added again", func() { a.s.Pipeline.Readers = []string{"444455556666"} }, false},
	} {
		tt.by()
		r = a.policyResource(nil)
		found := readOf(t, r)
		if diff := cmp.Diff([]string{"policy"}, changedNames(found)); diff != "" || found.Exists != tt.exists {
			t.Errorf("after %s Read = %+v, differs in (-want +got):\n%s", tt.name, found, diff)
		}
		applyTo(t, r)
		if found := readOf(t, r); !found.Exists || len(found.Changed()) > 0 {
			t.Errorf("after %s and a repair: %+v", tt.name, found)
		}
	}
	if did, err := r.Destroy(t.Context(), readOf(t, r), quiet); did != "deleted" || err != nil || readOf(t, r).Exists {
		t.Errorf("Destroy = %q, %v", did, err)
	}
}

// With an endpoint without TLS the statement would deny every request.
func TestBucketPolicyRequiresTLS(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	a.s.Pipeline.Readers = nil
	r := a.withTLS()
	applyTo(t, r)
	if diff := cmp.Diff([]string{policy.SidTLS}, a.statements()); diff != "" {
		t.Errorf("with TLS, and without readers (-want +got):\n%s", diff)
	}
	if found := readOf(t, r); len(found.Changed()) > 0 || len(found.Notes) > 0 {
		t.Errorf("Read after Apply = %+v", found)
	}
	plain := a.policyResource(nil)
	if found := readOf(t, plain); len(found.Changed()) != 1 || len(found.Notes) != 1 {
		t.Errorf("without TLS Read = %+v, want a change and a note", found)
	}
	applyTo(t, plain)
	if found := readOf(t, plain); !found.Exists || len(found.Changed()) > 0 || a.statements() != nil {
		t.Errorf("without TLS and readers Read after Apply = %+v, statements %v, want nothing to do and none", found, a.statements())
	}
}

// An equivalent policy in another form is kept.
func TestBucketPolicyComparedByMeaning(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	r := a.policyResource(nil)
	applyTo(t, r)
	own := r.wanted()
	for i, j := 0, len(own.Statements)-1; i < j; i, j = i+1, j-1 {
		own.Statements[i], own.Statements[j] = own.Statements[j], own.Statements[i]
	}
	text := strings.ReplaceAll(own.JSON(), "arn:aws:iam::111122223333:root", "111122223333")
	_, err := a.c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: a.name, Policy: &text})
	a.ok(err)
	if found := readOf(t, r); len(found.Changed()) > 0 {
		t.Errorf("an equivalent policy differs: %v", found.Changed())
	}
}

func TestBucketPolicyKeepsForeignStatements(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	a.setPolicy(theirAllow, theirDeny)
	r := a.policyResource(nil)
	found := readOf(t, r)
	notes := strings.Join(found.Notes, "\n")
	for _, want := range []string{"Theirs, DenyGet", "DenyGet denies s3:GetObject to 111122223333"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not contain %q: %s", want, notes)
		}
	}
	if strings.Contains(notes, "s3:ListBucket") {
		t.Errorf("the notes mention a call that is not denied: %s", notes)
	}
	applyTo(t, r)
	if found := readOf(t, r); found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
		t.Errorf("Read after Apply = %+v", found)
	}
	if got := a.statements(); len(got) <= 2 || got[0] != "Theirs" || got[1] != "DenyGet" {
		t.Errorf("statements after Apply: %v", got)
	}
	did, err := r.Destroy(t.Context(), readOf(t, r), quiet)
	if diff := cmp.Diff([]string{"Theirs", "DenyGet"}, a.statements()); diff != "" || err != nil || !strings.Contains(did, "others kept") {
		t.Errorf("Destroy = %q, %v; left (-want +got):\n%s", did, err, diff)
	}
}

// Two pipelines cannot share a bucket: the statements belong to the bucket's owner.
func TestBucketPolicyAdoption(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	applyTo(t, a.policyResource(nil))
	for owner, want := range map[string]Flag{"": AdoptFlag, "eu-west-1/other": TakeFrom("eu-west-1/other")} {
		_, err := a.c.DeleteBucketTagging(t.Context(), &s3.DeleteBucketTaggingInput{Bucket: a.name})
		a.ok(err)
		if owner != "" {
			a.tags(desired.OwnerTag, owner)
		}
		r := a.policyResource(nil)
		found := readOf(t, r)
		if found.RequiredFlag != want || !strings.Contains(found.Reason, owner) {
			t.Errorf("in a bucket of %q Read = %+v, want the flag %s", owner, found, want)
		}
		if did, err := r.Destroy(t.Context(), found, quiet); did != "" || err != nil || len(a.statements()) == 0 {
			t.Errorf("Destroy in a bucket of %q = %q, %v", owner, did, err)
		}
	}
}

func TestBucketPolicyUnknownReader(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	a.s.Pipeline.Readers = []string{"111122223333", "444455556666"}
	for _, tt := range []struct{ detail, want string }{
		{`"AWS" : "arn:aws:iam::444455556666:root"`, "AWS account 444455556666"},
		{`"AWS" : "AIDAEXAMPLEEXAMPLE"`, "AIDAEXAMPLEEXAMPLE"},
		{"", "111122223333 or 444455556666"},
	} {
		r := a.policyResource(roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPut {
				return http.DefaultTransport.RoundTrip(r)
			}
			body := fmt.Sprintf(`<Error><Code>MalformedPolicy</Code><Message>Invalid principal in policy</Message><Detail>%s</Detail></Error>`, tt.detail)
			return &http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		}))
		err := r.Apply(t.Context(), State{}, quiet)
		if err == nil || !strings.Contains(Explain(err).Error(), tt.want) || !awserr.Is(err, "MalformedPolicy") {
			t.Errorf("Apply with the detail %q: %v, want an error with %q", tt.detail, err, tt.want)
		}
	}
}

func TestBucketPolicySizeLimit(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	for i := range 120 { // the limit in stagelog.yaml
		a.s.Pipeline.Readers = append(a.s.Pipeline.Readers, fmt.Sprintf("%012d", i))
	}
	r := a.policyResource(nil)
	applyTo(t, r)
	big := policy.Document{Statements: r.wanted().Statements}
	for len(big.JSON()) <= 2*maxPolicy {
		big.Statements = append(big.Statements, big.Statements...)
	}
	if err := r.put(t.Context(), big, quiet); err == nil || !strings.Contains(err.Error(), "20480") {
		t.Errorf("put of %d bytes: %v, want an error with S3's limit", len(big.JSON()), err)
	}
}

// A destroyed bucket is kept with its tag, so the next deploy needs no flag and changes nothing.
func TestBucketAndPolicyRedeploy(t *testing.T) {
	a := newBucketAccount(t)
	for range 2 {
		a.deploy()
		applyTo(t, a.policyResource(nil))
		a.put("logs/1")
		_, err := a.policyResource(nil).Destroy(t.Context(), readOf(t, a.policyResource(nil)), quiet)
		a.ok(err)
		_, err = a.resource(nil).Destroy(t.Context(), a.read(), quiet)
		a.ok(err)
		if found := a.read(); found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
			t.Errorf("kept bucket: %+v", found)
		}
	}
	out, err := a.c.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: a.name})
	a.ok(err)
	if diff := cmp.Diff([]string{"stagelog"}, tagKeys(out.TagSet)); diff != "" {
		t.Errorf("the kept bucket's tags (-want +got):\n%s", diff)
	}
}

func tagKeys(set []types.Tag) (keys []string) {
	for _, tag := range set {
		keys = append(keys, *tag.Key)
	}
	return keys
}

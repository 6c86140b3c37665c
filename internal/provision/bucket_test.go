package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/stagelog/stagelog/internal/provision/desired"
	"github.com/stagelog/stagelog/internal/provision/moto"
	"github.com/stagelog/stagelog/internal/testenv"
)

// bucketAccount is an account that may have the bucket of a pipeline.
type bucketAccount struct {
	t *testing.T
	*moto.Server
	c    *s3.Client
	s    *desired.Spec
	name *string
}

func newBucketAccount(t *testing.T) *bucketAccount {
	t.Helper()
	m := moto.Start(t)
	s := streamSpec(t)
	s.Pipeline.AWS.ExpireDays, s.Pipeline.AWS.ErrorDays = 400, 30
	s.Pipeline.Readers = []string{"111122223333"}
	return &bucketAccount{t: t, Server: m, c: NewClients(m.Config(nil)).S3, s: s, name: aws.String(s.Bucket())}
}

// resource returns the bucket with clients that use a transport, which may be nil.
func (a *bucketAccount) resource(through http.RoundTripper) *Bucket {
	cfg := a.Config(through)
	cfg.RetryMaxAttempts = 1
	return newBucket(wantOf(a.s), NewClients(cfg))
}

func (a *bucketAccount) read() State {
	a.t.Helper()
	return readOf(a.t, a.resource(nil))
}

func readOf(t *testing.T, r Resource) State {
	t.Helper()
	s, err := r.Read(t.Context())
	if err != nil {
		t.Fatalf("Read of %s %s: %v", r.Kind(), r.Name(), err)
	}
	return s
}

func applyTo(t *testing.T, r Resource) {
	t.Helper()
	if err := r.Apply(t.Context(), readOf(t, r), quiet); err != nil {
		t.Fatalf("Apply to %s %s: %v", r.Kind(), r.Name(), err)
	}
}

func (a *bucketAccount) deploy() {
	a.t.Helper()
	applyTo(a.t, a.resource(nil))
}

// create creates the bucket without stagelog.
func (a *bucketAccount) create() {
	a.t.Helper()
	_, err := a.c.CreateBucket(a.t.Context(), &s3.CreateBucketInput{Bucket: a.name,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: moto.Region}})
	a.ok(err)
}

func (a *bucketAccount) put(keys ...string) {
	a.t.Helper()
	for _, key := range keys {
		_, err := a.c.PutObject(a.t.Context(), &s3.PutObjectInput{Bucket: a.name, Key: aws.String(key), Body: strings.NewReader("text")})
		a.ok(err)
	}
}

func (a *bucketAccount) keys() (keys []string) {
	a.t.Helper()
	out, err := a.c.ListObjectsV2(a.t.Context(), &s3.ListObjectsV2Input{Bucket: a.name})
	a.ok(err)
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

func (a *bucketAccount) ok(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func TestBucketCreateAndRepair(t *testing.T) {
	a := newBucketAccount(t)
	if found := a.read(); found.Exists || found.RequiredFlag != NoFlag {
		t.Fatalf("in an empty account Read = %+v", found)
	}
	a.deploy()
	settled := a.read()
	if !settled.Exists || settled.RequiredFlag != NoFlag || len(settled.Changed()) > 0 {
		t.Fatalf("after creation Read = %+v, which differs in %v", settled, settled.Changed())
	}
	want := []string{"tag stagelog=eu-west-1/acme",
		"public access block=BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets",
		"object ownership=BucketOwnerEnforced", "encryption=AES256", "versioning=off",
		"lifecycle=stagelog-abort-uploads: abort uploads after 7 days\n" +
			"stagelog-expire: delete objects after 400 days below logs/\n" +
			"stagelog-expire-errors: delete objects after 30 days below errors/"}
	var got []string
	for _, f := range settled.Fields {
		got = append(got, f.Name+"="+f.Have)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	ctx := t.Context()
	for _, tt := range []struct {
		field string
		by    func() error
	}{
		{"public access block", func() error {
			_, err := a.c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: a.name})
			return err
		}},
		{"public access block", func() error {
			_, err := a.c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: a.name,
				PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicAcls: aws.Bool(true)}})
			return err
		}},
		{"object ownership", func() error {
			_, err := a.c.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: a.name,
				OwnershipControls: &types.OwnershipControls{Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipObjectWriter}}}})
			return err
		}},
		{"encryption", func() error { return a.encrypt("arn:aws:kms:eu-west-1:123456789012:key/1") }},
		{"versioning", func() error { return a.version(types.BucketVersioningStatusEnabled) }},
		{"lifecycle", func() error {
			_, err := a.c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: a.name})
			return err
		}},
		{"lifecycle", func() error {
			a.s.Pipeline.AWS.ExpireDays = 30
			return nil
		}},
		{"lifecycle", func() error {
			a.s.Pipeline.AWS.ExpireDays, a.s.Pipeline.AWS.ErrorDays = 0, 0
			return nil
		}},
	} {
		a.ok(tt.by())
		if diff := cmp.Diff([]string{tt.field}, changedNames(a.read())); diff != "" {
			t.Errorf("after a manual change of its %s, Read differs in (-want +got):\n%s", tt.field, diff)
		}
		counted := &counter{next: http.DefaultTransport}
		applyTo(t, a.resource(counted))
		if len(counted.writes) != 1 {
			t.Errorf("%s was repaired with the calls %v, want one", tt.field, counted.writes)
		}
		if changed := a.read().Changed(); len(changed) > 0 {
			t.Errorf("after the repair of %s there is still %v", tt.field, changed)
		}
	}
}

func (a *bucketAccount) encrypt(key string) error {
	_, err := a.c.PutBucketEncryption(a.t.Context(), &s3.PutBucketEncryptionInput{Bucket: a.name,
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{
			{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &key}}}}})
	return err
}

func (a *bucketAccount) version(status types.BucketVersioningStatus) error {
	_, err := a.c.PutBucketVersioning(a.t.Context(), &s3.PutBucketVersioningInput{Bucket: a.name,
		VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
	return err
}

// counter records the calls that may change something, and fails calls after the first until.
type counter struct {
	next   http.RoundTripper
	writes []string
	until  int // 0 for no limit
}

var errCut = errors.New("the process was killed")

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.until > 0 && len(c.writes) == c.until {
		return nil, errCut
	}
	name := writing(r)
	res, err := c.next.RoundTrip(r)
	if name != "" {
		c.writes = append(c.writes, name)
	}
	return res, err
}

func writing(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, op, _ := strings.Cut(target, ".")
		if strings.HasPrefix(op, "Describe") || strings.HasPrefix(op, "List") {
			return ""
		}
		return op
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ""
	}
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" { // IAM
		name, err := writeName(r)
		if err != nil {
			return err.Error()
		}
		return name
	}
	return r.Method + " " + r.URL.Path + "?" + r.URL.RawQuery
}

func TestBucketResumesAfterKill(t *testing.T) {
	a := newBucketAccount(t)
	whole := &counter{next: http.DefaultTransport}
	applyTo(t, a.resource(whole))
	want := a.read()
	for after := 1; after < len(whole.writes); after++ {
		a.Reset()
		cut := a.resource(&counter{next: http.DefaultTransport, until: after})
		if err := cut.Apply(t.Context(), readOf(t, cut), quiet); err == nil {
			t.Fatalf("Apply interrupted after %s succeeded", whole.writes[after-1])
		}
		if found := a.read(); found.RequiredFlag != NoFlag {
			t.Errorf("interrupted after %s, Read requires the flag %s: %s", whole.writes[after-1], found.RequiredFlag, found.Reason)
		}
		a.deploy()
		if diff := cmp.Diff(want, a.read()); diff != "" {
			t.Errorf("interrupted after %s and repeated (-want +got):\n%s", whole.writes[after-1], diff)
		}
	}
}

func TestBucketAdoption(t *testing.T) {
	a := newBucketAccount(t)
	ctx := t.Context()
	policy := `{"Version":"2012-10-17","Statement":[{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::acme-api-logs"}]}`
	for _, tt := range []struct {
		name string
		by   func()
		want Flag
	}{
		{"bare", func() {}, NoFlag},
		{"objects", func() { a.put("theirs.txt") }, AdoptFlag},
		{"a policy", func() {
			_, err := a.c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: a.name, Policy: &policy})
			a.ok(err)
		}, AdoptFlag},
		{"versions", func() { a.ok(a.version(types.BucketVersioningStatusSuspended)) }, AdoptFlag},
		{"another tag", func() { a.tags("team", "theirs") }, AdoptFlag},
		{"another pipeline", func() { a.tags("stagelog", "eu-west-1/other", "team", "theirs") }, TakeFrom("eu-west-1/other")},
	} {
		a.Reset()
		a.create()
		tt.by()
		found := a.read()
		if found.RequiredFlag != tt.want || (found.Reason != "") != (tt.want != NoFlag) {
			t.Errorf("Read of a bucket with %s requires %q (%s), want %q", tt.name, found.RequiredFlag, found.Reason, tt.want)
		}
		if tt.want != NoFlag {
			r := a.resource(nil)
			r.DeleteObjects = true
			if did, err := r.Destroy(ctx, found, quiet); did != "" || err != nil {
				t.Errorf("Destroy of a bucket with %s = %q, %v, want nothing done", tt.name, did, err)
			}
		}
		a.deploy()
		if found := a.read(); found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
			t.Errorf("after adopting a bucket with %s: %+v", tt.name, found)
		}
	}
	out, err := a.c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: a.name})
	a.ok(err)
	got := map[string]string{}
	for _, tag := range out.TagSet {
		got[*tag.Key] = *tag.Value
	}
	if diff := cmp.Diff(map[string]string{"team": "theirs", "stagelog": "eu-west-1/acme"}, got); diff != "" {
		t.Errorf("tags after adoption (-want +got):\n%s", diff)
	}
}

func (a *bucketAccount) tags(keysAndValues ...string) {
	a.t.Helper()
	var set []types.Tag
	for i := 0; i < len(keysAndValues); i += 2 {
		set = append(set, types.Tag{Key: &keysAndValues[i], Value: &keysAndValues[i+1]})
	}
	_, err := a.c.PutBucketTagging(a.t.Context(), &s3.PutBucketTaggingInput{Bucket: a.name, Tagging: &types.Tagging{TagSet: set}})
	a.ok(err)
}

func TestBucketElsewhere(t *testing.T) {
	a := newBucketAccount(t)
	xml := func(r *http.Request, status int, region, body string) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/xml"}, "X-Amz-Bucket-Region": {region}},
			Body: io.NopCloser(strings.NewReader(body)), Request: r}
	}
	answer := func(method string, status int, region, body string) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == method && r.URL.Path == "/"+a.s.Bucket() {
				return xml(r, status, region, body), nil
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	}
	all := func(head int, list int, code string) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodHead {
				return xml(r, head, "", ""), nil
			}
			return xml(r, list, "", "<Error><Code>"+code+"</Code></Error>"), nil
		})
	}
	denied, expired := all(403, 403, "AccessDenied"), all(400, 400, "ExpiredToken")
	for _, tt := range []struct {
		name    string
		through http.RoundTripper
		exists  bool // in the account
		is      error
		text    []string
	}{
		{"another account's", answer(http.MethodHead, 403, "", ""), false, ErrElsewhere, []string{"another AWS account", "bucket:"}},
		{"another account's in the meantime", answer(http.MethodPut, 409, "", `<Error><Code>BucketAlreadyExists</Code><Message>no</Message></Error>`), false, ErrElsewhere, []string{"another AWS account", "bucket:"}},
		{"another Region's", answer(http.MethodHead, 301, "us-west-2", ""), false, ErrElsewhere, []string{"us-west-2", "eu-west-1", "region:"}},
		{"denied", answer(http.MethodHead, 403, "", ""), true, nil, []string{`"s3:ListBucket"`, "policy denies"}},
		{"owner unknown", denied, false, ErrElsewhere, []string{"another AWS account", "bucket:", "s3:ListAllMyBuckets"}},
		{"expired", expired, false, nil, []string{"ExpiredToken"}},
	} {
		a.Reset()
		if tt.exists {
			a.create()
		}
		r := a.resource(tt.through)
		found, err := r.Read(t.Context())
		if err == nil {
			err = r.Apply(t.Context(), found, quiet)
		}
		if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
			t.Fatalf("%s: Read and Apply: %v, want %v", tt.name, err, tt.is)
		}
		for _, want := range tt.text {
			if !strings.Contains(Explain(err).Error(), want) {
				t.Errorf("%s: the error does not contain %q: %v", tt.name, want, err)
			}
		}
	}
}

// If CreateBucket rejects tags, the bucket is created without and tagged afterwards.
func TestBucketTaggedAfterCreation(t *testing.T) {
	a := newBucketAccount(t)
	refused := 0
	r := a.resource(roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut && r.URL.RawQuery == "" && refused == 0 {
			refused++
			return &http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {"application/xml"}}, Request: r,
				Body: io.NopCloser(strings.NewReader(`<Error><Code>UnsupportedArgument</Code><Message>The request contained an unsupported argument.</Message></Error>`))}, nil
		}
		return http.DefaultTransport.RoundTrip(r)
	}))
	applyTo(t, r)
	if found := a.read(); refused != 1 || found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
		t.Errorf("refused %d times, Read = %+v", refused, found)
	}
}

func TestBucketKeepsForeignRules(t *testing.T) {
	a := newBucketAccount(t)
	a.deploy()
	theirs := []types.LifecycleRule{
		{ID: aws.String("theirs"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("reports/")},
			Transitions: []types.Transition{{Days: aws.Int32(30), StorageClass: types.TransitionStorageClassGlacier}}},
		{ID: aws.String("old form"), Status: types.ExpirationStatusEnabled, Prefix: aws.String("tmp/"),
			Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)}},
		{ID: aws.String("stagelog-to-glacier"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("logs/")},
			Transitions: []types.Transition{{Days: aws.Int32(90), StorageClass: types.TransitionStorageClassGlacier}}},
		{ID: aws.String("stagelog-expire"), Status: types.ExpirationStatusDisabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("logs/")},
			Expiration: &types.LifecycleExpiration{Days: aws.Int32(400)}},
	}
	_, err := a.c.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: a.name,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: theirs}})
	a.ok(err)
	if diff := cmp.Diff([]string{"lifecycle"}, changedNames(a.read())); diff != "" {
		t.Fatalf("with a disabled rule Read differs in (-want +got):\n%s", diff)
	}
	a.deploy()
	out, err := a.c.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: a.name})
	a.ok(err)
	var got []string
	for _, rule := range out.Rules {
		got = append(got, fmt.Sprintf("%s %s %d %d", *rule.ID, aws.ToString(rule.Filter.Prefix), len(rule.Transitions), aws.ToInt32(expirationOf(rule).Days)))
	}
	want := []string{"theirs reports/ 1 0", "old form tmp/ 0 1", "stagelog-to-glacier logs/ 1 0", "stagelog-abort-uploads  0 0", "stagelog-expire logs/ 0 400", "stagelog-expire-errors errors/ 0 30"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func expirationOf(rule types.LifecycleRule) types.LifecycleExpiration {
	if rule.Expiration == nil {
		return types.LifecycleExpiration{}
	}
	return *rule.Expiration
}

func TestBucketKeptOrDeleted(t *testing.T) {
	a := newBucketAccount(t)
	own := []string{desired.SnapshotKey(a.s.Pipeline)}
	theirs := []string{"logs/1", "logs/2", desired.StatePrefix + "former/abc/prod.json", desired.StatePrefix + "notes.txt"}
	for _, status := range []types.BucketVersioningStatus{"", types.BucketVersioningStatusEnabled} {
		a.Reset()
		a.deploy()
		if status != "" {
			a.ok(a.version(status))
		}
		a.put(own...)
		a.put(theirs...)
		a.put(theirs...)
		r := a.resource(nil)
		did, err := r.Destroy(t.Context(), a.read(), quiet)
		if want := "kept, 4 objects, 16 B"; err != nil || did != want {
			t.Errorf("Destroy (versioning %q) = %q, %v, want %q", status, did, err, want)
		}
		if diff := cmp.Diff(theirs, a.keys()); diff != "" {
			t.Errorf("objects in the kept bucket (-want +got):\n%s", diff)
		}
		if found := a.read(); !found.Exists || found.RequiredFlag != NoFlag {
			t.Errorf("the kept bucket requires a flag: %+v", found)
		}
		objects, bytes, err := r.Contents(t.Context())
		if err != nil || objects != 4 || bytes != 16 {
			t.Errorf("Contents = %d, %d, %v, want 4, 16", objects, bytes, err)
		}
		_, err = a.c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: a.name, Key: aws.String("logs/half")})
		a.ok(err)
		r.DeleteObjects = true
		var progress []string
		did, err = r.Destroy(t.Context(), a.read(), func(s string) { progress = append(progress, s) })
		want := "deleted, with 4 objects"
		if status != "" {
			want = "deleted, with 8 objects"
		}
		if err != nil || did != want || len(progress) != 1 {
			t.Errorf("Destroy with DeleteObjects (versioning %q) = %q, %v, progress %q; want %q", status, did, err, progress, want)
		}
		if found := a.read(); found.Exists {
			t.Errorf("after Destroy with DeleteObjects the bucket exists: %+v", found)
		}
	}
}

// A bare bucket may be adopted but not deleted: stagelog may not have created it.
func TestBareBucketNotDeleted(t *testing.T) {
	a := newBucketAccount(t)
	a.create()
	r := a.resource(nil)
	r.DeleteObjects = true
	did, err := r.Destroy(t.Context(), a.read(), quiet)
	if err != nil || !strings.HasPrefix(did, "kept") {
		t.Errorf("Destroy of a bare bucket = %q, %v, want it kept", did, err)
	}
	if !a.read().Exists {
		t.Error("a bare bucket was deleted")
	}
}

// A bucket with more than one page of objects is deleted in one run, or after an interruption in the next.
func TestBucketDeleteManyObjects(t *testing.T) {
	testenv.Need(t, testenv.Interop)
	a := newBucketAccount(t)
	a.deploy()
	for i := range 1203 {
		a.put(fmt.Sprintf("logs/%04d", i))
	}
	cut := a.resource(&counter{next: http.DefaultTransport, until: 1})
	cut.DeleteObjects = true
	if did, err := cut.Destroy(t.Context(), a.read(), quiet); !errors.Is(err, errCut) {
		t.Fatalf("Destroy interrupted after a call = %q, %v", did, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	again := a.resource(nil)
	again.DeleteObjects = true
	if did, err := again.Destroy(ctx, a.read(), quiet); !errors.Is(err, context.Canceled) {
		t.Fatalf("Destroy with a cancelled context = %q, %v", did, err)
	}
	if did, err := again.Destroy(t.Context(), a.read(), quiet); err != nil || did != "deleted, with 203 objects" || a.read().Exists {
		t.Errorf("Destroy again = %q, %v", did, err)
	}
}

func TestContentsText(t *testing.T) {
	for _, tt := range []struct {
		objects, bytes int64
		want           string
	}{
		{0, 0, "empty"}, {1, 0, "1 object, 0 B"}, {999, 999, "999 objects, 999 B"}, {1204, 3_400_000, "1,204 objects, 3.4 MB"},
		{1_000_000, 1000, "1,000,000 objects, 1.0 kB"}, {2, 999_960, "2 objects, 1.0 MB"}, {2, 7_000_000_000_000_000, "2 objects, 7000.0 TB"},
	} {
		if got := ContentsText(tt.objects, tt.bytes); got != tt.want {
			t.Errorf("ContentsText(%d, %d) = %q, want %q", tt.objects, tt.bytes, got, tt.want)
		}
	}
}

// us-east-1 rejects any LocationConstraint, even its own name.
func TestBucketInUSEast1(t *testing.T) {
	a := newBucketAccount(t)
	a.s.Region = "us-east-1"
	cfg := a.Config(nil)
	cfg.Region = a.s.Region
	r := newBucket(wantOf(a.s), NewClients(cfg))
	applyTo(t, r)
	if found := readOf(t, r); !found.Exists || found.RequiredFlag != NoFlag || len(found.Changed()) > 0 {
		t.Errorf("Read after creation = %+v", found)
	}
	if _, err := a.resource(nil).Read(t.Context()); err != nil {
		t.Errorf("Read at another Region's endpoint, for the bucket's Region: %v", err)
	}
	a.s.Region = moto.Region
	if _, err := a.resource(nil).Read(t.Context()); !errors.Is(err, ErrElsewhere) {
		t.Errorf("Read for another Region: %v, want ErrElsewhere", err)
	}
}
